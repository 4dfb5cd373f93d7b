"""`await`: changes for asyncio. An event loop watches one descriptor for all that is awaited in it; nothing polls."""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import TYPE_CHECKING, Any

from . import _core
from ._errors import Removed, Timeout

if TYPE_CHECKING:
    from ._commit import Commit


class _Loop:
    """What is awaited in one event loop. The loop refers to it, by its reader, and it does not refer to the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.process = os.getpid()
        self.futures: dict[int, asyncio.Future[int]] = {}
        self.loop = weakref.ref(loop)
        this = weakref.ref(self)

        def wake() -> None:
            loop, mine = this_loop(), this()
            if loop is not None and mine is not None and not loop.is_closed():
                loop.call_soon_threadsafe(mine.settle)

        this_loop = self.loop
        self.changes = _core.Changes(wake)
        self.fd = self.changes.fileno()
        loop.add_reader(self.fd, self.settle)
        _loops[loop] = self

    @staticmethod
    def of(loop: asyncio.AbstractEventLoop) -> _Loop:
        found = _loops.get(loop)
        # A forked child has descriptors and threads of its own.
        return found if found is not None and found.process == os.getpid() else _Loop(loop)

    def settle(self) -> None:
        for number, version, error in self.changes.take():
            future = self.futures.pop(number, None)
            # It may have been cancelled meanwhile.
            if future is None or future.done():
                continue
            if version is not None:
                future.set_result(version)
            elif error is not None:
                future.set_exception(error)
        self.end_if_idle()

    def forget(self, number: int) -> None:
        if self.futures.pop(number, None) is not None:
            self.changes.remove(number)
            self.end_if_idle()

    def end_if_idle(self) -> None:
        loop = self.loop()
        if loop is not None and _loops.get(loop) is self and self.changes.is_idle:
            del _loops[loop]
            if not loop.is_closed():
                loop.remove_reader(self.fd)
            # A traceback of somebody's may refer to this for long.
            self.changes.close()


_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = weakref.WeakKeyDictionary()


async def changed(handle: Any, since: int, timeout: float | None = None) -> int:
    loop = asyncio.get_running_loop()
    while True:
        version: int = handle.version
        if version != since:
            return version
        mine = _Loop.of(loop)
        number = mine.changes.add(handle, since)
        if number is not None:
            break
    future = mine.futures[number] = loop.create_future()
    try:
        async with asyncio.timeout(timeout) as limit:
            return await future
    except TimeoutError:
        if limit.expired():
            raise Timeout(f"{handle}: waiting for change timed out: nothing was committed meanwhile") from None
        raise
    finally:
        mine.forget(number)


async def next_commit(follow: _core.Follow[Any], handle: Any, timeout: float | None) -> Commit[Any]:
    while True:
        try:
            commit = follow.try_next()
            if commit is not None:
                return commit
            await changed(handle, follow.position, timeout)
        except Removed:
            raise StopAsyncIteration from None
