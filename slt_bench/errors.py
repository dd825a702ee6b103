"""The one error that users are meant to see, and how a command ends with it."""

from __future__ import annotations

import sys
from collections.abc import Callable


class BenchError(Exception):
    """Something that the user can mend. The message names the thing and the mend."""


class Interrupted(BenchError):
    """Work was stopped on purpose; the same command goes on."""


def run_command(main: Callable[[], None]) -> None:
    """Run a command; a BenchError becomes its message and exit code 2, Ctrl-C exit code 130."""
    try:
        main()
    except Interrupted as stop:
        print(f"\n{stop}", file=sys.stderr)
        sys.exit(130)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone (`slt-bench plan | head`)
        sys.stderr.close()
        sys.exit(1)
