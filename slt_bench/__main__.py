"""`python -m slt_bench` is the command `slt-bench`."""

from slt_bench.cli import main

main()
