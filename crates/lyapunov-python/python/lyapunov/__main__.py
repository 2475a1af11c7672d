"""``python -m lyapunov``: the program, without networks of its own. It shows what runs have left."""

from __future__ import annotations

import contextlib
import signal
import sys

from ._core import program


def main(name: str = "lyapunov") -> int:
    """Carries out the command line of this process; signals end it as they end any program."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdout.flush()
    return program([name, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main("python -m lyapunov"))
