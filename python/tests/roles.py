"""What other processes do in the tests, and how they are started."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

LIMIT = 120

# A program that is started in the background ignores the signal, and so would every Python that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

PREAMBLE = "import os, signal, sys, threading, time\nimport neocortex as nc\n"


def command(code, *arguments):
    return [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), *map(str, arguments)]


def run(code, *arguments, **more):
    """Another Python, to its end."""
    return subprocess.run(command(code, *arguments), capture_output=True, text=True, timeout=LIMIT, **more)


def succeed(code, *arguments):
    """What it printed; it must say nothing else."""
    done = run(code, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def start(code, *arguments):
    """Another Python that says `ready` when it is about to do what it is for."""
    child = subprocess.Popen(command(code, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    return child


def until_asleep(child):
    """Until it sleeps in the system: it is in the call then, for nothing else that it does sleeps."""
    while pathlib.Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        os.sched_yield()


def end(child):
    """Its output, when it has ended well."""
    out, _ = child.communicate(timeout=LIMIT)
    assert child.returncode == 0, child.returncode
    return out


# In children of multiprocessing.


def add(cortex, times):
    for _ in range(times):
        cortex.update(lambda now: now + 1)


def add_in_block(cortex, times):
    for _ in range(times):
        with cortex.writing() as array:
            array += 1


def use(cortex):
    cortex.read()


def hold_for_ever(cortex, ready):
    with cortex.writing() as array:
        array[:] = 255
        ready.set()
        signal.pause()


def hold_lock_for_ever(lock, ready):
    with lock:
        ready.set()
        signal.pause()


def create_and_forget(queue):
    import neocortex

    global forgotten
    forgotten = neocortex.Cortex.create(None, 1.0)
    queue.put(forgotten.key)


def paint(cortex, stop):
    """Whole frames of one colour each, never pausing."""
    import numpy as np

    frame = np.empty(cortex.shape, cortex.dtype)
    colour = 0
    while not stop.is_set():
        colour = (colour + 1) % 250
        frame[:] = colour
        cortex.write(frame)
