"""What cannot be asked for is refused before anything is read, in the words of the option."""

from __future__ import annotations

from pathlib import Path

import pytest

from slt_bench.cli.commands import commands
from slt_bench.params.machine import Machine
from slt_bench.run.tables import rates as tried_rates
from tests.cli.run import command
from tests.experiment.test_params import GOOD


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        *(("--jobs", value, "must be 1 or more") for value in ("0", "-1", "1.5", "two", "²", "", "9" * 5000)),
        *(("--workers", value, "must be 1 or more") for value in ("0", "-1", "257", "many")),
        *(("--devices", value, "must be like 0,1") for value in ("", ",", "0,", ",0", "0,,1", "cuda:0", "0 1", "-1", "GPU-")),
    ],
)
def test_what_cannot_be_is_refused(option: str, value: str, message: str) -> None:
    ended = command("run", "one", f"{option}={value}")
    (told,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and f"Invalid value for '{option}': {message}" in told and len(told) < 220
    assert told.startswith("error: ") and told.endswith("; `slt-bench run --help` tells more")


def test_what_can_be_is_taken() -> None:
    options = ["--jobs", "4", "--workers", "256", "--devices", "0,1,GPU-0a1b/2", "--executor", "tcp://head:8786", "--decide"]
    given = commands.commands["run"].make_context("run", ["one", "two", *options, "--hours", "1.5"]).params
    assert given == {
        "targets": ("one", "two"),
        "jobs": 4,
        "workers": 256,
        "executor": "tcp://head:8786",
        "devices": ["0", "1", "GPU-0a1b/2"],
        "afresh": False,
        "decide": True,
        "hours": 1.5,
    }
    assert Machine(workers=given["workers"])
    none = commands.commands["run"].make_context("run", ["one"]).params
    left_out: dict[str, object] = {"jobs": None, "workers": None, "devices": [], "executor": "local", "afresh": False}
    left_out |= {"decide": False, "hours": None}
    assert none == {"targets": ("one",), **left_out}


@pytest.mark.parametrize(("options", "afresh"), [([], False), (["--afresh"], True)])
def test_searches_at_other_rates_can_begin_anew_too(options: list[str], afresh: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = []
    monkeypatch.setattr(tried_rates, "try_rates", lambda experiments, *_: machines.append(experiments.params.machine))
    commands.commands["rates"].main(["demo", "--rates", "0.1", *options], standalone_mode=False)
    assert [machine.afresh for machine in machines] == [afresh]


@pytest.mark.parametrize("given", ["", "{}", "[]", "nonsense", '{"machine": 1, "cell": {}}', "[" * 100_000])
def test_what_processes_tell_each_other_is_no_traceback(given: str) -> None:
    ended = command("search", "cell", "--given", given)
    assert ended.returncode == 2 and "leave it out" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plam"], "No such command 'plam'. Did you mean 'plan'?"),
        (["run"], "Missing argument 'TARGET...'"),
        (["run", "one", "--job", "2"], "No such option"),
        (["ticket", "file", "--mask", "zip"], "'zip' is not one of 'packed', 'coded'"),
        (["ticket", "file", "--mask", "coded"], "give --write OUT with them"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str) -> None:
    ended = command(*arguments)
    assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1, ended.stderr
    assert ended.stderr.startswith("error: ") and message in ended.stderr


def test_help_and_version() -> None:
    assert command("--version").stdout.startswith("slt-bench ")
    for shown in (command("--help"), command()):
        assert shown.returncode == 0 and "Run what is left of tables or cells" in shown.stdout
    assert "Cells at a time" in command("run", "--help").stdout


def test_the_shell_completes_names_of_params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(GOOD)
    monkeypatch.setenv("_SLT_BENCH_COMPLETE", "bash_complete")
    for words, expected in (("slt-bench run o", "one"), ("slt-bench prepare d", "digits"), ("slt-bench pl", "plan")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        assert expected in command().stdout
    Path("params.yaml").write_text("no: parameters")
    monkeypatch.setenv("COMP_WORDS", "slt-bench run o")
    assert "one" not in command().stdout


@pytest.mark.parametrize("value", ["", ",", "0.1,", "x", "0", "-1", "nan", "inf", "1e9"])
def test_rates_that_cannot_be_are_refused(value: str) -> None:
    ended = command("rates", "one", f"--rates={value}")
    (told,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and "Invalid value for '--rates': must be like 0.1,0.3,1" in told and len(told) < 220


@pytest.mark.parametrize("value", ["", "x", "0", "-1", "nan", "inf"])
def test_hours_that_cannot_be_are_refused(value: str) -> None:
    ended = command("run", "one", "--decide", f"--hours={value}")
    (told,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and "Invalid value for '--hours': must be a number above 0" in told
