"""What a process dies of, and how an interpreter ends, loses nothing and hangs nobody."""

import multiprocessing
import os
import signal

import numpy as np
import pytest
import roles
from neocortex import Busy, Cortex, Exists, NotFound, Poisoned, reclaim
from roles import LIMIT, end, run, start


def killed_in_a_block(c):
    """A child that has half written when it is killed."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=roles.hold_for_ever, args=(c, ready))
    child.start()
    ready.wait()
    os.kill(child.pid, signal.SIGKILL)
    child.join()


@pytest.mark.parametrize("lock", ["seqlock", "rwlock", "semaphore"])
@pytest.mark.parametrize("size", [64, 1 << 20])
def test_a_killed_holder_is_passed_and_the_value_is_whole(lock, size):
    with Cortex.create(None, np.zeros(size, "u1"), lock=lock) as c:
        for number in range(3):
            killed_in_a_block(c)
            assert set(c.read().tolist()) == {number}
            c.update(lambda now: now + 1, timeout=LIMIT)
        with c.reading() as a:
            assert set(a.tolist()) == {3}


def test_the_lock_of_multiprocessing_is_stuck():
    """cpython 88304."""
    context = multiprocessing.get_context("fork")
    lock, ready = context.Lock(), context.Event()
    child = context.Process(target=roles.hold_lock_for_ever, args=(lock, ready))
    child.start()
    ready.wait()
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert not lock.acquire(timeout=0.2)


def test_in_place_it_is_told_that_the_value_is_not_whole():
    with Cortex.create(None, np.zeros(1 << 17, "u1"), in_place=True) as c:
        killed_in_a_block(c)
        for call in (c.read, lambda: c.update(lambda now: now)):
            with pytest.raises(Poisoned, match="`clear_poison`"):
                call()
        assert c.is_poisoned
        c.write(np.ones(1 << 17, "u1"))
        assert not c.is_poisoned and c.read().min() == 1


def test_what_a_killed_owner_left_keeps_its_value_and_its_key_is_usable(name):
    code = "c = nc.Cortex.create(sys.argv[1], 4.0); c.write(5.0); os.kill(os.getpid(), 9)"
    assert run(code, name).returncode == -signal.SIGKILL
    with pytest.raises(Exists, match="replace_stale=True"):
        Cortex.create(name, 1.0)
    with Cortex.create(name, 1.0, open_or_create=True) as c:
        assert (c.read(), c.was_created, c.is_owner) == (5.0, False, False)
    with Cortex.create(name, 1.0, replace_stale=True) as c:
        assert (c.read(), c.was_created) == (1.0, True)
        with pytest.raises(Busy):
            Cortex.create(name, 2.0, replace_stale=True, timeout=0)
    with pytest.raises(NotFound):
        Cortex.attach(name, float)


ENDS = {
    "a global": "",
    "a cycle": "l = [c]; l.append(l); del c",
    "an exception": "1 / 0",
    "sys.exit": "sys.exit(3)",
    "Ctrl-C": "signal.raise_signal(signal.SIGINT)",
    "a daemon thread that waits": """
        def wait():
            ready.set()
            c.wait(c.version)
        ready = threading.Event()
        threading.Thread(target=wait, daemon=True).start(); ready.wait()""",
    "a daemon thread that waits for any": """
        def wait():
            ready.set()
            nc.wait_any({c: c.version, nc.Observer.attach(c.key, c.dtype, c.shape): c.version})
        ready = threading.Event()
        threading.Thread(target=wait, daemon=True).start(); ready.wait()""",
    "an event loop in a daemon thread": """
        import asyncio
        async def wait():
            ready.set(); await c.changed(c.version)
        ready = threading.Event()
        threading.Thread(target=asyncio.run, args=(wait(),), daemon=True).start(); ready.wait()""",
    # Python that runs below a compiled function and asks for the interpreter after its end: CPython before 3.14 unwinds
    # the thread's stack then, which aborts where a frame of Rust is in it.
    "a daemon thread that imports for its first change": """
        class Slow:
            def find_spec(self, name, path, target=None):
                if name.startswith("neocortex."):
                    ready.set()
                    while True:
                        time.sleep(0)
        sys.meta_path.insert(0, Slow())
        ready = threading.Event()
        threading.Thread(target=lambda: c.changed(0), daemon=True).start(); ready.wait()""",
    "a daemon thread that updates": """
        def change(now):
            ready.set()
            while True:
                time.sleep(0)
        ready = threading.Event()
        threading.Thread(target=c.update, args=(change,), daemon=True).start(); ready.wait()""",
    "a daemon thread that converts what it writes": """
        class Slow:
            def __array__(self, *_, **__):
                ready.set()
                while True:
                    time.sleep(0)
        ready = threading.Event()
        threading.Thread(target=c.write, args=(Slow(),), daemon=True).start(); ready.wait()""",
    "a daemon thread in a block": """
        def hold():
            with c.writing() as a:
                ready.set(); time.sleep(1000)
        ready = threading.Event()
        threading.Thread(target=hold, daemon=True).start(); ready.wait()""",
    "a block that never ends": "block = c.writing(); a = block.__enter__()",
    "a generator in a block": """
        def within():
            with c.writing() as a:
                yield a
        g = within(); next(g)""",
    "an event loop that waits": """
        import asyncio
        async def main():
            asyncio.create_task(c.changed(c.version)); await asyncio.sleep(0)
        asyncio.run(main())""",
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("size", [8, 1 << 20])
def test_every_end_of_the_interpreter_removes_what_it_owns(how, size):
    import textwrap

    code = f"import numpy as np\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nc = nc.Cortex.create(None, np.zeros({size}, 'u1')); print(c.key, flush=True)\n"
    done = run(code + textwrap.dedent(ENDS[how]))
    assert "Fatal" not in done.stderr, done
    assert done.returncode >= 0 or done.returncode == -signal.SIGINT, done
    with pytest.raises(NotFound):
        Cortex.attach(int(done.stdout), "u1", (size,))


@pytest.mark.parametrize("how", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_what_is_ended_from_outside_goes_with_reclaim(how, name):
    run(f"c = nc.Cortex.create(sys.argv[1], 1.0)\n{how}", name)
    with Cortex.attach(name, float) as c:
        with pytest.raises(Busy):
            reclaim(name)
        assert c.read() == 1.0
    reclaim(name)
    reclaim(name)
    with pytest.raises(NotFound):
        Cortex.attach(name, float)


def test_a_writer_killed_again_and_again_never_tears_a_value():
    with Cortex.create(None, np.zeros(1 << 16, "u2")) as c:
        code = """
            import numpy as np
            c = nc.Cortex.attach(int(sys.argv[1]), "u2", (1 << 16,))
            print("ready", flush=True)
            while True:
                with c.writing(overwrite=True) as a:
                    a[:] = c.version % 60000
        """
        for _ in range(5):
            child = start(code, c.key)
            seen = c.version
            for _ in range(20):
                seen = c.wait(seen, LIMIT)
                value = c.read()
                assert value.min() == value.max()
            child.kill()
            child.communicate()
        c.update(lambda now: now)


def test_the_end_of_a_waiting_child_disturbs_nobody(name):
    with Cortex.create(name, 0.0) as c:
        child = start("c = nc.Cortex.attach(sys.argv[1], float); print('ready', flush=True); c.wait(0)", name)
        roles.until_asleep(child)
        child.kill()
        child.communicate()
        child = start("c = nc.Cortex.attach(sys.argv[1], float); print('ready', flush=True); print(c.wait(0))", name)
        c.write(1.0)
        assert end(child) == "1\n"
