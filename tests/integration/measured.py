"""
Runs a program, ``measured.py PROGRAM ARGUMENTS...``, so that what coverage measured of it is kept. ``twistd`` ends by
sending itself the signal that it was told to end by, and nothing that is to run at exit runs then.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from coverage import Coverage


def save(event: str, arguments: tuple[object, ...]) -> None:
    """Keep the measurements when the process is about to end itself."""
    measured = Coverage.current()
    if event == "os.kill" and arguments[0] == os.getpid() and measured is not None:
        measured.stop()
        measured.save()


if __name__ == "__main__":
    sys.addaudithook(save)
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
