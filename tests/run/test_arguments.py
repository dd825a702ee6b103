"""What cannot be asked for is refused before anything is read, in the words of the option."""

from __future__ import annotations

import pytest

from slt_bench.arguments import parser
from slt_bench.params.machine import Machine


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        *(("--jobs", value, "must be 1 or more") for value in ("0", "-1", "1.5", "two", "²", "", "9" * 5000)),
        *(("--workers", value, "must be 1 or more") for value in ("0", "-1", "257", "many")),
        *(("--devices", value, "must be like 0,1") for value in ("", ",", "0,", ",0", "0,,1", "cuda:0", "0 1", "-1", "GPU-")),
        *(("--part", value, "must be like 1/2") for value in ("0/1", "2/1", "1", "1/", "/", "a/b", "1/2/3", "9" * 5000 + "/1")),
    ],
)
def test_what_cannot_be_is_refused(capsys: pytest.CaptureFixture[str], option: str, value: str, message: str) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(["run", "one", f"{option}={value}"])
    told = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2 and f"argument {option}: {message}" in told and len(told) < 200


def test_what_can_be_is_taken() -> None:
    options = ["--jobs", "4", "--workers", "256", "--devices", "0,1,GPU-0a1b/2", "--part", "2/3"]
    given = parser().parse_args(["run", "one", "two", *options])
    assert (given.targets, given.jobs, given.workers, given.part) == (["one", "two"], 4, 256, (2, 3))
    assert given.devices == ["0", "1", "GPU-0a1b/2"] and Machine(workers=given.workers)
    none = parser().parse_args(["run", "one"])
    assert (none.jobs, none.workers, none.devices, none.part) == (None, None, [], (1, 1))


@pytest.mark.parametrize("given", ["", "{}", "[]", "nonsense", '{"machine": 1, "cell": {}}', "[" * 100_000])
def test_what_processes_tell_each_other_is_no_traceback(capsys: pytest.CaptureFixture[str], given: str) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(["search", "cell", "--given", given])
    assert stop.value.code == 2 and "leave it out" in capsys.readouterr().err
