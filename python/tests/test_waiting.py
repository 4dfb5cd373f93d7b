"""Waiting: Ctrl-C ends it, nothing is left locked, event loops and many at once take one thread."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from neocortex import Commit, Cortex, NotFound, Observer, Removed, Timeout, wait_any
from roles import LIMIT, end, start, until_asleep

WAITS = {
    "wait": "c.wait(c.version)",
    "write": "c.write(np.ones(n, 'u1'))",
    "update": "c.update(lambda now: now)",
    "writing": "c.writing().__enter__()",
    "reading": "c.reading().__enter__()",
    "wait_any": "nc.wait_any({c: c.version})",
    "follow": "next(c.follow())",
    "attach": "nc.Cortex.attach(name + '/none', float, wait=None)",
    "observer": "o = nc.Observer.attach(name, 'u1', (n,)); o.wait(o.version)",
}


@pytest.mark.parametrize("what", WAITS)
def test_ctrl_c_ends_every_wait(what, name):
    size = 1 << 17
    code = f"""
        import numpy as np
        signal.signal(signal.SIGINT, signal.default_int_handler)
        name, n = sys.argv[1], {size}
        c = nc.Cortex.attach(name, "u1", (n,))
        print("ready", flush=True)
        try:
            {WAITS[what]}
        except KeyboardInterrupt:
            print("interrupted", c.read()[0])
    """
    with Cortex.create(name, np.zeros(size, "u1")) as c:
        with c.writing():
            child = start(code, name)
            until_asleep(child)
            child.send_signal(signal.SIGINT)
            assert end(child) == "interrupted 0\n"


def test_a_handler_that_does_not_raise_ends_no_wait(name):
    code = """
        signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
        c = nc.Cortex.attach(sys.argv[1], float)
        print("ready", flush=True)
        print(c.wait(0))
    """
    with Cortex.create(name, 0.0) as c:
        child = start(code, name)
        until_asleep(child)
        child.send_signal(signal.SIGUSR1)
        assert child.stdout.readline() == "handled\n"
        c.write(1.0)
        assert end(child) == "1\n"


class AtInstruction:
    """Interrupts at the so-manieth instruction that Python runs in one function."""

    def __init__(self, number, code):
        self.left, self.code = number, code

    def __call__(self, frame, event, _):
        if frame.f_code is not self.code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if self.left == 0:
                self.left = -1
                raise KeyboardInterrupt
            if self.left > 0:
                self.left -= 1
        return self


@pytest.mark.parametrize("size", [64, 1 << 17])
@pytest.mark.parametrize("is_write", [False, True])
def test_a_block_interrupted_at_any_instruction_keeps_nothing_locked(size, is_write):
    with Cortex.create(None, np.zeros(size, "u1")) as c, Cortex.attach(c.key, "u1", (size,)) as other:

        def work():
            if is_write:
                with c.writing() as a:
                    a[:] = 1
                    part = a[1:]
            else:
                with c.reading() as a:
                    part = a[1:]
            return len(part)

        # Python 3.12 shows a function's instructions from its second call on.
        sys.settrace(AtInstruction(-1, work.__code__))
        work()
        sys.settrace(None)
        number, interrupts, is_over = 0, 0, False
        while not is_over:
            before = c.version
            trace = AtInstruction(number, work.__code__)
            sys.settrace(trace)
            try:
                work()
            except KeyboardInterrupt:
                interrupts += 1
            finally:
                sys.settrace(None)
            assert c.version - before in ((0, 1) if is_write else (0,)), number
            # The guard is not held, by this handle or any other.
            other.write(np.zeros(size, "u1"), timeout=0)
            c.write(np.zeros(size, "u1"), timeout=0)
            is_over = trace.left >= 0
            number += 1
        assert interrupts == number - 1 > 10, (interrupts, number)


@contextlib.contextmanager
def held_elsewhere(c):
    """Another thread has it for writing: this one would be told `Busy` by its own."""
    held, is_over = threading.Event(), threading.Event()

    def hold():
        with c.writing():
            held.set()
            is_over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    yield
    is_over.set()
    thread.join()


def test_time_outs_are_told_and_zero_does_not_wait(name):
    with Cortex.create(name, np.zeros(1 << 17, "u1")) as c, Cortex.attach(name, "u1", (1 << 17,)) as other:
        value = np.ones(1 << 17, "u1")
        with held_elsewhere(other):
            calls = [
                lambda t: c.write(value, timeout=t),
                lambda t: c.update(lambda now: now, timeout=t),
                lambda t: c.writing(timeout=t).__enter__(),
                lambda t: c.reading(timeout=t).__enter__(),
                lambda t: c.follow().next(t),
                lambda t: wait_any({c: c.version}, t),
            ]
            for call in calls:
                for timeout in (0, 0.01, -1):
                    with pytest.raises(Timeout) as caught:
                        call(timeout)
                    assert isinstance(caught.value, TimeoutError)
        for timeout in (0, 0.01, 0.2):
            before = time.monotonic()
            with pytest.raises(Timeout):
                c.wait(c.version, timeout)
            assert time.monotonic() - before >= timeout
        with pytest.raises(ValueError):
            c.wait(c.version, float("nan"))
        # Beyond what a clock can say is for ever.
        c.write(value, timeout=1e300)
    with pytest.raises(NotFound):
        Cortex.attach(name, float)
    with pytest.raises(Timeout):
        Cortex.attach(name, float, wait=0.01)


def test_who_comes_first_waits_for_the_creator(name):
    code = """
        print("ready", flush=True)
        print(nc.Observer.attach(sys.argv[1], float, wait=None).read())
    """
    child = start(code, name)
    until_asleep(child)
    with Cortex.create(name, 2.5):
        assert end(child) == "2.5\n"


def test_a_wait_lets_other_threads_run_and_ends_with_removal_or_close(name):
    c = Cortex.create(name, 0.0)
    other, observer = Cortex.attach(name, float), Observer.attach(name, float)
    ended = {}

    def wait(label, handle):
        try:
            handle.wait(0)
        except Exception as error:
            ended[label] = type(error)

    waiting = [threading.Thread(target=wait, args=pair) for pair in (("own", c), ("other", other), ("observer", observer))]
    for thread in waiting:
        thread.start()
    c.close()
    for thread in waiting:
        thread.join()
    assert ended == {"own": ValueError, "other": Removed, "observer": Removed}
    other.close()
    observer.close()


def test_wait_any_returns_those_that_changed():
    with Cortex.create(None, 0.0) as a, Cortex.create(None, np.zeros(3)) as b, Cortex.create(None, 1) as c:
        seen = {handle: handle.version for handle in (a, b, c)}
        assert wait_any({a: 5}) == {a: 0}
        timer = threading.Timer(0.01, lambda: b.write([1, 2, 3]))
        timer.start()
        changed = wait_any(seen)
        assert changed == {b: 1}
        timer.join()
        seen |= changed
        a.write(1.0)
        c.write(2)
        assert wait_any(seen) == {a: 1, c: 1}
        with pytest.raises(ValueError):
            wait_any({})


def test_wait_any_tells_of_a_removal():
    with Cortex.create(None, 0.0) as a:
        b = Cortex.create(None, 0.0)
        with Observer.attach(b.key, float) as observer:
            timer = threading.Timer(0.01, b.close)
            timer.start()
            with pytest.raises(Removed):
                wait_any({a: 0, observer: 0})
            timer.join()


def threads():
    """The numbers of this process's threads: one that begins has a new one."""
    return set(os.listdir("/proc/self/task"))


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def until_ended(before):
    """A thread that was joined is listed a moment longer."""
    while threads() - before:
        time.sleep(0.001)


@pytest.mark.parametrize("count", [1, 100])
def test_a_thousand_changes_are_awaited_by_one_thread(count):
    async def main(all):
        before, opened = threads(), descriptors()
        tasks = [asyncio.create_task(all[number % count].changed(0)) for number in range(1000)]
        await asyncio.sleep(0)
        assert len(threads() - before) == 1 and descriptors() == opened + 1
        cancelled = tasks.pop()
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        for c in all:
            c.write(1.0)
        assert await asyncio.gather(*tasks) == [1] * 999
        # What is there already is not waited for.
        assert await all[0].changed(0) == 1
        # Whoever awaits again finds the thread: no thread begins for each wait.
        begun = threads()
        for number in range(1, 20):
            again = asyncio.create_task(all[0].changed(number))
            await asyncio.sleep(0)
            all[0].write(float(number))
            assert await again == number + 1
        assert threads() <= begun
        # One that has told, and that nobody awaits, is let go of at its next change.
        for c in all:
            c.write(2.0)
        while descriptors() != opened:
            await asyncio.sleep(0.001)
        until_ended(before)

    with contextlib.ExitStack() as stack:
        asyncio.run(main([stack.enter_context(Cortex.create(None, 0.0)) for _ in range(count)]))


def test_cancelling_leaves_nothing():
    async def main():
        before, opened = threads(), descriptors()
        for _ in range(3):
            tasks = [asyncio.create_task(handle.changed(0)) for handle in (c, other) for _ in range(100)]
            await asyncio.sleep(0)
            assert len(threads() - before) == 1 and descriptors() == opened + 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.cancelled() for task in tasks)
            assert descriptors() == opened
            until_ended(before)
            with pytest.raises(Timeout):
                await c.changed(0, 0.01)
            assert descriptors() == opened
            until_ended(before)

    with Cortex.create(None, 0.0) as c, Cortex.attach(c.key, float) as other:
        asyncio.run(main())


def test_nothing_is_left_of_an_event_loop_or_of_a_closed_cortex():
    async def one():
        opened = descriptors()
        again = asyncio.create_task(c.changed(c.version))
        await asyncio.sleep(0)
        c.write(1.0)
        await again
        # It watches on, for whoever awaits again.
        assert len(threads() - before) == 1 and descriptors() == opened + 1

    gc.collect()
    before, opened = threads(), descriptors()
    with Cortex.create(None, 0.0) as c:
        asyncio.run(one())
        gc.collect()
        assert descriptors() == opened
        until_ended(before)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(one())
    until_ended(before)
    loop.close()
    del loop
    gc.collect()
    assert descriptors() == opened


def test_a_change_between_two_looks_is_told():
    """Commits come all the time, from another process: each wait ends, and none is late for ever."""
    code = """
        c = nc.Cortex.attach(sys.argv[1], int)
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(3000):
            c.write(number)
    """

    async def main():
        child.stdin.write("\n")
        child.stdin.flush()
        version = 0
        while version < 3000:
            version = await c.changed(version, LIMIT)

    with Cortex.create(None, 0) as c:
        child = start(code.replace("sys.argv[1]", str(c.key)))
        asyncio.run(main())
        end(child)
        assert c.read() == 2999


def test_wait_any_ends_when_another_thread_closes():
    c, d = Cortex.create(None, 0.0), Cortex.create(None, 0.0)
    told = []

    def wait():
        try:
            wait_any({c: 0, d: 0})
        except ValueError as error:
            told.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.01)
    d.close()
    thread.join()
    assert told == ["the cortex is closed: attach again"]
    c.close()


def test_awaiting_ends_with_removal_and_close():
    async def main():
        c = Cortex.create(None, 0.0)
        with Cortex.attach(c.key, float) as other:
            own, others = asyncio.create_task(c.changed(0)), asyncio.create_task(other.changed(0))
            await asyncio.sleep(0)
            c.close()
            with pytest.raises(ValueError):
                await own
            with pytest.raises(Removed):
                await others

    asyncio.run(main())


def test_a_follower_gets_each_commit_or_is_told_how_many_it_missed():
    with Cortex.create(None, 0, slots=8) as c, Observer.attach(c.key, int) as observer:
        follow, seen = c.follow(), observer.follow()
        for number in range(1, 6):
            c.write(number * 10)
        assert follow.next() == Commit(10, 1, 0)
        assert [follow.try_next().value for _ in range(4)] == [20, 30, 40, 50]
        assert follow.try_next() is None and follow.position == 5
        for number in range(6, 106):
            c.write(number * 10)
        late = follow.next()
        assert late.version - late.missed == 6 and late.value == late.version * 10
        # From a position that was stored: nothing twice, nothing left out.
        again = c.follow(c.kept_since)
        assert [again.next().version for _ in range(7)] == list(range(c.kept_since + 1, c.kept_since + 8))
        assert next(seen).version - 1 == 105 - 8 + 0 or seen.position > 0


def test_a_loop_over_commits_ends_when_the_cortex_is_removed(name):
    code = """
        c = nc.Cortex.attach(sys.argv[1], int)
        print("ready", flush=True)
        got = missed = 0
        for commit in c.follow(0):
            got, missed = got + 1, missed + commit.missed
            assert commit.value == commit.version
        print(got + missed)
    """
    with Cortex.create(name, 0, slots=64) as c:
        child = start(code, name)
        for number in range(1, 2001):
            c.write(number)
    assert end(child) == "2000\n"


def test_commits_are_followed_in_an_event_loop():
    async def main():
        got = []

        async def follow():
            async for commit in c.follow():
                got.append(commit.value)

        task = asyncio.create_task(follow())
        await asyncio.sleep(0)
        for number in range(1, 6):
            c.write(number)
        while len(got) < 5:
            await asyncio.sleep(0.001)
        c.close()
        with pytest.raises(ValueError):
            await task
        return got

    c = Cortex.create(None, 0, slots=16)
    assert asyncio.run(main()) == [1, 2, 3, 4, 5]


def test_the_watching_thread_begins_anew_in_a_forked_child():
    async def main():
        return await c.changed(0)

    with Cortex.create(None, 0.0) as c:

        async def both():
            waiting = asyncio.create_task(c.changed(0))
            await asyncio.sleep(0)
            child = os.fork()
            if child == 0:
                os._exit(len(threads()) - 1)
            assert os.waitpid(child, 0)[1] == 0
            child = os.fork()
            if child == 0:
                asyncio.events._set_running_loop(None)
                os._exit(asyncio.new_event_loop().run_until_complete(main()))
            c.write(1.0)
            await waiting
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        assert asyncio.run(both()) == 1
        assert c.wait(0, LIMIT) == 1
