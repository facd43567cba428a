"""Run it and say how it went; with ``--plot`` as a picture, too."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .course import svg, verdict
from .traffic import Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--plot", type=Path, help="where the picture of memory and descriptors goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        soak = Soak(Path(directory))
        samples = soak.run(arguments.minutes * 60)
    if arguments.plot is not None:
        title = f"{arguments.minutes:g} minutes of mixed traffic"
        arguments.plot.write_text(svg(samples, title))
    for name, count in sorted(soak.done.items()):
        print(f"{name:<12} {count:>10}")
    first, last = samples[0], samples[-1]
    print(f"memory       {first.memory / 1e6:.1f} MB at the beginning, {last.memory / 1e6:.1f} MB at the end")
    print(f"descriptors  {first.files} at the beginning, {last.files} at the end")
    wrong = [*verdict(samples), *soak.failures[:20]]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
