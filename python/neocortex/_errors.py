"""What can go wrong. A message says what was tried, what the system answered, and what to do."""


class CortexError(Exception):
    """Above everything that goes wrong with a cortex."""


class SystemFailure(CortexError, OSError):
    """A system call failed; `errno` says how. Where something was left in the kernel, the message names it."""

    def __str__(self) -> str:
        return str(self.strerror)


class NotFound(SystemFailure, FileNotFoundError):
    """There is no cortex with this key."""


class Exists(SystemFailure, FileExistsError):
    """A cortex has this key already; the message says whether it is stale."""


class Denied(SystemFailure, PermissionError):
    """The system does not let this user do that."""


class Timeout(CortexError, TimeoutError):
    """The time that was given is over."""


class Mismatch(CortexError, TypeError):
    """What has the key has another size, dtype, shape, schema or name, or is no cortex."""


class Poisoned(CortexError):
    """A write in place was not finished: a whole `write` or `clear_poison` heals it."""


class Removed(CortexError):
    """The cortex was removed: attach again once it was created again."""


class Busy(CortexError):
    """Another process or thread uses it in a way that forbids this, or this thread holds it already."""


class Full(CortexError):
    """All participant slots are taken: create it with more `participants`, or use an `Observer`."""


class Corrupt(CortexError):
    """Something wrote over the bookkeeping of the cortex: remove it and create it again."""


class NotReady(CortexError):
    """Its creator has not finished, or died before it did."""


class Unsupported(CortexError):
    """This cortex, lock or system does not do that."""


class InvalidArgument(CortexError, ValueError):
    """An argument that was never valid; the message says which."""
