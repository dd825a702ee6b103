"""What all HTML pages share: one base with style and script, and the parts of pages (`parts.html`)."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def pages(*rooms: str) -> Environment:
    """Open the templates of these sub-packages, and the base of all pages."""
    loaders = [PackageLoader("slt_bench", room) for room in (*rooms, "report")]
    return Environment(loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
