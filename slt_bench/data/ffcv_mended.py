"""ffcv 1.0.2 with its traps mended; everything else in this package takes ffcv's names from here.

- Importing it builds a numba typed dictionary of two entries, which compiles for seconds: a plain one does.
- It never asks numba to cache what it compiles, so that every process compiles for 5 to 12 s.
- Importing it and each of its loaders set torch's thread count to the loader's.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("NUMBA_CACHE_DIR", str(Path.home() / ".cache" / "slt-bench" / "numba"))

import numba
import numba.typed
import torch
from numba.core.config import reload_config
from numba.core.errors import NumbaWarning

reload_config()  # numba may have been imported before the cache directory was named
_threads, _typed_dict = torch.get_num_threads(), numba.typed.Dict
numba.typed.Dict = dict
try:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import SimpleRGBImageDecoder
    from ffcv.loader import Loader
    from ffcv.pipeline.compiler import Compiler
    from ffcv.pipeline.operation import Operation
    from ffcv.reader import Reader
    from ffcv.writer import DatasetWriter
finally:
    numba.typed.Dict = _typed_dict
    torch.set_num_threads(_threads)

__all__ = [
    "DatasetWriter", "IntDecoder", "IntField", "Loader", "Operation", "RGBImageField", "Reader", "SimpleRGBImageDecoder"
]  # fmt: skip


def _compile_cached(code: Callable[..., Any], signature: Any = None) -> Callable[..., Any]:
    parallel = bool(getattr(code, "is_parallel", False)) and Compiler.num_threads > 1
    options = {"fastmath": True, "nogil": True, "error_model": "numpy", "parallel": parallel, "cache": True}
    compiled: Callable[..., Any] = numba.njit(signature, **options)(code)
    return compiled


def _set_numba_threads(count: int) -> None:
    Compiler.num_threads = count
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


# Wrappers of ffcv's C functions cannot be cached; they compile in a few tenths of a second.
warnings.filterwarnings("ignore", ".*Cannot cache compiled function", NumbaWarning)
Compiler.compile = staticmethod(_compile_cached)
Compiler.set_num_threads = staticmethod(_set_numba_threads)
