"""A picture of how many commits per second every cortex of this machine makes.

    python dashboard.py [PICTURE.svg] [SECONDS]

Looks ten times a second, as an observer: nobody is held up. matplotlib draws it where it is installed, and lines of text do
otherwise. Without arguments it makes some cortexes of its own to look at.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import neocortex
from neocortex import Cortex


def rates(seconds: float) -> dict[str, list[float]]:
    """Commits per second at each look, by name."""
    found: dict[str, list[float]] = {}
    before: dict[str, tuple[float, int]] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = time.monotonic()
        for key, name, _, commits in neocortex.segments():
            label = name or hex(key)
            if label in before and now > before[label][0]:
                since, earlier = before[label]
                found.setdefault(label, []).append((commits - earlier) / (now - since))
            before[label] = (now, commits)
        time.sleep(0.1)
    return found


def draw(found: dict[str, list[float]], picture: Path) -> None:
    try:
        import matplotlib

        matplotlib.use("svg")
        from matplotlib import pyplot
    except ImportError:
        for label, values in sorted(found.items()):
            print(f"{label:40} {sum(values) / len(values):12.0f} commits/s")
        return
    figure, axes = pyplot.subplots(layout="constrained")
    for label, values in sorted(found.items()):
        axes.plot([index / 10 for index in range(len(values))], values, label=label)
    axes.set(xlabel="seconds", ylabel="commits per second")
    if found:
        axes.legend()
    figure.savefig(picture)
    print(picture)


def demo(picture: Path) -> None:
    prefix = f"example/dashboard/{os.getpid()}"
    is_over = threading.Event()

    def work(cortex: Cortex[float], pause: float) -> None:
        while not is_over.wait(pause):
            cortex.update(lambda now: now + 1.0)

    with Cortex.create(f"{prefix}/fast", 0.0) as fast, Cortex.create(f"{prefix}/slow", 0.0) as slow:
        workers = [threading.Thread(target=work, args=pair) for pair in ((fast, 0.001), (slow, 0.05))]
        for worker in workers:
            worker.start()
        found = rates(0.5)
        is_over.set()
        for worker in workers:
            worker.join()
        assert {f"{prefix}/fast", f"{prefix}/slow"} <= found.keys()
        draw(found, picture)


def main() -> None:
    match sys.argv[1:]:
        case []:
            with tempfile.TemporaryDirectory() as folder:
                demo(Path(folder, "commits.svg"))
        case [picture]:
            draw(rates(10.0), Path(picture))
        case [picture, seconds]:
            draw(rates(float(seconds)), Path(picture))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
