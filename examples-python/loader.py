"""A PyTorch data loader whose batches come from a cortex: workers fill it, however often they are killed.

    python loader.py

A worker prepares batches and commits each; the training process follows the commits, in order. Skipped where torch is not
installed. Needs numpy.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from neocortex import Cortex

# One batch: its number, and 64 pictures with their labels.
BATCH = np.dtype([("number", "i8"), ("pictures", "f4", (64, 28, 28)), ("labels", "i8", (64,))])
BATCHES = 40


def worker(name: str) -> None:
    """Goes on where the last one, which may have been killed, has stopped."""
    with Cortex.attach(name, BATCH, wait=60.0) as batches:
        while True:
            with batches.writing() as batch:
                number = int(batch["number"]) + 1
                random = np.random.default_rng(number)
                batch["number"] = number
                batch["labels"] = random.integers(0, 10, 64)
                batch["pictures"] = random.random((64, 28, 28)) + batch["labels"][:, None, None]
            if number >= BATCHES:
                return


def tensors(name: str) -> Iterator[tuple[Any, Any]]:
    """The batches as tensors. Each commit is a copy of its own, which torch may keep without another one."""
    import torch

    with Cortex.attach(name, BATCH) as batches:
        for commit in batches.follow(0, timeout=60.0):
            # The writer does not wait: what a slow reader has missed it is told.
            assert commit.missed == 0
            assert int(commit.value["number"]) == commit.version
            yield torch.from_numpy(commit.value["pictures"]), torch.from_numpy(commit.value["labels"])
            if commit.version == BATCHES:
                return


def train(name: str) -> None:
    import torch

    class Batches(torch.utils.data.IterableDataset):  # type: ignore[misc, name-defined, unused-ignore]
        def __iter__(self) -> Iterator[tuple[Any, Any]]:
            return tensors(name)

    loader = torch.utils.data.DataLoader(Batches(), batch_size=None)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(28 * 28, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    count = 0
    for pictures, labels in loader:
        loss = torch.nn.functional.cross_entropy(model(pictures), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        count += 1
    print(f"{count} batches, none lost")


def main() -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        print("skipped: torch is not installed")
        return
    name = f"example/loader/{os.getpid()}"
    with Cortex.create(name, np.zeros((), BATCH), slots=BATCHES + 2) as batches:
        command = [sys.executable, __file__, "worker", name]
        first = subprocess.Popen(command)
        batches.wait(0, timeout=60.0)
        # It has committed one. What it is about is lost; what it has committed is not.
        first.send_signal(signal.SIGKILL)
        first.wait()
        with subprocess.Popen(command) as second:
            train(name)
            assert second.wait() == 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(sys.argv[2])
    else:
        main()
