"""How a command ends: in one line that names what is wrong, on any terminal, and with its exit status."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from slt_bench.common.errors import BenchError, Preempted, run_command
from slt_bench.common.libraries import LIBRARIES, Library
from tests.experiment.test_params import GOOD

SIGNS = "98.75 ± 0.20 – — × ✓ ✗ † ☂ \udcff"


def ends(work: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit status and last words of a command."""

    def command() -> None:
        work()

    with pytest.raises(SystemExit) as stop:
        run_command(command)
    return stop.value.code, capsys.readouterr().err


def fail(error: BaseException) -> Callable[[], NoReturn]:
    def work() -> NoReturn:
        raise error

    return work


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.module)
def test_a_missing_library_is_named_with_the_command_that_brings_it(
    library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, library.module, None)
    status, last_words = ends(lambda: __import__(library.module), capsys)
    assert status == 2 and last_words == f"error: {library.purpose} needs {library.distribution}: {library.install}\n"
    assert (f"[{library.extra}]" in last_words) == bool(library.extra)


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == {missing!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Absent())
sys.argv[1:] = {command}
from slt_bench.cli.commands import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("missing", "command"), [("numba", "prepare digits"), ("cv2", "prepare digits"), ("numba", "run one")])
def test_commands_without_an_extra_say_which(missing: str, command: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(GOOD)
    script = WITHOUT.format(missing=missing, command=command.split())
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    last_words = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and last_words.endswith(": pip install 'slt-bench[data]'"), done.stderr
    assert "preparing and loading images needs" in last_words and "Traceback" not in done.stderr


def test_a_library_that_is_broken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    error = ImportError("libGL.so.1: cannot open it\nand more", name="cv2")
    status, last_words = ends(fail(error), capsys)
    assert status == 2 and last_words.startswith("error: opencv-python cannot be loaded (libGL.so.1: cannot open it);")
    _, last_words = ends(fail(ModuleNotFoundError("No module named 'numba.old'", name="numba.old")), capsys)
    assert last_words.startswith("error: numba cannot be loaded (No module named 'numba.old')")
    _, last_words = ends(fail(ModuleNotFoundError("No module named 'deep'", name="deep")), capsys)
    assert last_words.startswith("error: a library needs deep, which is missing")


def test_a_mistake_in_this_package_is_no_message() -> None:
    with pytest.raises(ModuleNotFoundError):
        run_command(fail(ModuleNotFoundError("No module named 'slt_bench.nothing'", name="slt_bench.nothing")))
    with pytest.raises(ZeroDivisionError):
        run_command(fail(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("work", "line"),
    [
        (lambda: Path("folder").read_text(), "error: folder: Is a directory"),
        (lambda: Path("file/below").read_text(), "error: file/below: Not a directory"),
        (lambda: Path("nothing").read_text(), "error: nothing: No such file or directory"),
        (lambda: Path("two\nlines").read_text(), r"error: 'two\nlines': No such file or directory"),
        (lambda: os.open(b"nothing", 0), "error: nothing: No such file or directory"),
        (lambda: os.stat(10**6), "error: file descriptor 1000000: Bad file descriptor"),  # noqa: PTH116
        (fail(OSError(errno.ENOSPC, "No space left on device")), "error: a file or the output: No space left on device"),
        (fail(OSError(errno.EROFS, "Read-only file system", "out")), "error: out: Read-only file system"),
        (fail(OSError("no number\nand more")), "error: the system: no number"),
    ],
)
def test_an_unusable_file_is_one_line(
    work: Callable[[], object], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert ends(work, capsys) == (2, f"{line}\n")


def test_stops_have_their_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(fail(Preempted("stopped")), capsys) == (75, "\nstopped\n")
    assert ends(fail(KeyboardInterrupt()), capsys) == (130, "\nstopped\n")
    assert ends(fail(BenchError("no")), capsys) == (2, "error: no\n")
    assert ends(fail(BrokenPipeError()), capsys) == (1, "")
    assert ends(lambda: sys.exit(3), capsys) == (3, "")


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("ascii", "98.75 +- 0.20 - - x ok !! * ? ?"),
        ("latin-1", "98.75 ± 0.20 - - × ok !! * ? ?"),
        ("cp437", "98.75 ± 0.20 - - x ok !! * ? ?"),
        ("utf-8", "98.75 ± 0.20 – — × ✓ ✗ † ☂ ?"),
    ],
)
def test_a_terminal_that_lacks_a_sign_shows_another(encoding: str, printed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)

    def work() -> None:
        print(SIGNS)
        raise BenchError(SIGNS)

    with pytest.raises(SystemExit):
        run_command(work)
    shown = [stream.buffer.getvalue().decode(encoding) for stream in streams.values()]
    assert shown == [f"{printed}\n", f"error: {printed}\n"]


@pytest.mark.parametrize("buffered", [True, False])
def test_an_output_that_cannot_be_written_is_one_line(buffered: bool) -> None:
    script = "from slt_bench.common.errors import run_command; run_command(lambda: print('something'))"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    command = [sys.executable, *([] if buffered else ["-u"]), "-c", script]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
    place = "standard output" if buffered else "a file or the output"
    assert (done.returncode, done.stderr) == (2, f"error: {place}: No space left on device\n")
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "something\n")


@pytest.mark.parametrize("buffered", [True, False])
def test_a_reader_that_has_gone_is_no_word(buffered: bool) -> None:
    script = "from slt_bench.common.errors import run_command; run_command(lambda: print('something'))"
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, *([] if buffered else ["-u"]), "-c", script]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
