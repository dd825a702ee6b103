"""What is in a ticket file, for a reader."""

from __future__ import annotations

from tabulate import tabulate

from slt_bench.ticket.counts import Counts
from slt_bench.ticket.file import TicketFile
from slt_bench.ticket.mask_coding import sizes


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
        size = sizes(file.ticket.mask, file.network.free_stops)
        coded = f"{size.coded:,} bytes" if size.coded is not None else "unknown: the package constriction is not installed"
        facts += [
            ("mask, packed", f"{size.packed:,} bytes: the formula (1-F)N = {free:,} bits"),
            ("mask, entropy-coded", coded),
            ("entropy bound", f"{size.bound:,.0f} bytes: sum of n H(k/n) over the layers"),
        ]
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
