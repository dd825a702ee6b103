"""Commands run in this process: as the console script runs them, with what they print and how they end."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from slt_bench.cli.commands import invoke
from slt_bench.common.errors import run_command


@dataclass
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: object) -> Ended:
    """Run `slt-bench` with these arguments."""
    out, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    status = 0
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            run_command(lambda: invoke([str(each) for each in arguments]))
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
    return Ended(status, *(stream.buffer.getvalue().decode() for stream in (out, errors)))
