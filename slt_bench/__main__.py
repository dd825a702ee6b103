"""`python -m slt_bench` is the command `slt-bench`."""

from slt_bench.cli.commands import main

if __name__ == "__main__":  # not where a worker process imports it
    main()
