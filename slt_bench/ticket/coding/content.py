"""The bytes of a ticket file: a ticket put together with its header, and the digest that the header carries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from slt_bench.networks.budget import Budget
from slt_bench.ticket.coding.levels import encode_levels, level_counts, pack_levels
from slt_bench.ticket.coding.mask_coding import CodedMask, encode, pack, pack_roles
from slt_bench.ticket.found import Found
from slt_bench.ticket.masked_network import MaskedNetwork
from slt_bench.ticket.ticket import Ticket

KEY = "slt-bench"  # of the header in the metadata of safetensors
BUDGET = ("edges", "pruned", "locked")  # keys of the header
LEVELS = ("coats", "draws")  # keys of the header, and names of tensors
STATISTICS = ("batch_norm_mean", "batch_norm_var")  # names of tensors


@dataclass(frozen=True)
class Coded:
    """The entropy-coded parts of a ticket."""

    mask: CodedMask
    levels: dict[str, Tensor]  # of LEVELS, those that the ticket has -> uint8[4 w]


def encode_found(found: Found, stops: Sequence[int]) -> Coded | None:
    """Entropy-code what a ticket has found; None where there is no mask.

    Args:
        found: of the ticket.
        stops: where each layer ends in the mask.

    Raises:
        BenchError: the package that codes masks is not installed.
    """
    if found.mask is None:
        return None
    return Coded(encode(found.mask, stops), {name: encode_levels(levels) for name, levels in _levels(found).items()})


def assemble(
    ticket: Ticket, budget: Budget, digest: str, statistics: dict[str, Tensor], coded: Coded | None = None
) -> bytes:  # fmt: skip
    """Put the bytes of a ticket file together.

    Args:
        ticket: the ticket to write.
        budget: of its source network.
        digest: of the network that the file rebuilds to, 64 hex digits.
        statistics: the tensors `batch_norm_mean` and `batch_norm_var` in the type in which they are stored.
        coded: the ticket's mask and levels, entropy-coded; packed bits if left out.

    Returns:
        The whole content of the file.
    """
    from safetensors.torch import save

    header: dict[str, Any] = {"spec": spec_json(ticket), "digest": digest, **header_budget(budget)}
    tensors = dict(statistics)
    if coded is not None:
        tensors["mask_coded"], header["kept"] = coded.mask.code, coded.mask.kept
    elif ticket.mask is not None:
        tensors["mask"] = pack(ticket.mask)
    if ticket.weights is not None:
        tensors["weights"] = ticket.weights
    header |= {name: level_counts(levels) for name, levels in _levels(ticket.found).items()}
    for name, tensor in packed_extras(ticket.found).items():
        is_coded = coded is not None and name in coded.levels
        tensors |= {f"{name}_coded": coded.levels[name]} if coded is not None and is_coded else {name: tensor}
    if ticket.roles is not None:
        tensors["roles"] = pack_roles(ticket.roles)
    return save(tensors, {KEY: _canonical(header)})


def packed_extras(found: Found) -> dict[str, Tensor]:
    """Pack what a ticket says of kept edges beside the mask, by the names of tensors."""
    extras = {name: pack_levels(levels) for name, levels in _levels(found).items()}
    if found.signs is not None and found.mask is not None:
        extras["signs"] = pack(found.signs[found.mask])
    return extras | ({"gains": found.gains} if found.gains is not None else {})


def _levels(found: Found) -> dict[str, Tensor]:
    """Give the levels of the kept edges, uint8[k] by their names: coats less one, so that one coat is level 0, and draws."""
    if found.mask is None:
        return {}
    parts = {"coats": found.coats, "draws": found.draws}
    kept = {name: part[found.mask] for name, part in parts.items() if part is not None}
    return {name: levels - 1 if name == "coats" else levels for name, levels in kept.items()}


def spec_json(ticket: Ticket) -> dict[str, Any]:
    """Give the spec of a ticket as a header holds it: plain values, without those that are None."""
    return ticket.spec.model_dump(mode="json", exclude_none=True)


def header_budget(budget: Budget) -> dict[str, list[int]]:
    """List edges of each layer and, where there are any, the pruned and locked ones: for readers without the layouts."""
    layers_of = zip(BUDGET, (budget.sizes, budget.pruned, budget.locked), strict=True)
    return {key: counts.tolist() for key, counts in layers_of if counts.any()}


def digest_of(spec: dict[str, Any], network: MaskedNetwork, statistics: dict[str, Tensor]) -> str:
    """Compute the digest of a ticket file (docs/ticket-format.md, step 6).

    Args:
        spec: as it is in the header; in an older file its keys are older too.
        network: the rebuilt network, on the CPU: its roles and effective weights count.
        statistics: the tensors `batch_norm_mean` and `batch_norm_var` as they are stored.

    Returns:
        SHA-256 in 64 hex digits.
    """
    hasher = hashlib.sha256(_canonical(spec).encode())
    hasher.update(network.source.roles.numpy().tobytes())
    hasher.update(network.effective.numpy().astype("<f4", copy=False).tobytes())
    for name in STATISTICS:
        values = statistics[name].contiguous().numpy()
        hasher.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return hasher.hexdigest()


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
