"""The imports that all processes of a pool are forked with: torch and this package, imported once.

The code's digest and version are computed here too, so that they are of the imported files, not of files edited later.
"""

from slt_bench.records.code_digest import cell_code
from slt_bench.records.provenance import code_version

cell_code()
code_version()
