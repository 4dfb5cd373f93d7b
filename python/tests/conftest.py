"""Tries the installed package: `pytest` is run from another folder than the sources'."""

import faulthandler
import os
import pathlib
import sys

import neocortex
import pytest

# What hangs is a failure.
LIMIT = 300

assert pathlib.Path(neocortex.__file__).is_relative_to(sys.prefix), f"not the installed one: {neocortex.__file__}"


def of_this_process():
    """The segments that this process has made, by key."""
    rows = [line.split() for line in pathlib.Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return [int(row[0]) for row in rows if int(row[4]) == os.getpid()]


@pytest.fixture(autouse=True)
def _leaves_nothing():
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    before = of_this_process()
    yield
    faulthandler.cancel_dump_traceback_later()
    assert of_this_process() == before


@pytest.fixture
def name():
    return f"test/python/{os.urandom(8).hex()}"
