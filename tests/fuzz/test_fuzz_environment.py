"""Whatever the environment and the arguments say, a command ends by itself, with its own exit status and no traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slt_bench.cli.commands import main
from slt_bench.compute.torchrun import read_rendezvous
from slt_bench.doctor import examine
from slt_bench.doctor.images import variables
from tests.experiment.test_params import GOOD
from tests.fuzz.harness import attempt, fuzzed, within

NUMBERS = ["", " ", "0", "1", "2", "-1", "1.5", "1e3", "0x10", "2,3", "+1", "٢", "²", "9" * 30, "1\n2"]
PLACES = ["/", ".", "..", "~", "/nothing/here", "/dev/null", "/dev/full", "/proc/self", "x" * 5000, "params.yaml", "tree",
          "file", "pictures.tar", "dangling", "loop", "\udcff\udcfe", "naïve ünïcode", "two\nlines"]  # fmt: skip
ADDRESSES = [
    "sqlite:///mlflow.db",
    "http://127.0.0.1:1",
    "http://me:secret@host/%25?x#y",
    "http://[",
    "file:",
    "databricks",
    "://",
]
LANGUAGES = ["C", "POSIX", "en_US.ISO-8859-1", "nonsense", "dumb", ""]
TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30)
VALUES = {
    **dict.fromkeys(("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT", "SLT_BENCH_LAUNCHED"), NUMBERS),
    **dict.fromkeys(("OMP_NUM_THREADS", "COLUMNS", "LINES", "MLFLOW_HTTP_REQUEST_TIMEOUT", "CUDA_VISIBLE_DEVICES"), NUMBERS),
    **dict.fromkeys((*variables(), "HOME", "TMPDIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PATH", "PWD"), PLACES),
    **dict.fromkeys(("MASTER_ADDR", "MLFLOW_TRACKING_URI"), ADDRESSES),
    **dict.fromkeys(("LANG", "LC_ALL", "TERM"), LANGUAGES),
}
ENVIRONMENTS = st.fixed_dictionaries({}, optional={name: st.sampled_from(odd) | TEXT for name, odd in VALUES.items()})
ENCODINGS = st.sampled_from(["ascii", "latin-1", "cp1252", "cp437", "utf-8", "utf-16", "shift_jis"])
COMMANDS = [
    ["doctor"],
    ["check"],
    ["plan"],
    ["plan", "one"],
    ["run", "one", "--executor", "tcp://nowhere"],
    ["prepare", "nothing"],
    ["--help"],
]
OPTIONS = [
    "plan", "prepare", "search", "check", "evaluate", "ticket", "run", "one", "--jobs", "--workers", "--devices", "--executor",
    "--given", "nowhere:make", "--write", "--mask", "--", "-", "0", "-1", "1/2", "0,1", "{}", "coded",
]  # fmt: skip
ARGUMENTS = st.lists(st.sampled_from(OPTIONS) | TEXT, max_size=5)
WRITING = {"run", "report", "results", "track", "schema"}  # for seconds, where all else is right


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project as working directory, with a few things that variables may name."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "params.yaml").write_text(GOOD)
    (directory / "tree" / "train" / "cat").mkdir(parents=True)
    (directory / "file").write_bytes(b"\x1f\x8bnonsense")
    subprocess.run(["tar", "-cf", "pictures.tar", "tree"], cwd=directory, check=True)
    (directory / "dangling").symlink_to("nothing")
    (directory / "loop").symlink_to("loop")
    before = Path.cwd()
    os.chdir(directory)
    examine()  # what takes seconds is loaded once
    run({}, "utf-8", ["run", "one", "--executor", "tcp://nowhere"])  # dask, which says what it dislikes in an odd environment
    yield directory
    os.chdir(before)


@contextmanager
def changed(environment: dict[str, str]) -> Iterator[None]:
    """The process with another environment."""
    with patch.dict(os.environ):
        for name in VALUES:
            os.environ.pop(name, None)
        os.environ.update(environment)
        yield


def run(environment: dict[str, str], encoding: str, arguments: list[str]) -> object:
    """Run a command in this process: it ends with status 0 or 2, which is returned, and says why where that is 2."""
    seconds = 60 if "--executor" in arguments else 5  # dask is loaded, and a scheduler has 20 seconds to answer
    status: object = 0
    out, errors = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    with ExitStack() as stack:
        for name, value in (("stdout", out), ("stderr", errors), ("argv", ["slt-bench", *arguments])):
            stack.enter_context(patch.object(sys, name, value))
        stack.enter_context(changed(environment))
        stack.enter_context(within(seconds))
        try:
            main()
        except SystemExit as stop:
            status = stop.code
    printed, complaint = (stream.buffer.getvalue().decode(encoding) for stream in (out, errors))
    assert status in (0, 2) and "Traceback" not in complaint + printed, complaint
    assert "error: " in complaint if status else printed and not complaint, complaint
    return status


@fuzzed
@given(ENVIRONMENTS, ENCODINGS, st.sampled_from(COMMANDS))
def test_any_environment(project: Path, environment: dict[str, str], encoding: str, command: list[str]) -> None:
    run(environment, encoding, command)


@fuzzed
@given(ARGUMENTS, ENCODINGS)
def test_any_arguments(project: Path, arguments: list[str], encoding: str) -> None:
    assume(not WRITING & set(arguments))
    run({}, encoding, arguments)


@fuzzed
@given(st.sampled_from(sorted(WRITING)), ARGUMENTS, ENCODINGS)
def test_any_arguments_on_a_target_that_is_not_there(project: Path, command: str, more: list[str], encoding: str) -> None:
    run({}, encoding, [command, *more, "nothing"])


@fuzzed
@given(ENVIRONMENTS)
def test_any_word_on_processes(environment: dict[str, str]) -> None:
    with changed(environment):
        found = attempt(read_rendezvous)
    if found is not None:
        assert (
            0 <= found.rank < found.world_size == int(environment["WORLD_SIZE"]) and 1 <= found.port < 2**16 and found.address
        )


ODD = {
    "ascii": {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "unwritable": {"HOME": "/nothing/here", "NUMBA_CACHE_DIR": "/nothing/here", "OMP_NUM_THREADS": "many", "COLUMNS": "-1"},
    "left over": {
        "WORLD_SIZE": "2", "SLT_BENCH_CIFAR10": "nothing", "MLFLOW_TRACKING_URI": "nonsense:", "MPLCONFIGDIR": "/dev/null",
    },
}  # fmt: skip


@pytest.mark.parametrize("environment", ODD)
@pytest.mark.parametrize("command", ["doctor", "check", "plan"])
def test_a_command_in_an_odd_environment(project: Path, command: str, environment: str) -> None:
    status = run(ODD[environment], "ascii", [command])
    assert status == (2 if command == "doctor" and "WORLD_SIZE" in ODD[environment] else 0)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "environment"), [("plan", "ascii"), ("doctor", "unwritable"), ("check", "left over")])
def test_a_process_in_an_odd_environment(project: Path, command: str, environment: str) -> None:
    """Python reads some of it as it starts, and libraries as they are imported."""
    variables = os.environ | ODD[environment]
    done = subprocess.run([sys.executable, "-m", "slt_bench", command], env=variables, capture_output=True)
    complaint = done.stderr.decode(errors="replace")
    assert done.returncode == 0 and "Traceback" not in complaint, complaint
    assert environment != "ascii" or (done.stdout + done.stderr).isascii()
