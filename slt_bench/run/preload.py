"""What the processes of a pool are forked with: torch and all of ours, imported once.

With them they take the version of what was imported: each for itself would take that of the files of a later moment.
"""

from slt_bench.records.code_digest import cell_code
from slt_bench.records.provenance import code_version

cell_code()
code_version()
