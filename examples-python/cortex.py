#!/usr/bin/env python3
"""A cortex from Python, through the C interface and nothing but ctypes.

    python3 cortex.py             shares a value with a second Python process
    python3 cortex.py read KEY    prints the reading of examples-c/writer.c
    python3 cortex.py write KEY VALUE

Copy `Cortex` into your program: it is all there is. NEOCORTEX_LIBRARY names libneocortex.so where the loader
does not find it.
"""

import ctypes
import ctypes.util
import os
import pathlib
import subprocess
import sys


class Reading(ctypes.Structure):
    """struct reading of examples-c/reading.h: the same bytes."""

    _fields_ = [("value", ctypes.c_double), ("sequence", ctypes.c_uint64)]


class Options(ctypes.Structure):
    """neocortex_options of neocortex.h. All zero but the size is the default."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("mode", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("schema", ctypes.c_uint64),
        ("participants", ctypes.c_uint32),
        ("align", ctypes.c_uint32),
        ("timeout_ns", ctypes.c_int64),
        ("lock", ctypes.c_void_p),
        ("slots", ctypes.c_uint32),
    ]


RANDOM_KEY = 32
ERR_TIMEOUT = -9


def load():
    """The library, with the signatures that are used here: ctypes takes everything for an int otherwise."""
    built = pathlib.Path(__file__).resolve().parent.parent / "target/release/libneocortex.so"
    name = os.environ.get("NEOCORTEX_LIBRARY") or ctypes.util.find_library("neocortex") or str(built)
    library = ctypes.CDLL(name)
    pointer, size, key, count = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32, ctypes.c_uint64
    for function, result, arguments in [
        ("neocortex_create", pointer, [key, size, ctypes.POINTER(Options)]),
        ("neocortex_attach", pointer, [key, size]),
        ("neocortex_close", key, [pointer]),
        ("neocortex_key", key, [pointer]),
        ("neocortex_commit_count", count, [pointer]),
        ("neocortex_read", key, [pointer, pointer, size]),
        ("neocortex_write", key, [pointer, pointer, size]),
        ("neocortex_write_begin", key, [pointer, ctypes.POINTER(pointer)]),
        ("neocortex_write_commit", key, [pointer]),
        ("neocortex_write_abort", key, [pointer]),
        ("neocortex_wait", key, [pointer, count, ctypes.c_int64, ctypes.POINTER(count)]),
        ("neocortex_last_status", key, []),
        ("neocortex_last_message", ctypes.c_char_p, []),
    ]:
        getattr(library, function).restype = result
        getattr(library, function).argtypes = arguments
    return library


LIBRARY = load()


class Failure(Exception):
    """A call that failed: the library's message, and its status."""

    def __init__(self):
        super().__init__(LIBRARY.neocortex_last_message().decode())
        self.status = LIBRARY.neocortex_last_status()


class Cortex:
    """One value of a ctypes type (a Structure, an array, a number) that several processes share."""

    def __init__(self, handle, kind):
        if not handle:
            raise Failure()
        self._handle, self._kind = handle, kind

    @classmethod
    def create(cls, value, key=0):
        """Key 0: a random one. Removed when this object is closed."""
        options = Options(ctypes.sizeof(Options), flags=RANDOM_KEY if key == 0 else 0)
        made = cls(LIBRARY.neocortex_create(key, ctypes.sizeof(value), options), type(value))
        made.write(value)
        return made

    @classmethod
    def attach(cls, key, kind):
        return cls(LIBRARY.neocortex_attach(key, ctypes.sizeof(kind)), kind)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        handle, self._handle = self._handle, None
        self._check(LIBRARY.neocortex_close(handle))

    @staticmethod
    def _check(status):
        if status != 0:
            raise Failure()

    @property
    def key(self):
        return LIBRARY.neocortex_key(self._handle)

    @property
    def version(self):
        """How many writes were committed."""
        return LIBRARY.neocortex_commit_count(self._handle)

    def read(self):
        """A copy of the last committed value."""
        value = self._kind()
        self._check(LIBRARY.neocortex_read(self._handle, ctypes.byref(value), ctypes.sizeof(value)))
        return value

    def write(self, value):
        """Replaces the value, for everybody at once."""
        assert isinstance(value, self._kind)
        self._check(LIBRARY.neocortex_write(self._handle, ctypes.byref(value), ctypes.sizeof(value)))

    def update(self, change):
        """Calls `change` with the value, to be changed in place; nobody writes in between. An exception rolls back."""
        data = ctypes.c_void_p()
        self._check(LIBRARY.neocortex_write_begin(self._handle, ctypes.byref(data)))
        # A copy is what `change` gets: the shared bytes are not there any more once it is over.
        value = self._kind.from_buffer_copy(ctypes.string_at(data, ctypes.sizeof(self._kind)))
        try:
            change(value)
            ctypes.memmove(data, ctypes.byref(value), ctypes.sizeof(value))
        except BaseException:
            self._check(LIBRARY.neocortex_write_abort(self._handle))
            raise
        self._check(LIBRARY.neocortex_write_commit(self._handle))

    def wait(self, since, seconds=None):
        """Sleeps until the version is another than `since`, and returns it; None where the time is over."""
        count = ctypes.c_uint64()
        nanoseconds = -1 if seconds is None else int(seconds * 1e9)
        status = LIBRARY.neocortex_wait(self._handle, since, nanoseconds, ctypes.byref(count))
        if status == ERR_TIMEOUT:
            return None
        self._check(status)
        return count.value


def share():
    with Cortex.create(Reading(20.0, 1)) as cortex:
        seen = cortex.version
        other = subprocess.Popen([sys.executable, __file__, "write", str(cortex.key), "21.5"])
        seen = cortex.wait(seen, 60)
        assert seen is not None and other.wait() == 0
        now = cortex.read()
        print(f"the other process wrote {now.sequence}: {now.value:.2f}")
        assert (now.sequence, now.value) == (2, 21.5)

        def refuse(reading):
            reading.value = -300.0
            raise ValueError("colder than absolute zero")

        try:
            cortex.update(refuse)
        except ValueError as error:
            print(f"{error}; still {cortex.read().value:.2f}")
        assert (cortex.read().value, cortex.version) == (21.5, seen)
        assert cortex.wait(seen, 0) is None
        try:
            Cortex.attach(cortex.key, ctypes.c_char)
            raise AssertionError("a char passed for a reading")
        except Failure as failure:
            print(failure)


def main(arguments):
    match arguments:
        case []:
            share()
        case ["read", key]:
            with Cortex.attach(int(key), Reading) as cortex:
                now = cortex.read()
                print(f"{now.sequence}: {now.value:.2f}")
        case ["write", key, value]:

            def change(reading):
                reading.value = float(value)
                reading.sequence += 1

            with Cortex.attach(int(key), Reading) as cortex:
                cortex.update(change)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
