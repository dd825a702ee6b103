"""The text that shows a reader what a ticket file holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors import safe_open
from tabulate import tabulate
from torch import Tensor

from slt_bench.params.networks import AnyNetwork, FactoryNetwork
from slt_bench.ticket.counts import Counts
from slt_bench.ticket.file import MaskCoding, Statistics, TicketFile
from slt_bench.ticket.found import Found
from slt_bench.ticket.sizes import ticket_sizes


def describe(file: TicketFile) -> str:
    """Describe a ticket: its network, source and sizes, and the counts of every layer; reading the file has verified it."""
    spec, counts = file.ticket.spec, file.counts
    free = counts.total - counts.pruned - counts.locked
    facts = [
        ("cell", f"{spec.cell}, identity {spec.identity}"),
        ("network", f"{spec.network}, {len(spec.classes)} classes, {spec.image_size} px"),
        ("images", f"normalised by mean {_numbers(spec.mean)} and deviation {_numbers(spec.std)} of values from 0 to 1"),
        ("classes", _some(spec.classes)),
        ("source", f"{spec.source.kind}: {spec.source}, {spec.weight_init} weights from seed {spec.seed}"),
        ("taken after epoch", str(spec.epoch)),
        ("sparsity", f"{1 - counts.density:.6f} ({counts.kept:,} of {counts.total:,} edges kept)"),
        ("file", f"{file.size:,} bytes"),
    ]
    if file.ticket.mask is not None:
        sizes = ticket_sizes(file)
        coded = sizes.mask_coded
        beside = _beside_the_mask(file.ticket.found)
        facts += [("kept edges have", ", ".join(beside))] if beside else []
        with_these = " with these" if beside else f": the formula (1-F)N = {free:,} bits"
        facts += [
            ("mask, packed", f"{sizes.mask_packed:,} bytes{with_these}"),
            (
                "mask, entropy-coded",
                "unknown: the package constriction is not installed" if coded is None else f"{coded:,} bytes",
            ),
            (
                "entropy bound",
                f"{sizes.mask_bound:,.0f} bytes: sum of n H(k/n) over the layers{', the mask alone' if beside else ''}",
            ),
        ]
    else:
        facts.append(("no ticket", f"a baseline with {free:,} trained weights"))
    rows = [
        (layer.name, "x".join(map(str, layer.shape)), *_row(layer_counts))
        for layer, layer_counts in zip(file.network.source.layers, file.network.layer_counts(), strict=True)
    ]
    rows.append(("all", "", *_row(counts)))
    head = ("layer", "shape", "edges", "pruned", "locked", "free kept", "free dropped", "density")
    return (
        f"{tabulate(facts, tablefmt='plain')}\n\n{tabulate(rows, head)}\n\n"
        f"verified: rebuilt from seed and bits, digest of all effective weights matches{_unverified(spec.network)}"
    )


def forms(path: Path) -> tuple[MaskCoding, Statistics]:
    """Look up how a ticket file holds its mask and the statistics of its batch norms; reading it has verified it."""
    with safe_open(path, "pt") as file:
        is_coded, dtype = "mask_coded" in file.keys(), file.get_slice("batch_norm_mean").get_dtype()  # noqa: SIM118
    return "coded" if is_coded else "packed", "float16" if dtype == "F16" else "float32"


def _beside_the_mask(found: Found) -> list[str]:
    """List what a ticket says of its kept edges, for a reader."""
    parts = [] if found.signs is None else ["signs"]
    if found.coats is not None:
        parts.append(f"up to {_highest(found.coats)} coats")
    if found.draws is not None:
        parts.append(f"weights drawn anew up to {_highest(found.draws)} times")
    return parts + ([] if found.gains is None else ["one magnitude a layer"])


def _unverified(network: AnyNetwork) -> str:
    """Say what no digest covers: somebody's own module computes with these weights as its code says today."""
    return f"; the code of {network.kind} is not in the file" if isinstance(network, FactoryNetwork) else ""


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _some(classes: Sequence[str]) -> str:
    """List the classes in the order of the logits, shortened where there are many."""
    shown = ", ".join(classes[:10])
    return f"{shown}, ... {classes[-1]}" if len(classes) > 10 else shown


def _highest(levels: Tensor) -> int:
    """Return the highest of some levels; 0 where no edge is free."""
    return int(levels.max()) if levels.numel() else 0


def _row(counts: Counts) -> tuple[int, int, int, int, int, str]:
    dropped = counts.total - counts.pruned - counts.locked - counts.kept_free
    return counts.total, counts.pruned, counts.locked, counts.kept_free, dropped, f"{counts.density:.4f}"
