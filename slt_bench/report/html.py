"""What all HTML pages share: one base with style and script, and texts that quote commands as Markdown does."""

from __future__ import annotations

import re

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


def pages(*rooms: str) -> Environment:
    """Open the templates of these sub-packages, and the base of all pages."""
    loaders = [PackageLoader("slt_bench", room) for room in (*rooms, "report")]
    environment = Environment(loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["prose"] = prose
    return environment


def prose(text: str) -> Markup:
    """Escape a text for HTML; what stands between backticks becomes code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))
