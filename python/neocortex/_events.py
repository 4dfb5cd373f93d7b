"""`await`: changes for asyncio. The thread of `_core` tells; nothing here polls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from . import _core
from ._errors import Removed, Timeout

if TYPE_CHECKING:
    from ._commit import Commit


async def changed(handle: Any, since: int, timeout: float | None = None) -> int:
    version: int = handle.version
    if version != since:
        return version
    loop = asyncio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()

    def settle(version: int | None, error: Exception | None) -> None:
        # It may have been cancelled meanwhile.
        if not future.done():
            if version is not None:
                future.set_result(version)
            elif error is not None:
                future.set_exception(error)

    def tell(version: int | None, error: Exception | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, version, error)

    number = _core.watch(handle, since, tell)
    try:
        async with asyncio.timeout(timeout) as limit:
            return await future
    except TimeoutError:
        if limit.expired():
            raise Timeout(f"{handle}: waiting for change timed out: nothing was committed meanwhile") from None
        raise
    finally:
        _core.unwatch(number)


async def next_commit(follow: _core.Follow[Any], handle: Any, timeout: float | None) -> Commit[Any]:
    while True:
        try:
            commit = follow.try_next()
            if commit is not None:
                return commit
            await changed(handle, follow.position, timeout)
        except Removed:
            raise StopAsyncIteration from None
