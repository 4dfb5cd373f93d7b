"""Frames of a camera, drawn into shared memory by one process and looked at by another.

    python frames.py [--show]

Without a camera, a bar moves. `--show` opens a window where OpenCV is installed. Needs numpy.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from neocortex import Cortex, Observer, Removed

SHAPE = (480, 640, 3)
FRAMES = 60


def camera(name: str) -> None:
    """The process that draws."""
    with Cortex.attach(name, np.uint8, SHAPE, wait=60.0) as frames:
        for number in range(FRAMES):
            # Nobody sees it before the block ends. All of it is drawn, so nothing is copied there first.
            with frames.writing(overwrite=True) as frame:
                frame[:] = 32
                frame[:, number * 10 : number * 10 + 10] = (0, 128, 255)


def view(frames: Observer[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]], show: bool) -> tuple[int, int]:
    """The process that looks: how many frames it saw, and how many it had no time for."""
    seen = looked_at = 0
    frame = np.empty(SHAPE, np.uint8)
    while seen < FRAMES:
        frames.wait(seen, timeout=60.0)
        # The newest whole frame, and which one it is.
        _, seen = frames.read_versioned(frame)
        looked_at += 1
        # One bar, ten points wide, of one colour: the frame is whole.
        assert int((frame[:, :, 2] == 255).sum()) == 10 * SHAPE[0]
        if show:
            import cv2

            cv2.imshow("frames", frame)
            cv2.waitKey(1)
    return looked_at, seen - looked_at


def main() -> None:
    name = f"example/frames/{os.getpid()}"
    with Cortex.create(name, np.zeros(SHAPE, np.uint8), slots=4), Observer.attach(name, np.uint8, SHAPE) as frames:
        other = subprocess.Popen([sys.executable, __file__, "camera", name])
        try:
            looked_at, left_out = view(frames, "--show" in sys.argv)
            print(f"{looked_at} frames seen, each whole; {left_out} left out for newer ones")
        except Removed:
            sys.exit("somebody has removed the frames")
        finally:
            assert other.wait() == 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["camera"]:
        camera(sys.argv[2])
    else:
        main()
