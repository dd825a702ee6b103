"""What the command `slt-bench` can be asked for, and that it is asked for something possible."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

_DEVICE = re.compile(r"\d{1,4}|(GPU|MIG)-[0-9A-Za-z/-]+", re.ASCII)  # a number or, as nvidia-smi -L shows it, a name
_MOST_JOBS = 1024


def parser() -> argparse.ArgumentParser:
    """Commands and their options."""
    parser = argparse.ArgumentParser(prog="slt-bench", description="Benchmark for strong lottery tickets.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("check", help="validate params.yaml")
    plan = commands.add_parser("plan", help="list cells: done, stale, missing, and the time left")
    plan.add_argument("table", nargs="?", help="one table; all if left out")
    plan.add_argument("--slurm", action="store_true", help="print an array job of the cells that are left")
    prepare = commands.add_parser("prepare", help="write a dataset's .beton files")
    prepare.add_argument("dataset")
    _add_run(commands.add_parser("run", help="run cells without DVC's lock; of a table, DVC takes the results over"))
    search = commands.add_parser("search", help="the search of one cell alone; with torchrun, by several processes")
    search.add_argument("cell")
    search.add_argument("--given", type=_given, help=argparse.SUPPRESS)
    commands.add_parser("evaluate", help="the test metrics of a cell's tickets").add_argument("cell")
    ticket = commands.add_parser("ticket", help="verify a ticket file and show what is in it")
    ticket.add_argument("file", type=Path)
    ticket.add_argument("--write", type=Path, metavar="OUT", help="write it again, in another form")
    ticket.add_argument("--mask", choices=["packed", "coded"], help="with --write; coded: entropy-coded")
    ticket.add_argument("--statistics", choices=["float32", "float16"], help="with --write; of the batch norms")
    report = commands.add_parser("report", help="write a table and its figures from the result files")
    report.add_argument("table", nargs="?", help="one table; all that have results, and a page of all, if left out")
    results = commands.add_parser("results", help="keep the reports of complete tables in results/, for the repository")
    results.add_argument("tables", nargs="*", metavar="TABLE", help="all that are complete if left out")
    track = commands.add_parser("track", help="rebuild MLflow's view of the result files, without duplicates")
    track.add_argument("table", nargs="?", help="one table; all if left out")
    commands.add_parser("schema", help="write the JSON schema of params.yaml for editors")
    commands.add_parser("doctor", help="what is there, what is missing, and how to fix it")
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("targets", nargs="+", metavar="TARGET", help="a table or a cell")
    run.add_argument(
        "--jobs", type=_jobs, metavar="N", help="cells at a time, a process each; as many as --devices if left out, else 1"
    )
    run.add_argument("--devices", type=_devices, default=[], metavar="0,1", help="CUDA devices to spread them over")
    run.add_argument(
        "--part", type=_part, default=(1, 1), metavar="I/N", help="the I-th of N parts of the cells: one a machine"
    )
    run.add_argument(
        "--workers", type=_workers, metavar="N", help="threads that load images, in place of machine.workers of params.yaml"
    )


def _jobs(text: str) -> int:
    return _number(text, _MOST_JOBS)


def _workers(text: str) -> int:
    """As many as params.yaml may say."""
    from slt_bench.params.machine import Machine

    return _number(text, Machine.model_json_schema()["properties"]["workers"]["maximum"])


def _number(text: str, most: int) -> int:
    if not (text.isdecimal() and len(text) < 10 and 1 <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"must be 1 or more, and {most:,} or less, got {text[:40]!r}")
    return int(text)


def _devices(text: str) -> list[str]:
    """Numbers or names, separated by commas."""
    devices = text.split(",")
    for device in devices:
        if not _DEVICE.fullmatch(device):
            raise argparse.ArgumentTypeError(f"must be like 0,1 (numbers or names of CUDA devices), got {text[:40]!r}")
    return devices


def _part(text: str) -> tuple[int, int]:
    """I/N."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and len(text) < 20 and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"must be like 1/2, got {text[:40]!r}")
    return int(part), int(parts)


def _given(text: str) -> str:
    """Cell and machine as the process that started this one has them."""
    from slt_bench.experiment.cell import Cell
    from slt_bench.params.machine import Machine

    try:
        given = json.loads(text)
        Machine(**given["machine"])
        Cell.model_validate(given["cell"])
    except (ValueError, TypeError, LookupError, RecursionError):
        raise argparse.ArgumentTypeError("is what `slt-bench run` tells its own processes; leave it out") from None
    return text
