"""The picture of all claims about accuracy in tables that are kept: results/claims.svg."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slt_bench.report.figures.forest import Estimate

PICTURE = "claims.svg"  # in results/
_FAR = 20.0  # points: a ticket over a random mask is so far from zero that all others would be dots
_EFFECT = re.compile(r"(-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\] points")
_FROZEN = re.compile(r"(pruned|locked) [\d.]+ % .*")  # how a source that is not dense describes itself
_MATTERS = re.compile(r"0 \(by ([\d.]+) to matter\)")


def draw_claims(summaries: Mapping[str, dict[str, Any]], path: Path) -> bool:
    """Draw the claims about accuracy that are measured against zero, of tables that are not small.

    Args:
        summaries: how tables were made, by their names.
        path: of the SVG file, which is removed where nothing is to be drawn.

    Returns:
        Whether there is something to draw.
    """
    groups: dict[str, list[Estimate]] = {}
    most = 0.0  # of what claims say is the least that matters
    for name, summary in summaries.items():
        for claim in [] if summary.get("small") else summary["claims"]:
            if (matters := _MATTERS.fullmatch(claim["must exceed"])) and (estimate := _estimate(name, claim)):
                groups.setdefault(claim["claim"].removesuffix(", by"), []).append(estimate)
                most = max(most, float(matters[1]))
    if not groups:
        path.unlink(missing_ok=True)
        return False
    from slt_bench.report.figures.forest import draw_forest

    draw_forest(groups, most, path)
    return True


def _estimate(table: str, claim: dict[str, Any]) -> Estimate | None:
    """Read the effect of a claim as readers see it; None where it has no interval, or lies far from zero."""
    from slt_bench.report.figures.forest import Estimate

    found = _EFFECT.fullmatch(claim["effect"])
    if found is None or abs(float(found[1])) > _FAR:
        return None
    size, low, high = map(float, found.groups())
    sides = [claim[side].split(", ") for side in ("of", "over")]
    sparsity = max((parts[-1] for parts in sides), key=lambda text: float(text.rpartition(" ")[2]))
    source = next((part for part in sides[0][1:-3][-1:] if _FROZEN.fullmatch(part)), "")  # before network, dataset and sparsity
    parts = [table.removeprefix("evidence-"), sparsity, *([source.replace(" (epl)", "")] if source else [])]
    return Estimate(", ".join(parts), size, low, high, claim["verdict"])
