"""Source architectures: plain torch modules without biases, batch norm without affine parameters."""

from slt_bench.networks.build import (
    Layer,
    batch_norm_statistics,
    build,
    channels,
    searchable_layers,
    set_batch_norm_statistics,
)

__all__ = ["Layer", "batch_norm_statistics", "build", "channels", "searchable_layers", "set_batch_norm_statistics"]
