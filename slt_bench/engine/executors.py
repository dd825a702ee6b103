"""The executors that a user can name: this machine, a dask cluster, or any executor that a function of the user's returns."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.engine.channel import Channel, DaskChannel, FileLine, ThreadLine

LOCAL = "local"
_SCHEMES = ("tcp://", "tls://", "ws://", "wss://", "ucx://", "inproc://")
_DASK_TIMEOUT = 20  # seconds to reach a scheduler
T = TypeVar("T")


@dataclass(frozen=True)
class Engine:
    """An executor that is open, the channel to its workers, and a line that says where it can be watched."""

    executor: Executor
    channel: Channel
    about: str = ""
    has_own_disks: bool = True  # whether workers may not see the head's directory
    everywhere: Callable[..., Iterable[Any]] = lambda *_: ()  # calls a function on each worker, where that can be done


class LocalExecutor(ThreadPoolExecutor):
    """This machine: each thread has a job run by a fresh process, on one of the devices that are free.

    The processes are not one `ProcessPoolExecutor`: that ends all of them when one dies, and does not tell which it was.
    """

    def __init__(self, jobs: int, devices: Sequence[str] = ()) -> None:
        """Start no process yet.

        Args:
            jobs: at a time, 1 or more.
            devices: CUDA devices, by number or name, shared out in turn; if empty, every job sees all.
        """
        super().__init__(jobs)
        self.devices: SimpleQueue[str | None] = SimpleQueue()
        for index in range(jobs):
            self.devices.put(devices[index % len(devices)] if devices else None)

    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> Future[T]:
        """Run a function of some arguments, and of `device`, in a thread."""

        def run() -> T:
            device = self.devices.get()
            try:
                return function(*arguments, **options, device=device)
            finally:
                self.devices.put(device)

        return super().submit(run)


@contextmanager
def opened(name: str, token: str, jobs: int = 1, devices: Sequence[str] = ()) -> Iterator[Engine]:
    """Open the executor that a user names, for the duration of the block.

    Args:
        name: `local`, the address of a dask scheduler (tcp://HOST:PORT), or `module:function`, which returns a dask Client or
            any `concurrent.futures.Executor`; the module may lie in the project's directory.
        token: of the run, for the channel.
        jobs: of the local executor: at a time.
        devices: of the local executor: CUDA devices to share out.

    Raises:
        BenchError: there is no such executor, or it cannot be reached.
    """
    directory = paths.run_dir(token).absolute()
    if name == LOCAL:
        with LocalExecutor(jobs, devices) as executor:
            yield Engine(executor, ThreadLine(), has_own_disks=False)
    elif name.startswith(_SCHEMES):
        with _client(name) as client:
            yield _on_dask(client, token)
    elif ":" in name:
        with _called(name) as made, ExitStack() as stack:
            if cluster := getattr(made, "cluster", None):  # that the function has started: its jobs end with the run
                stack.callback(cluster.close)
            yield _on_dask(made, token) if hasattr(made, "get_executor") else Engine(made, FileLine(directory))
    else:
        raise BenchError(f"there is no executor '{name}': give local, tcp://HOST:PORT of a dask scheduler, or module:function")


def _client(address: str) -> Any:
    """Connect with a dask scheduler."""
    from distributed import Client

    try:
        return Client(address, timeout=_DASK_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        complaint = f"no dask scheduler answers at {address}: {error}"
    except AssertionError:  # dask gives its event loop ten seconds, and says no more
        complaint = f"dask's event loop did not start, so {address} was not asked: try again on a quieter machine"
    gc.collect()  # the client that failed: while another one is made its end would wait for ever, for a lock of that one
    raise BenchError(complaint)


def width(name: str) -> int | None:
    """Look up how many cells a dask scheduler's workers run at a time; None for other executors, who do not tell.

    Raises:
        BenchError: the scheduler cannot be reached.
    """
    if not name.startswith(_SCHEMES):
        return None
    with _client(name) as client:
        return sum(client.nthreads().values())


def _on_dask(client: Any, token: str) -> Engine:
    topic = f"slt-bench-{token}"
    about = f"dask scheduler {client.scheduler.address}"
    if "dashboard" in client.scheduler_info()["services"]:
        about += f", dashboard {client.dashboard_link}"

    def everywhere(function: Callable[..., T], *arguments: Any) -> list[T]:
        return list(client.run(function, *arguments, on_error="ignore").values())

    return Engine(client.get_executor(pure=False), DaskChannel(client, topic), about, everywhere=everywhere)


def _called(name: str) -> Any:
    """Call the function that `module:function` names; a library that it lacks is named as any other."""
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise BenchError(
            f"executor {name}: give module:function, the module as Python imports it, as cluster:make of cluster.py"
        )
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        make = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name not in (module, module.partition(".")[0]):
            raise
        raise BenchError(f"executor {name}: there is no module '{error.name}', installed or in this directory") from None
    except AttributeError as error:
        raise BenchError(f"executor {name}: {error}") from None
    made = make()
    if not (isinstance(made, Executor) or hasattr(made, "get_executor")):
        raise BenchError(f"executor {name} returns {type(made).__name__}; it must return a dask Client or a "
                         "concurrent.futures.Executor")  # fmt: skip
    return made
