"""Values that processes share, and that survive whatever a process dies of.

A value is a float, an int, a bool, bytes, or a numpy array of any dtype that holds no objects. Give it a name, read it,
write it: no process sees half a value, and a process may be killed at any instruction without the others hanging or losing
the last value that was committed.

    from neocortex import Cortex, Observer

    with Cortex.create("oven/temperature", 20.0) as oven:
        oven.update(lambda now: now + 0.5)          # as one step
        elsewhere = Observer.attach("oven/temperature", float)
        print(elsewhere.read(), elsewhere.version)  # 20.5 1

The exceptions are below `CortexError`, and each also below the one of Python's that says the same.
"""

from ._commit import Commit
from ._core import Cortex, Follow, Handle, Observer, key_of, reclaim, remove, schema_of, segments, wait_any
from ._errors import (
    Busy,
    Corrupt,
    CortexError,
    Denied,
    Exists,
    Full,
    InvalidArgument,
    Mismatch,
    NotFound,
    NotReady,
    Poisoned,
    Removed,
    SystemFailure,
    Timeout,
    Unsupported,
)

__all__ = [
    "Busy",
    "Commit",
    "Corrupt",
    "Cortex",
    "CortexError",
    "Denied",
    "Exists",
    "Follow",
    "Full",
    "Handle",
    "InvalidArgument",
    "Mismatch",
    "NotFound",
    "NotReady",
    "Observer",
    "Poisoned",
    "Removed",
    "SystemFailure",
    "Timeout",
    "Unsupported",
    "key_of",
    "reclaim",
    "remove",
    "schema_of",
    "segments",
    "wait_any",
]
