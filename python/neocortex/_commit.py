"""What a follower yields."""

from typing import Generic, NamedTuple, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Commit(NamedTuple, Generic[T_co]):
    """One commit: its value, its number, and how many before it were made since the last one that was read and can no
    longer be read."""

    value: T_co
    version: int
    missed: int
