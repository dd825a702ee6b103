"""The command line: arguments come in here, and errors end here."""

from __future__ import annotations

import os
import sys

import click

from slt_bench.cli import reporting, running
from slt_bench.cli.group import commands
from slt_bench.common.errors import BenchError, run_command

__all__ = ["commands", "invoke", "main", "reporting", "running"]  # the latter two have declared the commands by now
_COMPLETION = "_SLT_BENCH_COMPLETE"  # the variable by which a shell asks for completion


def main() -> None:
    """Run the command of this process's arguments, and exit with its status."""
    run_command(lambda: invoke(sys.argv[1:]))


def invoke(arguments: list[str]) -> None:
    """Run a command; `arguments` are its name, options and targets.

    Raises:
        BenchError: the arguments are invalid, or the command has failed.
        SystemExit: the command ends with another status than 0.
    """
    if _COMPLETION in os.environ:
        commands.main(arguments, prog_name="slt-bench", complete_var=_COMPLETION)
    try:
        with commands.make_context("slt-bench", arguments or ["--help"]) as context:
            commands.invoke(context)
    except click.exceptions.Exit as end:
        raise SystemExit(end.exit_code) from None
    except click.UsageError as error:
        where = f"; `{error.ctx.command_path} --help` tells more" if error.ctx else ""
        raise BenchError(f"{' '.join(error.format_message().split()).rstrip('.')}{where}") from None
