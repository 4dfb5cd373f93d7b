"""Threads of one program use one handle."""

import multiprocessing
import pickle
import sys
import threading

import numpy as np
import pytest
import roles
from neocortex import Busy, Cortex, Observer, Timeout, wait_any

# Whether the interpreter's lock is there.
is_locked = getattr(sys, "_is_gil_enabled", lambda: True)()


@pytest.mark.parametrize("size", [64, 1 << 17])
def test_a_block_ends_on_the_thread_that_began_it(size):
    with Cortex.create(None, np.zeros(size, "u1")) as c:
        block = c.writing()
        a = block.__enter__()
        a[:] = 1
        raised = []

        def elsewhere():
            try:
                block.__exit__(None, None, None)
            except RuntimeError as error:
                raised.append(str(error))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert "thread that began it" in raised[0] and c.version == 0
        block.__exit__(None, None, None)
        assert c.version == 1 and c.read().min() == 1
        with pytest.raises(RuntimeError):
            block.__exit__(None, None, None)


def test_a_block_that_another_thread_drops_is_ended_by_its_own():
    with Cortex.create(None, np.zeros(1 << 17, "u1")) as c, Cortex.attach(c.key, "u1", (1 << 17,)) as other:
        box = [c.writing()]
        box[0].__enter__()[:] = 1
        thread = threading.Thread(target=box.clear)
        thread.start()
        thread.join()
        # In a free-threaded build what another thread drops is given back to its own thread, which has ended it by now.
        if is_locked:
            with pytest.raises(Busy):
                other.write(np.ones(1 << 17, "u1"))
        # Its own thread comes by.
        with c.reading() as a:
            assert a.max() == 0
        other.write(np.ones(1 << 17, "u1"), timeout=0)
        assert c.version == 1


def test_a_thread_in_a_block_is_not_made_to_wait_for_itself():
    with Cortex.create(None, np.zeros(1 << 17, "u1"), lock="rwlock") as c:
        with c.reading(), c.reading():
            with pytest.raises(Busy):
                c.write(np.ones(1 << 17, "u1"))
        with c.writing():
            with pytest.raises(Busy):
                c.writing().__enter__()
        block = c.reading()
        with block:
            with pytest.raises(RuntimeError, match="entered already"):
                block.__enter__()


def test_threads_read_and_write_through_one_handle():
    with Cortex.create(None, np.zeros(2000, "u4")) as c, Cortex.create(None, 0) as count:
        failures = []

        def work(mark):
            out = np.empty(2000, "u4")
            try:
                for number in range(200):
                    c.write(np.full(2000, mark * 1000 + number, "u4"))
                    assert c.read(out).min() == out.max()
                    with c.reading() as a:
                        assert a.min() == a.max()
                    count.update(lambda now: now + 1)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures and count.read() == c.version == 800


@pytest.mark.parametrize("size", [64, 1 << 17])
def test_threads_do_everything_at_once_with_one_handle(size):
    """Each value is of one number, whatever the others do; nothing crashes, also without the interpreter's lock."""
    with Cortex.create(None, np.zeros(size, "u1"), slots=8) as c, Observer.attach(c.key, "u1", (size,)) as observer:
        failures, begun = [], threading.Barrier(8)

        def is_whole(value):
            assert value.min() == value.max()

        def write(number):
            c.write(np.full(size, number % 251, "u1"))

        def overwrite(number):
            with c.writing(overwrite=True) as a:
                a[:] = number % 251

        def change(number):
            c.update(lambda now: now + 1)

        def roll_back(number):
            with pytest.raises(ZeroDivisionError), c.writing() as a:
                a[0] = 7
                1 / 0

        def look(number):
            is_whole(c.read())
            is_whole(observer.read())
            with c.reading() as a:
                is_whole(a)
                part = a[1:]
            is_whole(part)
            repr(c), c.version, c.participants, c.is_removed

        def follow(number):
            for commit in (c.follow(), observer.follow()):
                try:
                    is_whole(commit.next(timeout=0.01).value)
                except Timeout:
                    pass

        def wait(number):
            try:
                wait_any({c: c.version, observer: observer.version}, timeout=0.01)
                c.wait(c.version, timeout=0.01)
            except Timeout:
                pass

        def attach(number):
            with pickle.loads(pickle.dumps(c)) as other:
                is_whole(other.read())

        def work(act):
            try:
                begun.wait()
                for number in range(60):
                    act(number)
            except BaseException as error:
                failures.append((act.__name__, error))

        acts = [write, overwrite, change, roll_back, look, follow, wait, attach]
        threads = [threading.Thread(target=work, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert c.version == 180
        is_whole(c.read())


def test_no_frame_is_torn_beside_a_writer_that_never_pauses():
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    with Cortex.create(None, np.zeros((480, 640, 3), "u1"), slots=4) as c:
        child = context.Process(target=roles.paint, args=(c, stop))
        child.start()
        seen = c.wait(0)
        out = np.empty(c.shape, c.dtype)
        colours = set()
        for _ in range(50):
            c.read(out)
            assert out.min() == out.max()
            colours.add(int(out[0, 0, 0]))
            with c.reading() as a:
                assert a.min() == a.max()
            seen = c.wait(seen)
        stop.set()
        child.join()
        assert child.exitcode == 0 and len(colours) > 2


def test_closing_while_other_threads_use_it_is_safe():
    for _ in range(20):
        c = Cortex.create(None, np.zeros(3000, "u4"))
        begun, ended = threading.Barrier(4), []

        def work():
            begun.wait()
            try:
                while True:
                    c.read()
                    c.write(1)
                    c.version
            except ValueError:
                ended.append(True)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        begun.wait()
        c.close()
        for thread in threads:
            thread.join()
        assert len(ended) == 3 and c.closed
