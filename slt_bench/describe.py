"""What is in a ticket file, for a reader."""

from __future__ import annotations

from math import log2

from tabulate import tabulate

from slt_bench.ticket_file import TicketFile
from slt_bench.ticket_network import Counts


def describe(file: TicketFile) -> str:
    """Network, source, counts per layer, bytes and the paper's formula; the file has been verified by reading it."""
    spec, counts = file.ticket.spec, file.counts
    free = counts.total - counts.pruned - counts.locked
    facts = [
        ("cell", spec.cell),
        ("network", f"{spec.network.kind}, width {spec.network.width:g}, {len(spec.classes)} classes, {spec.image_size} px"),
        ("source", f"{spec.source.kind}: {spec.source}, {spec.weight_init} weights from seed {spec.seed}"),
        ("taken after epoch", str(spec.epoch)),
        ("sparsity", f"{1 - counts.density:.6f} ({counts.kept:,} of {counts.total:,} edges kept)"),
        ("file", f"{file.size:,} bytes"),
    ]
    if file.ticket.mask is not None:
        facts.append(("formula (1-F)N", f"{free:,} bits = {-(-free // 8):,} bytes"))
        facts.append(
            ("entropy of the mask", f"{_entropy_bits(free, counts.kept_free):,.0f} bits, were all masks of that size alike")
        )
    else:
        facts.append(("no ticket", f"a baseline with {free:,} trained weights"))
    rows = [
        (layer.name, "x".join(map(str, layer.shape)), *_row(one))
        for layer, one in zip(file.network.source.layers, file.network.layer_counts(), strict=True)
    ]
    rows.append(("all", "", *_row(counts)))
    head = ("layer", "shape", "edges", "pruned", "locked", "free kept", "free dropped", "density")
    return (
        f"{tabulate(facts, tablefmt='plain')}\n\n{tabulate(rows, head)}\n\nverified: rebuilt from seed and bits, digest matches"
    )


def _row(counts: Counts) -> tuple[int, int, int, int, int, str]:
    dropped = counts.total - counts.pruned - counts.locked - counts.kept_free
    return counts.total, counts.pruned, counts.locked, counts.kept_free, dropped, f"{counts.density:.4f}"


def _entropy_bits(free: int, kept: int) -> float:
    """n H(k/n)."""
    if kept in (0, free):
        return 0.0
    share = kept / free
    return -free * (share * log2(share) + (1 - share) * log2(1 - share))
