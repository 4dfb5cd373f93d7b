"""Closes what is still open when the interpreter ends, so that an owner that ended regularly leaves nothing."""

import atexit
import os
import sys

from . import _core

_process = 0


def expect() -> None:
    """Called before a cortex is opened."""
    global _process
    if _process == os.getpid():
        return
    if _process == 0:
        atexit.register(_core.close_all)
        os.register_at_fork(after_in_child=_core.forked)
    _process = os.getpid()
    util = sys.modules.get("multiprocessing.util")
    # A child of multiprocessing ends without `atexit`.
    if util is not None and sys.modules["multiprocessing.process"].parent_process() is not None:
        util.Finalize(None, _core.close_all, exitpriority=0)
