"""Processes that torchrun started meet; a part of what it sets, left over in the environment, is named."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from slt_bench.common.errors import BenchError
from slt_bench.compute.launch import started_together
from slt_bench.compute.world import ALONE, together

MEETING = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29999"}
MEET = """
import torch
from slt_bench.common.errors import run_command
from slt_bench.compute.world import together

def main():
    with together() as world:
        vector = torch.tensor([1.0 + world.rank])
        world.add(vector)
        print(f"sum {vector.item():g} of {world.size}", flush=True)

run_command(main)
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RANK": None}, "WORLD_SIZE is 2 in the environment, but RANK is not set"),
        ({"MASTER_ADDR": None}, "WORLD_SIZE is 2 in the environment, but MASTER_ADDR is not set"),
        ({"MASTER_PORT": ""}, "WORLD_SIZE is 2 in the environment, but MASTER_PORT is not set"),
        ({"RANK": "2"}, "but RANK is '2', not a whole number from 0 to 1"),
        ({"RANK": "first"}, "but RANK is 'first', not a whole number from 0 to 1"),
        ({"MASTER_PORT": "65536"}, "but MASTER_PORT is '65536', not a whole number from 1 to 65535"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two' in the environment, not a whole number from 1 to"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0' in the environment, not a whole number from 1 to"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE is '-2' in the environment"),
        ({"WORLD_SIZE": "9" * 5000}, "WORLD_SIZE is '9999"),
        ({"WORLD_SIZE": "٢"}, "WORLD_SIZE is '٢' in the environment"),
    ],
)
def test_what_is_left_over_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str | None], message: str
) -> None:
    for name, value in (MEETING | change).items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    for work in (started_together, together().__enter__):
        with pytest.raises(BenchError) as refused:
            work()
        told = str(refused.value)
        assert message in told and "unset WORLD_SIZE" in told and "torchrun" in told and len(told) < 300


@pytest.mark.parametrize("size", ["1", "", " "])
def test_one_process_is_alone_whatever_else_is_set(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    for name, value in (dict.fromkeys(MEETING, "nonsense") | {"WORLD_SIZE": size}).items():
        monkeypatch.setenv(name, value)
    with together() as world:
        assert world == ALONE and not started_together()


def test_a_place_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        for name, value in (MEETING | {"MASTER_PORT": str(taken.getsockname()[1])}).items():
            monkeypatch.setenv(name, value)
        with (
            pytest.raises(BenchError, match=r"^2 processes cannot meet at 127\.0\.0\.1:\d+ \(.*\): unset WORLD_SIZE"),
            together(),
        ):
            pass


@pytest.mark.slow
def test_torchrun_starts_them_too() -> None:
    script = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    done = subprocess.run([*script, sys.executable, "-c", MEET], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.count("sum 3 of 2") == 2, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_one_that_waits_for_others_can_be_stopped(rank: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = os.environ | MEETING | {"RANK": rank, "MASTER_PORT": port}
    soon = "from slt_bench.compute import torchrun; torchrun._SILENCE = 0.1\n"
    waits = subprocess.Popen([sys.executable, "-c", soon + MEET], env=environment, stdout=subprocess.PIPE, text=True)
    assert waits.stdout is not None and f"at 127.0.0.1:{port}" in waits.stdout.readline()
    time.sleep(1)
    waits.send_signal(signal.SIGTERM)
    assert waits.wait(timeout=30) == 75
