"""Arrays of blocks are no way into the segment once the block has ended; every dtype makes the journey."""

import contextlib
import gc
import os
import pathlib
import pickle
import signal

import numpy as np
import pytest
from neocortex import Busy, Corrupt, Cortex, CortexError, InvalidArgument, Mismatch, Observer, key_of, schema_of
from roles import run

# Above it a block shows the segment itself, below it a copy.
LARGE, SMALL = 1 << 20, 64


@pytest.fixture(params=[LARGE, SMALL])
def c(request):
    with Cortex.create(None, np.arange(request.param, dtype="u2")) as c:
        yield c


def first(c):
    return c.read()[:4].tolist()


def test_a_block_commits_at_its_end_and_rolls_back_on_an_exception(c):
    with c.writing() as a:
        assert a[:4].tolist() == [0, 1, 2, 3]
        a[:4] = 9
        assert first(c) == [0, 1, 2, 3]
    assert (first(c), c.version) == ([9] * 4, 1)
    with pytest.raises(ZeroDivisionError):
        with c.writing() as a:
            a[:] = 7
            1 / 0
    assert (first(c), c.version) == ([9] * 4, 1)
    with c.writing(overwrite=True) as a:
        a[:] = 3
    assert (first(c), c.version) == ([3] * 4, 2)


def test_a_reading_block_shows_one_commit_and_lets_nobody_write_there(c):
    with c.reading() as a:
        assert a.shape == c.shape and a[:4].tolist() == [0, 1, 2, 3]
        with pytest.raises(ValueError):
            a[0] = 1
        with pytest.raises(ValueError):
            a.flags.writeable = True


def test_what_a_block_leaves_shows_a_copy_or_cannot_be_used(c):
    """numpy 18294, and the first prototype of this package."""
    kept = []
    with c.writing() as a:
        a[:] = 5
        kept += [a[1:], a[::2], a.reshape(-1, 4), a.view("u1"), memoryview(a), a.T, np.asarray(a)]

        class Pointer:
            __array_interface__ = a.__array_interface__

        Pointer.keeps = a
    raw = np.asarray(Pointer())
    for array in kept:
        array[0] = 77
    raw[:] = 78
    assert set(c.read().tolist()) == {5}
    with c.writing() as a:
        a[:] = 6
    for array in kept:
        array[0] = 79
    assert set(c.read().tolist()) == {6}
    with c.reading() as a:
        kept = [a[1:], a]
    c.write(np.full(c.shape, 8, "u2"))
    assert kept[0].min() == kept[0].max() == 6


def unusable(array):
    """Whether nothing can be done with it."""
    for use in (
        lambda: array[0],
        lambda: array.sum(),
        lambda: array + 1,
        lambda: len(array),
        lambda: list(array),
        lambda: array.__setitem__(0, 1),
        lambda: array.astype("u2").sum() and 1 / 0,
    ):
        with pytest.raises((TypeError, IndexError, ValueError, ZeroDivisionError)):
            use()
    assert "the block of this array has ended" in repr(array)


def test_the_array_of_a_large_block_cannot_be_used_after_it():
    with Cortex.create(None, np.zeros(LARGE, "u2")) as c:
        with c.writing() as a:
            a[:] = 5
        unusable(a)
        with c.reading() as a, c.reading() if c.lock == "rwlock" else contextlib.nullcontext():
            pass
        unusable(a)

        def inner():
            with c.reading() as b:
                also = b
                assert also is b
            return also

        unusable(inner())
        # What is not the name of a variable cannot be told from an address that was taken: it becomes a copy.
        box = [None]
        with c.reading() as box[0]:
            pass
        with contextlib.ExitStack() as stack:
            d = stack.enter_context(c.reading())
        c.write(np.ones(LARGE, "u2"))
        assert set(box[0].tolist()) == set(d.tolist()) == {5}


def test_what_is_left_of_a_closed_and_removed_cortex_is_memory():
    def left():
        with Cortex.create(None, np.ones(LARGE)) as c:
            with c.reading() as a:
                part = a[10:]
            small = c.read()
        return part, small

    part, small = left()
    gc.collect()
    assert part.sum() == LARGE - 10 and small.sum() == LARGE


def test_of_shared_memory_it_is_not():
    """numpy 18294."""
    done = run("""
        from multiprocessing import shared_memory
        import numpy as np
        def left():
            memory = shared_memory.SharedMemory(create=True, size=8 << 20)
            memory.unlink()
            return np.ndarray((1 << 20,), buffer=memory.buf)
        print(left().sum())
    """)
    assert done.returncode == -signal.SIGSEGV, done


def test_closing_within_a_block_is_refused_and_loses_nothing(c):
    """cpython 102349."""
    with c.writing() as a:
        a[:] = 4
        with pytest.raises(Busy, match="block"):
            c.close()
    assert set(c.read().tolist()) == {4} and not c.closed
    c.close()
    c.close()
    for call in (c.read, c.reading().__enter__, lambda: c.version, lambda: c.write(1), lambda: c.wait(0)):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_an_exception_is_shown_with_the_close_that_it_keeps_from_happening():
    c = Cortex.create(None, np.zeros(4))
    block = c.writing()
    with pytest.raises(Busy) as caught:
        with c:
            block.__enter__()
            1 / 0
    assert isinstance(caught.value.__context__, ZeroDivisionError)
    block.__exit__(None, None, None)
    c.close()


def test_a_block_dropped_without_its_end_commits_nothing(c):
    block = c.writing()
    a = block.__enter__()
    a[:] = 4
    del block
    a[:] = 5
    assert (first(c), c.version) == ([0, 1, 2, 3], 0)
    c.update(lambda now: now, timeout=0)


def test_blocks_are_for_arrays_and_bytes():
    with Cortex.create(None, 1.0) as c:
        for block in (c.reading, c.writing):
            with pytest.raises(TypeError, match="block"):
                block()
    for size in (8, 1 << 20):
        with Cortex.create(None, bytes(size)) as c:
            with c.writing() as view:
                view[:2] = b"ab"
                part = view[:2]
            with pytest.raises((ValueError, TypeError)):
                view[0] = 1
                assert size == 8
                raise ValueError
            assert c.read()[:3] == b"ab\0"
            part[:1] = b"z"
            assert c.read()[:3] == b"ab\0"


DTYPES = {
    "0-d": np.array(3, "i2"),
    "datetime": np.array(["2026-01-01", "NaT"], "M8[ns]"),
    "timedelta": np.array([1, 2], "m8[us]"),
    "big-endian": np.arange(6, dtype=">f8").reshape(2, 3),
    "half": np.ones(3, "f2"),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "strided": np.arange(16.0).reshape(4, 4)[:, ::2],
    "Fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "unicode": np.array(["ä", "bc"]),
    "bytes": np.array([b"ab", b"c"]),
    "structured": np.zeros(2, [("t", "M8[us]"), ("pose", "f4", (3, 4)), ("name", "S16")]),
    "aligned": np.zeros((), np.dtype([("a", "u1"), ("b", "f8")], align=True)),
    "large": np.arange(100_000, dtype="u4"),
}


@pytest.mark.parametrize("kind", DTYPES)
def test_every_dtype_makes_the_journey(kind):
    value = DTYPES[kind]
    with Cortex.create(None, value) as c:
        with pickle.loads(pickle.dumps(c)) as again:
            got = again.read()
            assert got.dtype == value.dtype and got.shape == value.shape
            assert got.tobytes() == value.tobytes()
            out = np.empty_like(got)
            assert again.read(out) is out and out.tobytes() == value.tobytes()
            again.write(value)
            with c.reading() as a:
                assert a.dtype == value.dtype and a.tobytes() == value.tobytes()
            with again.writing() as a:
                a[...] = value
            again.update(lambda now: value)
            assert (c.version, c.read().tobytes()) == (3, value.tobytes())


def test_objects_are_refused():
    class Own:
        pass

    for value in (np.array([Own()]), np.zeros(2, [("a", "O")]), [Own()], None, "text", np.array(["a"], np.dtypes.StringDType()) if hasattr(np.dtypes, "StringDType") else None):
        with pytest.raises(TypeError):
            Cortex.create(None, value)
    with pytest.raises(ValueError):
        Cortex.create(None, np.zeros(0))


def test_another_size_dtype_shape_or_schema_is_a_mismatch(name):
    """cpython 145954."""
    with Cortex.create(name, np.zeros(8, "f4")) as c:
        wrong = [("f8", (4,)), ("i4", (8,)), ("f4", (2, 4)), ("f4", (7,)), (">f4", (8,)), (float, ()), (int, ()), (bytes, ())]
        for dtype, shape in wrong:
            for kind in (Cortex, Observer):
                with pytest.raises(Mismatch) as caught:
                    kind.attach(name, dtype, shape)
                assert isinstance(caught.value, TypeError) and isinstance(caught.value, CortexError)
        with pytest.raises(Mismatch, match="schema"):
            Cortex.attach(name, "f4", (8,), schema="metres")
        assert Cortex.attach(name, "f4", (8,), schema=0).schema == schema_of("<f4 (8,)") == c.schema
        with pytest.raises(Mismatch):
            Cortex.create(name, np.zeros(8, "f8"), open_or_create=True)
        with pytest.raises(Mismatch, match="in_place=True"):
            Cortex.create(name, np.zeros(8, "f4"), open_or_create=True, in_place=True)
        Cortex.create(name, np.zeros(8, "f4"), open_or_create=True, slots=5).close()
    with Cortex.create(name, np.zeros(8, "f4"), schema="metres"):
        assert Cortex.attach(name, "f4", (8,), schema="metres").schema == schema_of("metres")
        with pytest.raises(Mismatch):
            Cortex.attach(name, "f4", (8,))


def test_shared_memory_does_not_notice():
    """cpython 145954."""
    from multiprocessing import shared_memory

    memory = shared_memory.SharedMemory(create=True, size=64)
    memory.buf[0] = 1
    assert np.ndarray((8,), "f8", buffer=memory.buf)[0] != 1
    memory.close()
    memory.unlink()


def test_what_is_written_is_converted_without_a_loss_of_kind():
    with Cortex.create(None, np.zeros((2, 3), "i4")) as c:
        c.write([[1, 2, 3], [4, 5, 6]])
        assert c.read().tolist() == [[1, 2, 3], [4, 5, 6]]
        c.write(np.array([7, 8, 9], "i8"))
        assert c.read().tolist() == [[7, 8, 9]] * 2
        c.write(0)
        assert not c.read().any()
        for wrong in (np.zeros((2, 3), "f8"), np.zeros((3, 3), "i4"), np.zeros((2, 3), "M8[s]"), "text"):
            with pytest.raises((TypeError, ValueError)):
                c.write(wrong)
        for out in (np.zeros((2, 3), "f4"), np.zeros((3, 2), "i4"), np.zeros((2, 6), "i4")[:, ::2], bytearray(24)):
            with pytest.raises(TypeError, match="`out`"):
                c.read(out)
        assert c.version == 3
    for value, wrong in ((1.0, "x"), (1, 1.5), (1, 1 << 70), (True, 2), (b"ab", b"abc"), (b"ab", 3)):
        with Cortex.create(None, value) as c:
            with pytest.raises((TypeError, ValueError, OverflowError)):
                c.write(wrong)
            assert c.read() == value and c.version == 0


def test_scalars_keep_their_type():
    for value, new in ((1.5, -0.0), (7, -(1 << 63)), (True, False), (b"ab", b"cd")):
        with Cortex.create(None, value) as c:
            c.write(new)
            assert (c.read(), type(c.read())) == (new, type(value))
            c.update(lambda now: value)
            assert c.read_versioned() == (value, 2)
            with pytest.raises(ZeroDivisionError):
                c.update(lambda now: 1 / 0)
            assert c.version == 2


def test_update_changes_in_place_or_by_what_it_returns(c):
    def in_place(now):
        now[:4] = 1

    c.update(in_place)
    assert first(c) == [1] * 4
    c.update(lambda now: now + 1)
    assert first(c) == [2] * 4
    kept = []
    c.update(kept.append)
    kept[0][:] = 9
    assert (first(c), c.version) == ([2] * 4, 3)
    # While it goes on, the value can be read, and not be written.
    def within(now):
        assert first(c) == [2] * 4
        with pytest.raises(Busy):
            c.write(now)
        with pytest.raises(Busy):
            c.wait(c.version)

    c.update(within)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_16_mib_where_dev_shm_has_one():
    """pytorch 5040: a container."""
    tool = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=1m none /dev/shm && exec "$@"', "sh"]
    ours = """
        import numpy as np
        with nc.Cortex.create(None, np.ones(16 << 20, "u1")) as c:
            print(int(c.read().sum()))
    """
    theirs = """
        import numpy as np
        from multiprocessing import shared_memory
        memory = shared_memory.SharedMemory(create=True, size=16 << 20)
        np.ndarray((16 << 20,), "u1", memory.buf)[:] = 1
    """
    import subprocess

    from roles import command

    try:
        subprocess.run([*tool, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system does not let a test mount")
    done = subprocess.run([*tool, *command(ours)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{16 << 20}\n", "")
    assert subprocess.run([*tool, *command(theirs)], capture_output=True).returncode == -signal.SIGBUS


def test_messages_are_in_the_words_of_python(name):
    with Cortex.create(name, 1.0, participants=1):
        with pytest.raises(CortexError, match=r"`participants=`.*`Observer`"):
            Cortex.attach(name, float)
        assert Observer.attach(name, float).read() == 1.0
    with pytest.raises(InvalidArgument, match="seqlock"):
        Cortex.create(name, 1.0, lock="none")
    for text in ("", "x" * 256, "a\nb", "12", "0x1f"):
        with pytest.raises(InvalidArgument, match="255 bytes of UTF-8"):
            Cortex.create(text, 1.0)
    assert issubclass(Corrupt, CortexError)


def test_keys_and_schemas_are_those_of_every_language():
    vectors = pathlib.Path(__file__).parents[2] / "tests/vectors/names.txt"
    rows = [line.split(" ", 2) for line in vectors.read_text().splitlines() if not line.startswith("#")]
    assert len(rows) >= 15
    for key, schema, text in rows:
        assert (key_of(text), schema_of(text)) == (int(key), int(schema, 16)), text
    with Cortex.create(None, np.zeros((2, 3), "u1")) as c, Cortex.create(None, b"abc") as d, Cortex.create(None, 1.5) as e:
        assert [c.schema, d.schema, e.schema] == [schema_of(t) for t in ("|u1 (2, 3)", "|u1 (3,)", "<f8 ()")]
