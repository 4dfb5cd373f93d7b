"""A child's end, however it comes, takes nothing away; a handle goes to another process by itself."""

import multiprocessing
import os
import pickle
import signal
import sys
from multiprocessing import shared_memory

import numpy as np
import pytest
import roles
from neocortex import Cortex, NotFound, Observer
from roles import run, succeed

ENDS = {
    "returns": "pass",
    "exits": "sys.exit(0)",
    "raises": "1 / 0",
    "ends at once": "os._exit(0)",
    "is killed": "os.kill(os.getpid(), 9)",
    "closes": "c.close()",
}


@pytest.mark.parametrize("how", ENDS)
def test_a_child_that_ends_removes_nothing_and_warns_of_nothing(how, name):
    with Cortex.create(name, np.arange(4.0)) as c:
        code = "c = nc.Cortex.attach(sys.argv[1], 'f8', (4,)); c.write([9, 8, 7, 6])\n" + ENDS[how]
        done = run(code, name)
        assert "Warning" not in done.stderr and "leaked" not in done.stderr, done.stderr
        assert not c.is_removed and c.read().tolist() == [9, 8, 7, 6]
        Cortex.attach(name, "f8", (4,)).close()


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="mended there by track=False, which one must know of")
def test_of_shared_memory_it_does():
    """cpython 82300: the child's resource tracker removes what another process owns."""
    memory = shared_memory.SharedMemory(create=True, size=32)
    code = "from multiprocessing import shared_memory\nshared_memory.SharedMemory(sys.argv[1]).close()"
    done = run(code, memory.name)
    assert "leaked shared_memory" in done.stderr, done.stderr
    with pytest.raises(FileNotFoundError):
        shared_memory.SharedMemory(memory.name)
    memory.close()
    # So that this process's own tracker does not complain.
    with open(f"/dev/shm/{memory.name}", "wb"):
        memory.unlink()


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("work", [roles.add, roles.add_in_block])
def test_three_children_of_each_kind_lose_no_increment(how, work):
    context = multiprocessing.get_context(how)
    with Cortex.create(None, np.zeros(3, "i8")) as c:
        children = [context.Process(target=work, args=(c, 500)) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0] * 3
        assert c.read().tolist() == [1500] * 3 and c.version == 1500
        assert c.is_owner and not c.is_removed


def test_a_large_value_is_incremented_in_blocks_by_children_too():
    context = multiprocessing.get_context("fork")
    with Cortex.create(None, np.zeros(1 << 18, "i8")) as c:
        children = [context.Process(target=roles.add_in_block, args=(c, 20)) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert set(c.read().tolist()) == {60}


@pytest.mark.parametrize("value", [1.5, 7, True, b"bytes", np.zeros((2, 3), "u2")])
def test_a_pickle_attaches_again(value, name):
    for key in (name, None):
        with Cortex.create(key, value) as c:
            with pickle.loads(pickle.dumps(c)) as again:
                assert (again.key, again.name, again.dtype, again.shape) == (c.key, c.name, c.dtype, c.shape)
                assert np.array_equal(again.read(), value)
                assert not again.is_owner
                c.write(value)
                assert again.version == 1
            with Observer.attach(c.key, c.dtype, c.shape) as observer, pickle.loads(pickle.dumps(observer)) as again:
                assert type(again) is Observer and np.array_equal(again.read(), value)
    with pytest.raises(ValueError):
        pickle.dumps(c)


def test_a_forked_child_goes_on_with_what_it_inherits():
    with Cortex.create(None, 1.0) as c:
        child = os.fork()
        if child == 0:
            ok = c.read() == 1.0 and not c.is_owner
            c.write(2.0)
            c.close()
            c.close()
            os._exit(0 if ok and c.closed else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert not c.is_removed and c.read() == 2.0


def test_a_child_forked_within_a_block_commits_nothing():
    with Cortex.create(None, np.zeros(1 << 18, "u1")) as c:
        with c.writing() as a:
            a[:] = 1
            child = os.fork()
            if child == 0:
                try:
                    c.write(np.full(1 << 18, 9, "u1"), timeout=0)
                except TimeoutError:
                    os._exit(0)
                os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
        assert c.version == 1 and set(c.read().tolist()) == {1}


def test_what_a_child_of_multiprocessing_forgets_is_removed():
    for how in ("fork", "spawn"):
        context = multiprocessing.get_context(how)
        queue = context.SimpleQueue()
        child = context.Process(target=roles.create_and_forget, args=(queue,))
        child.start()
        key = queue.get()
        child.join()
        with pytest.raises(NotFound):
            Cortex.attach(key, float)


def test_processes_share_by_name_with_no_relation(name):
    with Cortex.create(name, b"twelve bytes") as c:
        code = "c = nc.Cortex.attach(sys.argv[1], bytes); c.write(c.read().upper()); print(c.name, c.nbytes)"
        assert succeed(code, name) == f"{name} 12\n"
        assert c.read() == b"TWELVE BYTES"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
