"""The parts of ffcv 1.0.2 that write files, imported without ffcv's side effects.

Importing ffcv directly does two things that nobody here wants:

- It builds a numba typed dictionary of two entries, which compiles for seconds: a plain dictionary takes its place.
- It sets torch's number of threads, which is set back afterwards.

ffcv's loader and reader are not used (docs/performance.md says why); they can read the files that are written here.
"""

from __future__ import annotations

import numba.typed
import torch

_threads, _typed_dict = torch.get_num_threads(), numba.typed.Dict
numba.typed.Dict = dict
try:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter
finally:
    numba.typed.Dict = _typed_dict
    torch.set_num_threads(_threads)

__all__ = ["DatasetWriter", "IntField", "RGBImageField"]
