"""The imports that fresh processes are forked with: torch and all that a cell runs, imported once.

The code's digest and version are computed here too, so that they are of the imported files, not of files edited later.
"""

from contextlib import suppress
from importlib import import_module
from threading import RLock

from tqdm import tqdm

from slt_bench.engine import worker as worker
from slt_bench.params.searches import BUILT_IN
from slt_bench.records.code_digest import OF_A_CELL, kind_code
from slt_bench.records.provenance import code_version
from slt_bench.run import cells as cells
from slt_bench.run import datasets as datasets

tqdm.set_lock(RLock())  # its own is shared by processes, and one that is killed would leak it
for function in (*OF_A_CELL, *BUILT_IN.values()):
    import_module(function.partition(":")[0])
# These are imported when they are called; where one is missing, who needs it says so then.
_LATE = ("slt_bench.data.loader", "slt_bench.tracking.live", "slt_bench.ticket.sizes", "safetensors.torch", "constriction")
for module in _LATE:
    with suppress(ImportError):
        import_module(module)
for search in BUILT_IN.values():
    kind_code((search,))
code_version()
