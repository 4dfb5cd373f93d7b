"""What `examples-python/cortex.py` promises, each tried: `python3 promises.py TEST`. Run by `tests/examples.rs`."""

import ctypes
import gc
import multiprocessing
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples-python"
sys.path.insert(0, str(EXAMPLE))
import cortex as example  # noqa: E402
from cortex import Cortex, Failure, Reading, key_of, schema_of  # noqa: E402

# A program that is started in the background ignores the signal, and so would every Python that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What hangs is a failure: the watchdog of every child, in seconds.
LIMIT = 120

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors/names.txt"
INVALID_ARGUMENT, TIMEOUT, INTERRUPTED, NAME = -3, -9, -20, -21


def a_name():
    return f"test/python/{os.urandom(8).hex()}"


def refused(status, call, *arguments, **more):
    """What the library says about a call that must fail with this status."""
    try:
        call(*arguments, **more)
    except Failure as failure:
        assert failure.status == status, failure
        return str(failure)
    raise AssertionError(f"{arguments} passed")


def bump(reading):
    reading.sequence += 1


def start(role, *arguments):
    """Another Python, in a role of this file. Its first line says that it is about to do what it is for."""
    command = [sys.executable, __file__, role, *map(str, arguments)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    return child


def until_asleep(child):
    """Until it sleeps in the system: it is in the call then, for nothing else that it does sleeps."""
    while pathlib.Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        os.sched_yield()


def wait_role(key):
    with Cortex.attach(int(key), Reading) as cortex:
        print("ready", flush=True)
        try:
            cortex.wait(cortex.version)
        except KeyboardInterrupt:
            print("interrupted", flush=True)


def write_role(key):
    with Cortex.attach(int(key), Reading) as cortex:
        print("ready", flush=True)
        try:
            cortex.write(Reading(1.0, 1))
        except KeyboardInterrupt:
            print("interrupted", flush=True)


def interrupted(child):
    until_asleep(child)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=LIMIT)
    assert (out, child.returncode) == ("interrupted\n", 0), (out, child.returncode)


def ctrl_c_ends_a_wait():
    with Cortex.create(Reading(1.0, 1)) as cortex:
        child = start("wait_role", cortex.key)
        try:
            interrupted(child)
        finally:
            child.kill()


def ctrl_c_ends_waiting_for_the_lock():
    with Cortex.create(Reading(1.0, 1)) as cortex:

        def hold(_):
            child = start("write_role", cortex.key)
            try:
                interrupted(child)
            finally:
                child.kill()

        cortex.update(hold)
        cortex.write(Reading(2.0, 2), seconds=LIMIT)


def in_another_process(cortex, answers):
    cortex.update(bump)
    answers.put((cortex.key, cortex.read().sequence))


def a_handle_can_be_sent_to_a_spawned_process():
    context = multiprocessing.get_context("spawn")
    with Cortex.create(Reading(1.0, 1)) as cortex:
        answers = context.Queue()
        child = context.Process(target=in_another_process, args=(cortex, answers))
        child.start()
        child.join(LIMIT)
        assert child.exitcode == 0, child.exitcode
        assert answers.get(timeout=LIMIT) == (cortex.key, 2)
        # The sender is the owner still: it has not gone with the child.
        assert cortex.read().sequence == 2
        cortex.write(Reading(3.0, 3))
        again = pickle.loads(pickle.dumps(cortex))
        assert (again.key, again.read().sequence) == (cortex.key, 3)
    try:
        pickle.dumps(cortex)
        raise AssertionError("a closed one was pickled")
    except ValueError:
        pass


def an_array_can_be_sent_too():
    kind = (ctypes.c_int32 * 3) * 2
    with Cortex.create(kind((1, 2, 3), (4, 5, 6))) as cortex:
        again = pickle.loads(pickle.dumps(cortex))
        assert list(again.read()[1]) == [4, 5, 6]


def forgotten_handles_are_closed():
    with Cortex.create(Reading(1.0, 1)) as cortex:
        for _ in range(200):
            Cortex.attach(cortex.key, Reading)
        # Those that refer to themselves stay until the garbage is collected, which attaching sees to.
        gc.disable()
        for _ in range(200):
            handle = Cortex.attach(cortex.key, Reading)
            handle.itself = handle
        gc.enable()


def what_is_not_closed_is_removed_at_the_end():
    child = start("forget_role")
    key = int(child.stdout.readline())
    child.communicate(timeout=LIMIT)
    assert child.returncode == 0
    try:
        Cortex.attach(key, Reading)
        raise AssertionError("it was left behind")
    except Failure as failure:
        assert "No such segment" in str(failure), failure


def forget_role():
    print("ready", flush=True)
    global forgotten
    forgotten = Cortex.create(Reading(1.0, 1))
    print(forgotten.key, flush=True)


class AtInstruction:
    """Calls SIGINT's handler at the so-manieth instruction that Python runs in the example."""

    def __init__(self, number):
        self.left = number

    def __call__(self, frame, event, _):
        frame.f_trace_opcodes = True
        if frame.f_code.co_filename != example.__file__:
            return None
        if event == "opcode":
            if self.left == 0:
                self.left = -1
                signal.getsignal(signal.SIGINT)(signal.SIGINT, frame)
            elif self.left > 0:
                self.left -= 1
        return self


def an_interrupt_at_any_instruction_of_an_update_releases_the_guard():
    default = signal.getsignal(signal.SIGINT)
    with Cortex.create(Reading(1.0, 0)) as cortex, Cortex.attach(cortex.key, Reading) as other:
        first = cortex.version
        for refuse in (False, True):

            def change(reading):
                bump(reading)
                if refuse:
                    raise ValueError

            number, interrupts, is_over = 0, 0, False
            while not is_over:
                before = cortex.version
                trace = AtInstruction(number)
                sys.settrace(trace)
                try:
                    cortex.update(change)
                except KeyboardInterrupt:
                    interrupts += 1
                except ValueError:
                    pass
                finally:
                    sys.settrace(None)
                # Whole, or nothing: and the guard is not held.
                now = cortex.read()
                assert cortex.version - before in ((0,) if refuse else (0, 1)), number
                assert now.sequence == cortex.version - first, number
                other.update(bump, seconds=0)
                cortex.update(bump, seconds=0)
                # Also where it came while the handlers were put back.
                assert signal.getsignal(signal.SIGINT) == default, number
                is_over = trace.left >= 0
                number += 1
            # Each one was raised: none is lost.
            assert interrupts == number - 1 and interrupts > 100, (interrupts, number)


def ctrl_c_ends_a_change_and_rolls_it_back():
    with Cortex.create(Reading(1.0, 1)) as cortex:

        def change(reading):
            bump(reading)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("went on")

        try:
            cortex.update(change)
            raise AssertionError("went on")
        except KeyboardInterrupt:
            pass
        assert cortex.read().sequence == 1
        cortex.update(bump, seconds=0)


def updates_of_threads_exclude_one_another():
    with Cortex.create(Reading(1.0, 0)) as cortex:
        work = lambda: [cortex.update(bump) for _ in range(500)]
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert cortex.read().sequence == 1500
        try:
            cortex.update(lambda _: cortex.update(bump))
            raise AssertionError("an update within an update")
        except RuntimeError:
            pass
        assert cortex.read().sequence == 1500


def messages_are_in_the_words_of_python():
    with Cortex.create(Reading(1.0, 1), participants=1) as cortex:
        try:
            Cortex.attach(cortex.key, Reading)
            raise AssertionError("there was room")
        except Failure as failure:
            assert "`participants=`" in str(failure) and "`read_only=True`" in str(failure), failure
        # What the message says helps.
        assert Cortex.attach(cortex.key, Reading, read_only=True).read().sequence == 1


def keys_and_schemas_are_those_of_every_language():
    rows = [line.split(" ", 2) for line in VECTORS.read_text().splitlines() if not line.startswith("#")]
    assert len(rows) >= 15
    for key, schema, text in rows:
        assert (key_of(text), schema_of(text)) == (int(key), int(schema, 16)), text


def what_is_no_name_is_refused_with_the_rule():
    for text in ["", "x" * 256, "a\nb", "a\x7f", "\x85", "12", "-1", "+7", "0x1f", "99999999999"]:
        for call in (key_of, lambda name: Cortex.create(Reading(), name), lambda name: Cortex.attach(name, Reading)):
            assert "255 bytes of UTF-8" in refused(INVALID_ARGUMENT, call, text), text
    # What ctypes would cut short, and what no UTF-8 stands for.
    for text in ["a\0b", "\udcff"]:
        try:
            Cortex.create(Reading(), text)
            raise AssertionError(f"{text!r} passed")
        except ValueError:
            pass


def a_name_finds_its_own_cortex_and_no_other():
    seen, seed = {}, a_name()
    for number in range(1 << 20):
        two = f"{seed}/{number}"
        one = seen.setdefault(key_of(two), two)
        if one != two:
            break
    with Cortex.create(Reading(1.0, 1), one) as cortex:
        assert (cortex.name, cortex.key, cortex.was_created, cortex.is_owner) == (one, key_of(two), True, True)
        with Cortex.attach(one, Reading) as by_name, Cortex.attach(cortex.key, Reading) as by_number:
            by_name.update(bump)
            assert (by_number.read().sequence, by_number.name) == (2, one)
            assert (by_name.was_created, by_name.is_owner) == (False, False)
        for call in (Cortex.attach, Cortex.attach_wait):
            words = refused(NAME, call, two, Reading)
            assert one in words and two in words, words
        refused(NAME, Cortex.open_or_create, Reading(), two)
        again = pickle.loads(pickle.dumps(cortex))
        assert again.name == one
    with Cortex.create(Reading(1.0, 1)) as nameless:
        assert nameless.name == ""


def open_role(name):
    print("ready", flush=True)
    sys.stdin.readline()
    with Cortex.open_or_create(Reading(float(os.getpid()), 1), name) as cortex:
        print(cortex.was_created, cortex.is_owner, cortex.read().value, flush=True)
        # Until all have it: the owner's end removes it.
        sys.stdin.readline()


def exactly_one_of_many_that_start_at_once_creates():
    name = a_name()
    children = [start("open_role", name) for _ in range(12)]
    try:
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        found = [child.stdout.readline().split() for child in children]
        assert sorted(made for made, _, _ in found) == ["False"] * 11 + ["True"], found
        assert all(made == owns for made, owns, _ in found), found
        assert len({value for _, _, value in found}) == 1, found
        for child in children:
            child.communicate("end\n", timeout=LIMIT)
            assert child.returncode == 0
    finally:
        for child in children:
            child.kill()
    refused(-1, Cortex.attach, name, Reading)


def what_a_killed_owner_left_is_opened_and_taken_over():
    name = a_name()
    child = start("open_role", name)
    child.stdin.write("go\n")
    child.stdin.flush()
    assert child.stdout.readline().startswith("True True")
    child.kill()
    child.wait(LIMIT)
    with Cortex.open_or_create(Reading(0.0, 0), name) as cortex:
        assert (cortex.was_created, cortex.is_owner, cortex.read().value) == (False, False, float(child.pid))
        cortex.take_ownership()
        assert cortex.is_owner
    refused(-1, Cortex.attach, name, Reading)


def wait_for_creator_role(name):
    print("ready", flush=True)
    try:
        with Cortex.attach_wait(name, Reading, read_only=True) as cortex:
            print(cortex.read().sequence, flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)


def who_comes_first_waits_for_the_creator():
    name = a_name()
    assert "created" in refused(TIMEOUT, Cortex.attach_wait, name, Reading, seconds=0.02)
    child = start("wait_for_creator_role", name)
    try:
        until_asleep(child)
        with Cortex.create(Reading(1.0, 9), name):
            out, _ = child.communicate(timeout=LIMIT)
            assert (out, child.returncode) == ("9\n", 0), (out, child.returncode)
    finally:
        child.kill()


def ctrl_c_ends_waiting_for_the_creator():
    child = start("wait_for_creator_role", a_name())
    try:
        interrupted(child)
    finally:
        child.kill()


def follow_role(name):
    with Cortex.attach(name, Reading) as cortex:
        print("ready", flush=True)
        version = 0
        while True:
            cortex.wait(version, LIMIT)
            now, seen = cortex.read_versioned()
            # One writer that counts its commits: the value says which commit it is.
            assert seen > version and now.sequence == seen, (now.sequence, seen, version)
            version = seen
            if now.value < 0:
                return


def no_commit_is_followed_twice():
    name = a_name()
    with Cortex.create(Reading(1.0, 0), name) as cortex:
        child = start("follow_role", name)
        try:
            for number in range(1, 3001):
                cortex.write(Reading(-1.0 if number == 3000 else 1.0, number))
            child.communicate(timeout=LIMIT)
            assert child.returncode == 0
        finally:
            child.kill()


def what_is_overwritten_starts_from_nothing_and_is_whole():
    with Cortex.create(Reading(1.0, 1), a_name()) as cortex:
        for number in range(1, 5):

            def fill(reading):
                assert (reading.value, reading.sequence) == (0.0, 0)
                reading.sequence = number

            cortex.overwrite(fill)
            now = cortex.read()
            assert (now.value, now.sequence, cortex.version) == (0.0, number, number)

        def refuse(reading):
            reading.sequence = 99
            raise ValueError

        try:
            cortex.overwrite(refuse)
            raise AssertionError("no exception")
        except ValueError:
            pass
        assert (cortex.read().sequence, cortex.version) == (4, 4)


def interruptible_role(name):
    signal.signal(signal.SIGUSR1, lambda *_: None)
    with Cortex.attach(name, Reading, interruptible=True) as cortex:
        print("ready", flush=True)
        refused(INTERRUPTED, cortex.wait, cortex.version)
        print("interrupted", flush=True)


def a_handler_that_does_not_raise_ends_a_wait_that_is_interruptible():
    name = a_name()
    with Cortex.create(Reading(1.0, 1), name):
        child = start("interruptible_role", name)
        try:
            # Again and again, for one may come between two slices of the wait.
            over = threading.Event()

            def send():
                while not over.wait(0.005):
                    child.send_signal(signal.SIGUSR1)

            sender = threading.Thread(target=send)
            sender.start()
            line = child.stdout.readline()
            over.set()
            sender.join()
            child.communicate(timeout=LIMIT)
            assert (line, child.returncode) == ("interrupted\n", 0), (line, child.returncode)
        finally:
            over.set()
            child.kill()


def memory_can_be_there_from_the_start():
    with Cortex.create(Reading(1.0, 1), a_name(), prefault=True, huge_pages=True, prefer_huge_pages=True) as cortex:
        with Cortex.attach(cortex.name, Reading, prefault=True) as other:
            assert other.read().sequence == 1
    try:
        Cortex.attach(a_name(), Reading, huge_pages=True)
        raise AssertionError("attaching makes no pages")
    except TypeError:
        pass


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
