"""Forks `assent` processes with everything imported already, so that a hundred restarts take seconds.

Reads orders from its standard input, one JSON object a line: `arguments` of `assent`, `environment` and the file `log`;
and where the process shall live by another clock, `clock`; answers with the process id. What it forks runs the command line itself, as `assent` does. Ends with its input.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def run(order: dict[str, Any]) -> None:
    """Become `assent`, and never return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if sys.platform == "linux":  # dies with its parent, also when the tests themselves are killed
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(log, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for name in [name for name in os.environ if name.startswith("ASSENT_")]:
        del os.environ[name]
    os.environ.update(order["environment"])
    if order["clock"]:
        _live_by(Path(order["clock"]))
    status = 1
    try:
        from api import cli  # noqa: PLC0415  imported in the parent already

        cli.app(order["arguments"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException as error:  # noqa: BLE001  told to whoever reads the log
        sys.stderr.write(f"{type(error).__name__}\n")
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _live_by(clock: Path) -> None:
    """Read the time as somebody has set it; timers run on, as they do when a machine's clock is set."""
    real = time.time_ns
    time.time_ns = lambda: real() + int(clock.read_text("utf-8")) * 1_000


def main() -> None:
    """Import, then fork as told."""
    import api.cli  # noqa: F401, PLC0415  for those that are forked
    import recommender.training  # noqa: F401, PLC0415  likewise

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(order)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
