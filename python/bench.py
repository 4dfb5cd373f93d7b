"""What the package costs, beside `multiprocessing.shared_memory` with a `Lock`, and numpy's `copyto`: python bench.py

All in one run, whose columns take turns; medians. Not in CI: the figures are for a quiet machine. What they were is told in
docs/performance.md.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import shared_memory
from typing import Any

import numpy as np
from neocortex import Cortex

ROUNDS = 31
SHAPE = (1080, 1920, 3)
SECONDS = 2.0
multiprocessing.set_start_method("fork")


def in_turns(count: int, columns: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Nanoseconds of each, the median of rounds in which they take turns."""
    times: dict[str, list[float]] = {name: [] for name in columns}
    for _ in range(ROUNDS):
        for name, work in columns.items():
            work()
            start = time.perf_counter_ns()
            for _ in range(count):
                work()
            times[name].append((time.perf_counter_ns() - start) / count)
    return {name: statistics.median(values) for name, values in times.items()}


def row(what: str, ours: float, beside: str, theirs: float, unit: str = "ns") -> None:
    print(f"| {what} | {ours:,.0f} {unit} | {beside}: {theirs:,.0f} {unit} | {ours / theirs:.2f} |")


def numbers() -> None:
    memory = shared_memory.SharedMemory(create=True, size=8)
    array = np.ndarray((), "f8", buffer=memory.buf)
    lock = multiprocessing.Lock()

    def read() -> float:
        with lock:
            return float(array[()])

    def write() -> None:
        with lock:
            array[()] = 1.0

    with Cortex.create(None, 1.0) as c:
        found = in_turns(20_000, {"read": c.read, "read with lock": read, "write": lambda: c.write(1.0), "write with lock": write})
    row("read a float", found["read"], "SharedMemory and Lock", found["read with lock"])
    row("write a float", found["write"], "SharedMemory and Lock", found["write with lock"])
    del array
    memory.close()
    memory.unlink()


def frames() -> None:
    # Two of each, for a cortex has two slots: what the caches keep is then the same.
    source, out = np.ones(SHAPE, "u1"), np.empty(SHAPE, "u1")
    places = [np.zeros(SHAPE, "u1") for _ in range(2)]

    def copy() -> None:
        places.append(places.pop(0))
        np.copyto(places[0], source)

    def copy_out() -> None:
        np.copyto(out, places[0])

    with Cortex.create(None, source) as c:

        def overwrite() -> None:
            with c.writing(overwrite=True) as a:
                np.copyto(a, source)

        def look() -> None:
            with c.reading() as a:
                np.copyto(out, a)

        columns = {
            "copyto": copy,
            "write": lambda: c.write(source),
            "overwrite": overwrite,
            "copyto out": copy_out,
            "read into": lambda: c.read(out),
            "reading": look,
        }
        found = {name: value / 1000 for name, value in in_turns(8, columns).items()}
    row("write a 1080p frame", found["write"], "`copyto`", found["copyto"], "µs")
    row("overwrite it in a block", found["overwrite"], "`copyto`", found["copyto"], "µs")
    row("read it into an array", found["read into"], "`copyto`", found["copyto out"], "µs")
    row("copy it in a reading block", found["reading"], "`copyto`", found["copyto out"], "µs")


def paint(write: Callable[[np.ndarray[Any, Any]], None], stop: Any) -> None:
    frame, colour = np.empty(SHAPE, "u1"), 0
    while not stop.is_set():
        colour = (colour + 1) % 250
        frame[:] = colour
        write(frame)


def beside_a_writer(read: Callable[[], Any], out: np.ndarray[Any, Any], write: Any) -> tuple[float, int]:
    """Frames read per second, and how many were torn, beside a writer that never pauses."""
    stop = multiprocessing.Event()
    writer = multiprocessing.Process(target=paint, args=(write, stop))
    writer.start()
    time.sleep(0.2)
    count = torn = 0
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        read()
        count += 1
        # A torn one has two colours: its corners are looked at.
        torn += int(out[0, 0, 0] != out[-1, -1, -1])
    stop.set()
    writer.join()
    return count / SECONDS, torn


def two_processes() -> None:
    memory = shared_memory.SharedMemory(create=True, size=int(np.prod(SHAPE)))
    array, lock, out = np.ndarray(SHAPE, "u1", buffer=memory.buf), multiprocessing.Lock(), np.empty(SHAPE, "u1")

    def locked_write(frame: np.ndarray[Any, Any]) -> None:
        with lock:
            np.copyto(array, frame)

    def locked_read() -> None:
        with lock:
            np.copyto(out, array)

    with Cortex.create(None, np.zeros(SHAPE, "u1"), slots=4) as c:
        ours, theirs = [], []
        for _ in range(3):
            ours.append(beside_a_writer(lambda: c.read(out), out, c.write))
            theirs.append(beside_a_writer(locked_read, out, locked_write))
    assert not sum(torn for _, torn in ours)
    rates = [statistics.median(rate for rate, _ in column) for column in (ours, theirs)]
    row("frames read beside a writer that never pauses", rates[0], "SharedMemory and Lock", rates[1], "/s")
    del array
    memory.close()
    memory.unlink()


def hold(c: Cortex[Any], ready: Any) -> None:
    with c.writing():
        ready.set()
        signal.pause()


def deaths() -> None:
    times = []
    with Cortex.create(None, np.zeros(1 << 20, "u1")) as c:
        for _ in range(30):
            ready = multiprocessing.Event()
            child = multiprocessing.Process(target=hold, args=(c, ready))
            child.start()
            ready.wait()
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            start = time.perf_counter()
            c.write(0)
            times.append((time.perf_counter() - start) * 1000)
    print(f"| a killed holder is passed | {statistics.median(times):.1f} ms, at worst {max(times):.1f} | | |")


def interrupts() -> None:
    code = (
        "import sys, time, signal, neocortex\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "c = neocortex.Cortex.attach(int(sys.argv[1]), float)\n"
        "print('ready', flush=True)\n"
        "try: c.wait(0)\n"
        "except KeyboardInterrupt: print(time.monotonic_ns(), flush=True)\n"
    )
    times = []
    with Cortex.create(None, 0.0) as c:
        for _ in range(20):
            child = subprocess.Popen([sys.executable, "-c", code, str(c.key)], stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.05)
            start = time.monotonic_ns()
            child.send_signal(signal.SIGINT)
            times.append((int(child.stdout.readline()) - start) / 1e6)
            child.wait()
    print(f"| Ctrl-C ends a wait | {statistics.median(times):.2f} ms, at worst {max(times):.2f} | | |")


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}\n")
    print("| work | neocortex | beside it | ratio |\n|---|---|---|---|")
    numbers()
    frames()
    two_processes()
    deaths()
    interrupts()
