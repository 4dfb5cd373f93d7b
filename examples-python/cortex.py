#!/usr/bin/env python3
"""A cortex from Python, through the C interface and nothing but ctypes.

    python3 cortex.py             shares a value with a second Python process
    python3 cortex.py read KEY    prints the reading of examples-c/writer.c, whose KEY is the name example/reading
    python3 cortex.py write KEY VALUE

Wherever a key is taken it may be a number or a name, and the key of a name is the same in every language.

Copy what stands above `share` into your program: it is all there is. NEOCORTEX_LIBRARY names libneocortex.so where
the loader does not find it.
"""

import ctypes
import ctypes.util
import gc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import weakref


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
        ("owner_uid", ctypes.c_uint32),
        ("owner_gid", ctypes.c_uint32),
    ]


# What a keyword argument of `Cortex.create` and `Cortex.attach` sets in Options.flags.
FLAGS = {
    "in_place": 1,
    "force_ownership": 2,
    "replace_stale": 4,
    "persist": 8,
    "read_only": 16,
    "open_or_create": 128,
    "interruptible": 256,
    "prefault": 512,
    "lock_in_memory": 1024,
    "huge_pages": 2048,
    "prefer_huge_pages": 65536,
}
# What changes the handle that is opened, so that attaching takes it too.
OF_A_HANDLE = ("read_only", "interruptible", "prefault")
RANDOM_KEY = 32
SET_OWNER = 16384
WORDS_PYTHON = 2
ERR_NOT_READY, ERR_TIMEOUT, ERR_FULL = -8, -9, -15

# A signal's Python handler runs when a call has returned, so no call waits longer than this.
SLICE = 0.05
# Nor does attaching: but a cortex that this user may not open is given half a second, so that its creator can give it.
CREATOR_SLICE = 1.0
# The signals whose handlers may raise in the middle of an update.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)


def load():
    """The library, with the signatures that are used here: ctypes takes everything for an int otherwise."""
    built = pathlib.Path(__file__).resolve().parent.parent / "target/release/libneocortex.so"
    name = os.environ.get("NEOCORTEX_LIBRARY") or ctypes.util.find_library("neocortex") or str(built)
    library = ctypes.CDLL(name)
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32
    count, nanoseconds, text = ctypes.c_uint64, ctypes.c_int64, ctypes.c_char_p
    for function, result, arguments in [
        ("neocortex_key_of", number, [text, ctypes.POINTER(number)]),
        ("neocortex_schema_of", count, [text]),
        ("neocortex_create_with", pointer, [number, size, pointer, ctypes.POINTER(Options)]),
        ("neocortex_create_named_with", pointer, [text, size, pointer, ctypes.POINTER(Options)]),
        ("neocortex_attach_with", pointer, [number, size, ctypes.POINTER(Options)]),
        ("neocortex_attach_named", pointer, [text, size, ctypes.POINTER(Options)]),
        ("neocortex_attach_wait", pointer, [number, size, ctypes.POINTER(Options), nanoseconds]),
        ("neocortex_attach_named_wait", pointer, [text, size, ctypes.POINTER(Options), nanoseconds]),
        ("neocortex_close", number, [pointer]),
        ("neocortex_key", number, [pointer]),
        ("neocortex_name", text, [pointer]),
        ("neocortex_was_created", ctypes.c_bool, [pointer]),
        ("neocortex_is_owner", ctypes.c_bool, [pointer]),
        ("neocortex_take_ownership", number, [pointer]),
        ("neocortex_commit_count", count, [pointer]),
        ("neocortex_read_for", number, [pointer, size, pointer, size, nanoseconds]),
        ("neocortex_read_versioned", number, [pointer, pointer, size, ctypes.POINTER(count)]),
        ("neocortex_write_for", number, [pointer, size, pointer, size, nanoseconds]),
        ("neocortex_write_begin_for", number, [pointer, nanoseconds, ctypes.POINTER(pointer)]),
        ("neocortex_overwrite_begin", number, [pointer, nanoseconds, ctypes.POINTER(pointer)]),
        ("neocortex_write_commit", number, [pointer]),
        ("neocortex_write_abort", number, [pointer]),
        ("neocortex_clear_poison", number, [pointer]),
        ("neocortex_set_timeout", number, [pointer, nanoseconds]),
        ("neocortex_wait", number, [pointer, count, nanoseconds, ctypes.POINTER(count)]),
        ("neocortex_last_status", number, []),
        ("neocortex_last_message_as", text, [ctypes.c_uint32]),
    ]:
        getattr(library, function).restype = result
        getattr(library, function).argtypes = arguments
    return library


LIBRARY = load()


class Failure(Exception):
    """A call that failed: the library's message, and its status."""

    def __init__(self):
        super().__init__(LIBRARY.neocortex_last_message_as(WORDS_PYTHON).decode(errors="replace"))
        self.status = LIBRARY.neocortex_last_status()


def check(status):
    if status != 0:
        raise Failure()


def in_slices(call, seconds, between=lambda: None, slice=SLICE):
    """Calls `call(nanoseconds)` until it is not a time-out any more, or `seconds` are over (None: for ever). Its status."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        left = slice if end is None else max(0.0, min(slice, end - time.monotonic()))
        status = call(int(left * 1e9))
        if status != ERR_TIMEOUT or (end is not None and time.monotonic() >= end):
            return status
        between()


def encoded(text):
    """A text as the library takes it: ctypes would cut it at a 0."""
    if "\0" in text:
        raise ValueError("a name has no control characters")
    return text.encode()


def key_of(name):
    """The key that follows from a name, the same in every language. What is no name is a Failure."""
    number = ctypes.c_int32()
    check(LIBRARY.neocortex_key_of(encoded(name), ctypes.byref(number)))
    return number.value


def schema_of(description):
    """A number for `schema=` that follows from a description of the type, the same in every language."""
    return LIBRARY.neocortex_schema_of(encoded(description))


def by_key(number, name, key):
    """Of two functions of the library the one for this key, a number or a name, and its first argument."""
    return (name, encoded(key)) if isinstance(key, str) else (number, key)


def bits_of(flags, allowed):
    unknown = flags.keys() - set(allowed)
    if unknown:
        raise TypeError(f"not known here: {', '.join(sorted(unknown))}")
    return sum(FLAGS[name] for name, is_set in flags.items() if is_set)


class Signals:
    """Decides when a signal's handler may raise: `with Signals(own) as signals`, and then only after `signals.open()`, only
    once, and never in a function whose code is in `own`. What comes at another time is raised by `check`, or at the end
    of the block."""

    def __init__(self, own):
        self._own, self._handlers, self._noted = {*own, Signals.__exit__.__code__}, {}, []
        # "pass": as if this were not here. "note": later. "open": now, and then "note".
        self._mode = "pass"

    def __enter__(self):
        # Python runs handlers on the main thread alone.
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                handler = signal.getsignal(number)
                # One that an interrupt kept from being put back does nothing any more.
                while isinstance(getattr(handler, "__self__", None), Signals) and handler.__self__._mode == "pass":
                    handler = handler.__self__._handlers[number]
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._handle)
        self._mode = "note"
        return self

    def _handle(self, number, frame):
        if self._mode == "note" or (self._mode == "open" and frame is not None and frame.f_code in self._own):
            self._noted.append(number)
            return
        if self._mode == "open":
            self._mode = "note"
        self._handlers[number](number, frame)

    def check(self):
        """Raises what was noted. Nothing must be held, or it must be released then."""
        while self._noted:
            number = self._noted.pop()
            self._handlers[number](number, None)

    def open(self):
        self._mode = "open"
        self.check()

    def __exit__(self, *_):
        self._mode = "pass"
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self.check()


def apply(change, value):
    """In a function of its own, so that a signal's handler can tell `change` from what is around it."""
    change(value)


def describe(kind):
    """A ctypes type as something that can be pickled: array types have no name of their own."""
    if isinstance(kind, type) and issubclass(kind, ctypes.Array) and kind.__name__.endswith(f"_Array_{kind._length_}"):
        return (describe(kind._type_), kind._length_)
    return kind


def kind_of(description):
    """The type that `describe` described."""
    if isinstance(description, tuple):
        return kind_of(description[0]) * description[1]
    return description


def attach_again(key, description, options):
    return Cortex.attach(key, kind_of(description), **options)


class Cortex:
    """One value of a ctypes type (a Structure, an array, a number) that several processes share.

    It is closed by `close`, by `with`, when nothing refers to it any more, and at the end of the program. A pickled one
    attaches again where it is unpickled, so it can be sent to another process; the sender stays the owner.

    What may wait takes `seconds` (None: for ever), and ends early when a signal's handler raises: Ctrl-C.
    """

    def __init__(self, handle, kind, options):
        if not handle:
            raise Failure()
        self._handle, self._kind, self._options = handle, kind, options
        self._finalizer = weakref.finalize(self, LIBRARY.neocortex_close, handle)
        # For calls that have no time-out of their own.
        check(LIBRARY.neocortex_set_timeout(handle, int(SLICE * 1e9)))
        # The threads that are in `update`.
        self._updating = set()

    @classmethod
    def create(cls, value, key=0, mode=0, participants=0, slots=0, schema=0, owner=None, **flags):
        """Makes one with its first value. `key` is a number or a name; 0: a random one. Removed when this object is
        closed, unless `persist=True`. `owner`: (uid, gid) as in `os.chown`, -1 as it is. Further keyword arguments, True
        or False: `in_place`, `force_ownership`, `replace_stale`, `open_or_create`, `interruptible` (a wait is a Failure
        after a signal's handler has run, though it did not raise), `prefault`, `lock_in_memory`, `huge_pages`, and
        `prefer_huge_pages` with it."""
        bits = bits_of(flags, FLAGS) | (RANDOM_KEY if key == 0 else 0)
        options = Options(ctypes.sizeof(Options), mode, bits, schema, participants, slots=slots)
        if owner is not None:
            options.flags |= SET_OWNER
            options.owner_uid, options.owner_gid = owner
        size = ctypes.sizeof(value)
        create, place = by_key(LIBRARY.neocortex_create_with, LIBRARY.neocortex_create_named_with, key)
        again = {name: flags[name] for name in OF_A_HANDLE if name in flags}
        return cls(create(place, size, ctypes.byref(value), options), type(value), {"schema": schema, **again})

    @classmethod
    def open_or_create(cls, value, key, **options):
        """Attaches to what has the key, or makes it with this first value: of any number of programs that start at once
        exactly one makes it, and `was_created` tells which. Only that one is its owner; where it was killed, nobody is,
        until `take_ownership`."""
        return cls.create(value, key, open_or_create=True, **options)

    @classmethod
    def attach(cls, key, kind, schema=0, **flags):
        """Attaches to what exists. Keyword arguments: `read_only`, `interruptible`, `prefault`."""
        attach, place = by_key(LIBRARY.neocortex_attach_with, LIBRARY.neocortex_attach_named, key)
        return cls._attach(lambda size, options: attach(place, size, options), kind, schema, flags)

    @classmethod
    def attach_wait(cls, key, kind, seconds=None, schema=0, **flags):
        """Attaches as soon as somebody has created it, so that programs start in any order. Otherwise as `attach`."""
        attach, place = by_key(LIBRARY.neocortex_attach_wait, LIBRARY.neocortex_attach_named_wait, key)

        def in_time(size, options):
            handle = None

            def once(left):
                nonlocal handle
                handle = attach(place, size, options, left)
                status = 0 if handle else LIBRARY.neocortex_last_status()
                return ERR_TIMEOUT if status == ERR_NOT_READY else status

            in_slices(once, seconds, slice=CREATOR_SLICE)
            return handle

        return cls._attach(in_time, kind, schema, flags)

    @classmethod
    def _attach(cls, attach, kind, schema, flags):
        options = Options(ctypes.sizeof(Options), 0, bits_of(flags, OF_A_HANDLE), schema)
        handle = attach(ctypes.sizeof(kind), options)
        if not handle and LIBRARY.neocortex_last_status() == ERR_FULL:
            # Handles that nothing refers to any more, but for each other, are still attached.
            gc.collect()
            handle = attach(ctypes.sizeof(kind), options)
        return cls(handle, kind, {"schema": schema, **flags})

    def __reduce__(self):
        return attach_again, (self.name or self.key, describe(self._kind), self._options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Once is enough, and more does no harm."""
        if self._finalizer.detach() is not None:
            handle, self._handle = self._handle, None
            check(LIBRARY.neocortex_close(handle))

    @property
    def _open(self):
        if self._handle is None:
            raise ValueError("the cortex is closed: attach again")
        return self._handle

    @property
    def key(self):
        return LIBRARY.neocortex_key(self._open)

    @property
    def name(self):
        """The name that it was created under; "" where it was created by number."""
        return LIBRARY.neocortex_name(self._open).decode()

    @property
    def was_created(self):
        """Whether this object made it, and did not find it."""
        return LIBRARY.neocortex_was_created(self._open)

    @property
    def is_owner(self):
        """Whether closing this object removes it."""
        return LIBRARY.neocortex_is_owner(self._open)

    def take_ownership(self):
        """From here on closing this object removes it, and closing the owner before does not."""
        check(LIBRARY.neocortex_take_ownership(self._open))

    @property
    def version(self):
        """How many writes were committed."""
        return LIBRARY.neocortex_commit_count(self._open)

    def read(self, seconds=None):
        """A copy of the last committed value."""
        value = self._kind()
        place = (self._open, 0, ctypes.byref(value), ctypes.sizeof(value))
        check(in_slices(lambda left: LIBRARY.neocortex_read_for(*place, left), seconds))
        return value

    def read_versioned(self, seconds=None):
        """A copy of the last committed value, and its version: `wait(version)` then waits for the next one."""
        value, version = self._kind(), ctypes.c_uint64()
        place = (self._open, ctypes.byref(value), ctypes.sizeof(value), ctypes.byref(version))
        # Each attempt waits as long as the handle says, which is a slice.
        check(in_slices(lambda _: LIBRARY.neocortex_read_versioned(*place), seconds))
        return value, version.value

    def write(self, value, seconds=None):
        """Replaces the value, for everybody at once."""
        if not isinstance(value, self._kind):
            raise TypeError(f"a {self._kind.__name__} is shared, not a {type(value).__name__}")
        place = (self._open, 0, ctypes.byref(value), ctypes.sizeof(value))
        check(in_slices(lambda left: LIBRARY.neocortex_write_for(*place, left), seconds))

    def update(self, change, seconds=None):
        """Calls `change` with the value, to be changed in place; nobody writes in between. An exception rolls back, and
        so does one that a signal's handler raises in it."""
        handle, data = self._open, ctypes.c_void_p()
        begin = lambda left: LIBRARY.neocortex_write_begin_for(handle, left, ctypes.byref(data))
        # A copy is what `change` gets: the shared bytes are not there any more once it is over.
        start = lambda: self._kind.from_buffer_copy(ctypes.string_at(data, ctypes.sizeof(self._kind)))
        self._guarded(handle, data, begin, start, change, seconds)

    def overwrite(self, fill, seconds=None):
        """Calls `fill` with a new value, all zeros, that takes the place of the whole one; nobody writes in between.
        Otherwise as `update`, without its copies of the current value."""
        handle, data = self._open, ctypes.c_void_p()
        begin = lambda left: LIBRARY.neocortex_overwrite_begin(handle, left, ctypes.byref(data))
        self._guarded(handle, data, begin, self._kind, fill, seconds)

    def _guarded(self, handle, data, begin, start, change, seconds):
        me = threading.get_ident()
        if me in self._updating:
            raise RuntimeError("this thread is updating it already")
        with Signals({Cortex._guarded.__code__}) as signals:
            check(in_slices(begin, seconds, signals.check))
            # From here on no handler raises but in `change`.
            self._updating.add(me)
            try:
                value = start()
                signals.open()
                apply(change, value)
                ctypes.memmove(data, ctypes.byref(value), ctypes.sizeof(value))
            except BaseException:
                self._updating.discard(me)
                check(LIBRARY.neocortex_write_abort(handle))
                raise
            self._updating.discard(me)
            check(LIBRARY.neocortex_write_commit(handle))

    def clear_poison(self):
        """Declares an unfinished write in place finished, with whatever bytes are there."""
        handle = self._open
        check(in_slices(lambda _: LIBRARY.neocortex_clear_poison(handle), None))

    def wait(self, since, seconds=None):
        """Sleeps until the version is another than `since`, and returns it; None where the time is over."""
        handle, count = self._open, ctypes.c_uint64()
        status = in_slices(lambda left: LIBRARY.neocortex_wait(handle, since, left, ctypes.byref(count)), seconds)
        if status == ERR_TIMEOUT:
            return None
        check(status)
        return count.value


def key_from(text):
    """A key from the command line: a name is never what looks like a number."""
    try:
        return int(text, 0)
    except ValueError:
        return text


def share():
    name = f"example/python/{os.getpid()}"
    # It does not matter which of the two processes runs first: the other one waits.
    other = subprocess.Popen([sys.executable, __file__, "write", name, "21.5"])
    with Cortex.open_or_create(Reading(20.0, 1), name) as cortex:
        assert cortex.was_created
        seen = cortex.wait(0, 60)
        assert seen is not None and other.wait() == 0
        now, seen = cortex.read_versioned()
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
            Cortex.attach(name, ctypes.c_char)
            raise AssertionError("a char passed for a reading")
        except Failure as failure:
            print(failure)


def main(arguments):
    match arguments:
        case []:
            share()
        case ["read", key]:
            with Cortex.attach(key_from(key), Reading, read_only=True) as cortex:
                now = cortex.read()
                print(f"{now.sequence}: {now.value:.2f}")
        case ["write", key, value]:

            def change(reading):
                reading.value = float(value)
                reading.sequence += 1

            with Cortex.attach_wait(key_from(key), Reading, seconds=60) as cortex:
                cortex.update(change)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
