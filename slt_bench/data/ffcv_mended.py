"""ffcv 1.0.2 with its traps mended; everything else in this package takes ffcv's names from here.

- Importing it builds a numba typed dictionary of two entries, which compiles for seconds: a plain one does.
- It never asks numba to cache what it compiles, so that every process compiles for 5 to 12 s.
- Importing it and each of its loaders set torch's thread count to the loader's.
- An error in the thread that makes batches ends that thread, and whoever waits for a batch waits for ever.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numba
import numba.typed
import torch
from numba.core import config
from numba.core.errors import NumbaWarning

_home = Path.home() if os.access(Path.home(), os.W_OK) else Path(gettempdir())
os.environ.setdefault("NUMBA_CACHE_DIR", str(_home / ".cache" / "slt-bench" / "numba"))
config.reload_config()  # numba may have been imported before the cache directory was named
_threads, _numba_threads, _typed_dict = torch.get_num_threads(), numba.get_num_threads(), numba.typed.Dict
numba.typed.Dict = dict
try:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import SimpleRGBImageDecoder
    from ffcv.loader import Loader
    from ffcv.loader.epoch_iterator import EpochIterator
    from ffcv.pipeline.allocation_query import AllocationQuery
    from ffcv.pipeline.compiler import Compiler
    from ffcv.pipeline.operation import Operation
    from ffcv.writer import DatasetWriter
finally:
    numba.typed.Dict = _typed_dict
    torch.set_num_threads(_threads)

__all__ = [
    "AllocationQuery", "DatasetWriter", "IntDecoder", "IntField", "Loader", "Operation", "RGBImageField",
    "SimpleRGBImageDecoder",
]  # fmt: skip


def _compile_cached(code: Callable[..., Any], signature: Any = None) -> Callable[..., Any]:
    parallel = bool(getattr(code, "is_parallel", False)) and Compiler.num_threads > 1
    options: dict[str, Any] = {"fastmath": True, "nogil": True, "error_model": "numpy", "parallel": parallel, "cache": True}
    compiled: Callable[..., Any] = numba.njit(signature, **options)(code)
    return compiled


def _set_numba_threads(count: int) -> None:
    Compiler.num_threads = count
    numba.set_num_threads(min(count, _numba_threads))


_make_batches, _next_batch = EpochIterator.run, EpochIterator.__next__


def _run_and_tell(self: Any) -> None:
    try:
        _make_batches(self)
    except Exception as error:
        self.failure = error
        self.output_queue.put(None)


def _next_or_raise(self: Any) -> Any:
    try:
        return _next_batch(self)
    except StopIteration:
        if (failure := getattr(self, "failure", None)) is not None:
            raise failure from None
        raise


# What calls ffcv's C functions cannot be cached; it compiles in a few tenths of a second.
warnings.filterwarnings("ignore", ".*Cannot cache compiled function", NumbaWarning)
EpochIterator.run = _run_and_tell
EpochIterator.__next__ = _next_or_raise
Compiler.compile = staticmethod(_compile_cached)
Compiler.set_num_threads = staticmethod(_set_numba_threads)
