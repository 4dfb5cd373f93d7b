"""What the compiled part has. `timeout` is in seconds; None is for ever, and 0 does not wait."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, Literal, Self, SupportsIndex, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from ._commit import Commit

_T = TypeVar("_T")
_S = TypeVar("_S", bound=np.generic)
_B = TypeVar("_B", bytearray, memoryview)
_H = TypeVar("_H", bound=Handle[Any])
_Shape = SupportsIndex | Sequence[SupportsIndex]
_Key = str | int
_Lock = Literal["seqlock", "rwlock", "semaphore"]
_Owner = tuple[int | None, int | None]

class Handle(Generic[_T]):
    """What both kinds of handles have. They may be used from any thread, and in a forked child; a pickled one attaches
    again where it is unpickled. Closed by `close`, by `with`, when nothing refers to it, and at the end of the program."""

    def read(self, out: _T | None = None, *, timeout: float | None = None) -> _T:
        """A copy of the last committed value, into `out` where it is given (an array of this dtype and shape)."""
    def read_versioned(self, out: _T | None = None, *, timeout: float | None = None) -> tuple[_T, int]:
        """The value and which commit it is: `wait(version)` then waits for the next one."""
    def wait(self, since: int | None = None, timeout: float | None = None) -> int:
        """Sleeps until the version is another than `since` (None: than it is now), and returns it. Raises `Timeout`,
        `Removed`. A program that gives the version it has read misses no commit in between."""
    def changed(self, since: int | None = None, timeout: float | None = None) -> Awaitable[int]:
        """`wait`, for asyncio. However many are awaited, one thread waits; a cancelled one leaves nothing."""
    def follow(self, since: int | None = None, timeout: float | None = None) -> Follow[_T]:
        """The commits after `since` (None: from now on), each once and in order. `slots` at creation says how many are
        kept for those who are late; `kept_since` is where the oldest kept one begins."""
    def close(self) -> None:
        """The owner's close removes the cortex. `Busy` while a block is open. Once is enough, and more does no harm."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def key(self) -> int: ...
    @property
    def name(self) -> str:
        """The name that it was created under; "" where it was created by number."""
    @property
    def version(self) -> int:
        """How many writes were committed."""
    @property
    def kept_since(self) -> int:
        """The position from which `follow` begins with the oldest commit that is kept."""
    @property
    def schema(self) -> int: ...
    @property
    def lock(self) -> str: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def dtype(self) -> Any:
        """What `attach` is given for the same value: float, int, bool, bytes, or a dtype."""
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def is_removed(self) -> bool: ...
    @property
    def is_poisoned(self) -> bool: ...
    @property
    def participants(self) -> tuple[int, int]:
        """How many are attached, and how many can be; observers do not count."""

class Cortex(Handle[_T]):
    """Takes part: reads and writes."""

    @overload
    @classmethod
    def create(
        cls,
        key: _Key | None,
        value: NDArray[_S],
        *,
        lock: _Lock = "seqlock",
        mode: int = 0o600,
        owner: _Owner | None = None,
        participants: int = 128,
        slots: int = 2,
        in_place: bool = False,
        schema: int | str | None = None,
        persist: bool = False,
        open_or_create: bool = False,
        replace_stale: bool = False,
        force_ownership: bool = False,
        prefault: bool = False,
        lock_in_memory: bool = False,
        huge_pages: bool = False,
        dump: bool = False,
        timeout: float | None = None,
    ) -> Cortex[NDArray[_S]]:
        """Makes one with its first value; this handle is the owner, whose close removes it, unless `persist`.

        `key` is a name or a number; None: a random number. `open_or_create` attaches where there is one already, and
        `replace_stale` takes the place of what a killed owner has left. `mode` is who may use it; (user, group) is whom it
        belongs to. `lock="rwlock"` lets several `reading` blocks go on at once. `schema` says what the value means, as a
        text or its number, in place of dtype and shape."""
    @overload
    @classmethod
    def create(
        cls,
        key: _Key | None,
        value: _T,
        *,
        lock: _Lock = "seqlock",
        mode: int = 0o600,
        owner: _Owner | None = None,
        participants: int = 128,
        slots: int = 2,
        in_place: bool = False,
        schema: int | str | None = None,
        persist: bool = False,
        open_or_create: bool = False,
        replace_stale: bool = False,
        force_ownership: bool = False,
        prefault: bool = False,
        lock_in_memory: bool = False,
        huge_pages: bool = False,
        dump: bool = False,
        timeout: float | None = None,
    ) -> Cortex[_T]: ...
    @overload
    @classmethod
    def attach(
        cls,
        key: _Key,
        dtype: type[float] | type[int] | type[bool] | type[bytes],
        shape: None = None,
        *,
        schema: int | str | None = None,
        wait: float | None = 0.0,
        prefault: bool = False,
        dump: bool = False,
    ) -> Cortex[Any]:
        """Attaches to what exists; with `wait`, waits for its creator for so many seconds (None: for ever). Another size,
        dtype, shape or schema is `Mismatch`; `schema=0` does not compare it. In place of dtype and shape, a value as for
        `create`: its dtype and shape are meant."""
    @overload
    @classmethod
    def attach(
        cls,
        key: _Key,
        dtype: type[_S] | np.dtype[_S],
        shape: _Shape | None = None,
        *,
        schema: int | str | None = None,
        wait: float | None = 0.0,
        prefault: bool = False,
        dump: bool = False,
    ) -> Cortex[NDArray[_S]]: ...
    @overload
    @classmethod
    def attach(
        cls,
        key: _Key,
        dtype: Any,
        shape: _Shape | None = None,
        *,
        schema: int | str | None = None,
        wait: float | None = 0.0,
        prefault: bool = False,
        dump: bool = False,
    ) -> Cortex[NDArray[Any]]: ...
    def write(self, value: _T, *, timeout: float | None = None) -> None:
        """Replaces the value, for everybody at once."""
    def update(self, change: Callable[[_T], _T | None], *, timeout: float | None = None) -> None:
        """Calls `change` with a copy of the value and commits what it returns, or an array that it has changed in place;
        nobody writes in between. An exception changes nothing."""
    def reading(self, *, timeout: float | None = None) -> AbstractContextManager[_T]:
        """`with c.reading() as a`: a read-only array over the shared bytes. When the block has ended, the array cannot be
        used, and what was made of it without a copy (a slice) has become one."""
    def writing(self, *, overwrite: bool = False, timeout: float | None = None) -> AbstractContextManager[_T]:
        """`with c.writing() as a`: an array over the next value, which starts as the current one; with `overwrite` its
        contents are unspecified, and all of it is to be written. The end of the block commits; an exception rolls back.
        Afterwards as with `reading`."""
    def clear_poison(self) -> None: ...
    def take_ownership(self) -> None:
        """From here on closing this handle removes it, and closing the owner before does not."""
    def persist(self) -> None:
        """It stays when it is closed."""
    @property
    def is_owner(self) -> bool: ...
    @property
    def was_created(self) -> bool: ...

class Observer(Handle[_T]):
    """Only reads: needs read permission alone, takes no participant slot, and holds nobody up."""

    @overload
    @classmethod
    def attach(
        cls,
        key: _Key,
        dtype: type[float] | type[int] | type[bool] | type[bytes],
        shape: None = None,
        *,
        schema: int | str | None = None,
        wait: float | None = 0.0,
        prefault: bool = False,
        dump: bool = False,
    ) -> Observer[Any]: ...
    @overload
    @classmethod
    def attach(
        cls,
        key: _Key,
        dtype: type[_S] | np.dtype[_S],
        shape: _Shape | None = None,
        *,
        schema: int | str | None = None,
        wait: float | None = 0.0,
        prefault: bool = False,
        dump: bool = False,
    ) -> Observer[NDArray[_S]]: ...
    @overload
    @classmethod
    def attach(
        cls,
        key: _Key,
        dtype: Any,
        shape: _Shape | None = None,
        *,
        schema: int | str | None = None,
        wait: float | None = 0.0,
        prefault: bool = False,
        dump: bool = False,
    ) -> Observer[NDArray[Any]]: ...

class Follow(Generic[_T]):
    """Iterates over commits, and waits for the next one; ends when the cortex is removed. Also with `async for`."""

    @property
    def position(self) -> int:
        """The number of the last commit that was read: `follow(position)` goes on from there."""
    def next(self, timeout: float | None = None) -> Commit[_T]: ...
    def try_next(self) -> Commit[_T] | None: ...
    def __iter__(self) -> Iterator[Commit[_T]]: ...
    def __next__(self) -> Commit[_T]: ...
    def __aiter__(self) -> AsyncIterator[Commit[_T]]: ...
    def __anext__(self) -> Awaitable[Commit[_T]]: ...

def wait_any(seen: dict[_H, int], timeout: float | None = None) -> dict[_H, int]:
    """Waits until one of several cortexes has another version than was seen, and returns those with their versions:
    `seen |= wait_any(seen)`."""

def key_of(name: str) -> int:
    """The key that follows from a name, as `ipcs -m` shows it."""

def schema_of(text: str) -> int:
    """The schema that follows from a text, the same in every language."""

def remove(key: _Key) -> None:
    """Removes a cortex, in use or not: those that are attached keep their memory."""

def reclaim(key: _Key) -> None:
    """Removes what a killed owner has left; `Busy` where somebody uses it or it was made to stay."""

def segments() -> list[tuple[int, str, int, int]]:
    """The cortexes of this machine: (key, name, bytes, commits) of each."""

def close_all() -> None: ...
def forked() -> None: ...

class Changes:
    """What one event loop awaits."""

    def __init__(self, wake: Callable[[], None]) -> None: ...
    def fileno(self) -> int: ...
    def add(self, handle: Handle[Any], since: int) -> int | None: ...
    def remove(self, number: int) -> None: ...
    def take(self) -> list[tuple[int, int | None, BaseException | None]]: ...
    def close(self) -> None: ...
    @property
    def is_idle(self) -> bool: ...
