"""What Python's users are told, and what they need not be told because it works."""

import asyncio

import neocortex
import numpy as np
import pytest
from neocortex import Cortex, Mismatch, Observer, Timeout


def test_numbers_of_numpy_are_numbers(name):
    with Cortex.create(name, 5) as c:
        for value in (np.int64(-7), np.uint8(7), np.array(8), True):
            c.write(value)
            assert c.read() == int(value) and type(c.read()) is int
        c.update(lambda now: np.int32(now + 1))
        assert c.read() == 2
        for wrong in (1.5, np.float64(2.0), "3", None):
            with pytest.raises(TypeError, match=f'cortex "{name}" of int: an int is written to it'):
                c.write(wrong)
        for wide in (2**63, np.uint64(2**63)):
            with pytest.raises(OverflowError, match="64 bits"):
                c.write(wide)
        assert c.read() == 2


def test_a_value_that_does_not_fit_is_told_with_the_cortex(name):
    with Cortex.create(name, np.zeros((2, 3), "f4")) as c:
        who = rf'cortex "{name}" of float32 \(2, 3\): '
        for wrong, kind in ((np.zeros((4, 4), "f4"), ValueError), (np.zeros((2, 3), "c8"), TypeError), ("hello", ValueError)):
            with pytest.raises(kind, match=who):
                c.write(wrong)
            with pytest.raises(kind, match=who):
                c.update(lambda _, wrong=wrong: wrong)
        # What the function itself raises is its own.
        with pytest.raises(ValueError, match="^mine$"):
            c.update(lambda _: (_ for _ in ()).throw(ValueError("mine")))
        assert c.version == 0
    with Cortex.create(name, b"abc") as c, pytest.raises(ValueError, match="of 3 bytes: 4 bytes are given"):
        c.write(b"abcd")
    with Cortex.create(name, 1.0) as c, pytest.raises(TypeError, match="of float: a float is written"):
        c.write("x")


@pytest.mark.parametrize("kind", [Cortex, Observer])
def test_attach_takes_what_create_takes(name, kind):
    for value in (np.zeros((2, 3), "f4"), np.float32(1), 5, 5.0, True, b"abc"):
        with Cortex.create(name, value) as c, kind.attach(name, value) as other:
            assert (other.dtype, other.shape, other.nbytes) == (c.dtype, c.shape, c.nbytes)
    with Cortex.create(name, np.zeros(3, "f4")):
        with pytest.raises(TypeError, match="a dtype and a shape"):
            kind.attach(name, "nonsense")
        with pytest.raises(Mismatch):
            kind.attach(name, [("x", "f8")], 3)


@pytest.mark.parametrize("kind", [Cortex, Observer])
def test_what_differs_is_named_on_both_sides(name, kind):
    def said(value, *what, **more):
        with Cortex.create(name, value, **more):
            with pytest.raises(Mismatch) as caught:
                kind.attach(name, *what)
            assert str(caught.value).startswith(f'"{name}" (key ')
            return str(caught.value)

    frame = np.zeros((48, 64, 3), "u1")
    assert "it holds uint8 (48, 64, 3), and uint8 (64, 48, 3) was expected" in said(frame, "u1", (64, 48, 3))
    assert "it holds uint8 (48, 64, 3), and float64 (48, 64, 3) was expected" in said(frame, "f8", (48, 64, 3))
    assert "it holds float, and int was expected" in said(1.0, int)
    assert "it holds int, and bool was expected" in said(1, bool)
    assert "it holds 3 bytes (uint8 (3,)), and float was expected" in said(b"abc", float)
    assert "it holds >f4 (5,), and float32 (5,) was expected" in said(np.zeros(5, ">f4"), "f4", 5)
    assert "it holds complex64 (2, 1, 3), and" in said(np.zeros((2, 1, 3), "c8"), "c8", (2, 3))
    assert "it holds float, and 8 bytes (uint8 (8,)) was expected" in said(1.0, bytes)
    # What no text says.
    assert "it holds 8 bytes of another description (schema 0x" in said(1.0, float, schema="metres")
    assert "it holds 8 bytes without a description (schema 0), and float was" in said(1.0, float, schema=0)
    with Cortex.create(name, 1.0), pytest.raises(Mismatch, match="it holds float, and int was expected"):
        Cortex.create(name, 1, open_or_create=True)
    # Two schemas of one's own: both in hexadecimal, as `neocortex list` shows them.
    with Cortex.create(name, 1.0, schema=0xABC), pytest.raises(Mismatch, match="schema is 0xabc, expected 0xdef"):
        kind.attach(name, float, schema=0xDEF)


def test_waiting_without_a_version_is_from_now_on(name):
    with Cortex.create(name, 5) as c, Observer.attach(name, int) as other:
        c.write(6)
        for handle in (c, other):
            with pytest.raises(Timeout, match=name):
                handle.wait(timeout=0.05)
        assert c.wait(0) == 1

        async def both():
            waits = [asyncio.ensure_future(handle.changed()) for handle in (c, other)]
            await asyncio.sleep(0)
            c.write(7)
            return await asyncio.gather(*waits)

        assert asyncio.run(both()) == [2, 2]


def test_an_observer_says_that_it_only_reads(name):
    with Cortex.create(name, 5), Observer.attach(name, int) as other:
        for what in ("write", "update", "writing", "reading", "clear_poison", "take_ownership", "persist", "is_owner", "was_created"):
            assert hasattr(Cortex, what) and not hasattr(other, what)
            with pytest.raises(AttributeError, match=f"an Observer only reads, and has no `{what}`"):
                getattr(other, what)
        with pytest.raises(AttributeError, match="no attribute 'other'"):
            other.other  # noqa: B018
        with pytest.raises(TypeError, match="`Cortex.create` does"):
            Observer.create(name, 5)


def test_no_private_name_is_told(name):
    with Cortex.create(name, 5) as c:
        calls = (
            lambda: c.wait(1, 2, 3),
            lambda: c.changed(1, 2, 3),
            lambda: c.read(1, 2),
            lambda: c.follow(1, 2, 3),
            lambda: c.close(1),
            lambda: neocortex.wait_any([c]),
            lambda: neocortex.wait_any({1: 2}),
        )
        for call in calls:
            with pytest.raises(TypeError) as caught:
                call()
            assert "_Handle" not in str(caught.value) and "_core" not in str(caught.value)
        shown = [repr(c), repr(type(c)), *map(repr, type(c).__mro__)]
        assert not any("_core" in text or "_Handle" in text for text in shown)
        assert isinstance(c, neocortex.Handle)
