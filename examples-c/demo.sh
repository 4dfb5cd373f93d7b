#!/bin/sh
# Shows processes in C, C++ and Rust sharing one value, and that nothing is left behind.
#
#   BUILD                    where the examples were built (default build)
#   NEOCORTEX_RUST_EXAMPLE   a Rust program that takes a name and prints the reading (optional)
#
# Run by `make run`. Exits with 0 if everything went well. Ends only the processes that it started.
set -u

build=${BUILD:-build}
cd "$(dirname "$0")" || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/neocortex-demo.XXXXXX") || exit 1
writer=
reader=
outcome=0

end() {
    if [ -n "$writer" ]; then
        kill -TERM "$writer" 2>/dev/null
        wait "$writer" 2>/dev/null
        writer=
    fi
    if [ -n "$reader" ]; then
        kill -TERM "$reader" 2>/dev/null
        wait "$reader" 2>/dev/null
        reader=
    fi
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "demo: FAIL: $*" >&2
    outcome=1
}

# What the kernel holds, by key and id only: times and counts change by themselves.
kernel_objects() {
    if [ -r /proc/sysvipc/shm ] && [ -r /proc/sysvipc/sem ]; then
        awk 'FNR > 1 { print FILENAME, $1, $2 }' /proc/sysvipc/shm /proc/sysvipc/sem | sort
    else
        ipcs -m -s | awk '$2 ~ /^[0-9]+$/ { print $1, $2, $3 }' | sort
    fi
}

# run NAME COMMAND...: runs it, and it must succeed.
run() {
    what=$1
    shift
    "$@" || fail "$what ended with status $?"
}

kernel_objects >"$work/before"

# await FILE PATTERN PROCESS: until the process has written a line of this pattern to the file.
await() {
    while ! grep -q "$2" "$1"; do
        if ! kill -0 "$3" 2>/dev/null; then
            cat "$1" >&2
            fail "process $3 ended before it wrote: $2"
            exit 1
        fi
        sleep 1
    done
}

# Both begin with an empty file: what an earlier one wrote is not waited for.
start_writer() {
    : >"$work/writer"
    "$build/writer" "$name" 20 0 >"$work/writer" 2>&1 &
    writer=$!
    await "$work/writer" '^writer: created' "$writer"
}

start_reader() {
    : >"$work/reader"
    "$build/reader" "$name" >"$work/reader" 2>&1 &
    reader=$!
    await "$work/reader" '^reader: [0-9]' "$reader"
}

# A name of this demo's own. It does not matter who starts first: this reader waits for the writer.
name=example/demo/$$
"$build/reader" "$name" 5 &
early=$!
start_writer
echo "demo: the writer is process $writer, the name is $name"

echo "demo: C"
wait "$early" || fail "the reader that was there first ended with status $?"
echo "demo: C++, with the C interface"
run attach "$build/attach" "$name"
echo "demo: C++, with the C++ layer"
run cpp_layer "$build/cpp_layer" "$name"
if [ -n "${NEOCORTEX_RUST_EXAMPLE:-}" ]; then
    echo "demo: Rust"
    run "$NEOCORTEX_RUST_EXAMPLE" "$NEOCORTEX_RUST_EXAMPLE" "$name"
fi

# A writer that is killed takes nothing with it: the reader and the next writer go on.
start_reader
kill -KILL "$writer"
wait "$writer" 2>/dev/null
"$build/writer" "$name" 20 50 >"$work/next" 2>&1 &
writer=$!
wait "$writer" || fail "the writer after the one that was killed ended with status $?"
writer=
grep -q '^writer: found' "$work/next" || fail "the next writer began anew: $(head -n 1 "$work/next")"
echo "demo: the writer was killed, and the next one went on:"
sed -n 2p "$work/next"
kill -TERM "$reader"
wait "$reader" || fail "the reader of two writers ended with status $?"
reader=

# What was left where nobody lives is replaced. A reader that is there when the writer goes is told so.
start_writer
start_reader
kill -TERM "$writer"
wait "$writer" || fail "the writer ended with status $?"
writer=
wait "$reader" || fail "the last reader ended with status $?"
reader=
grep -q '^reader: the writer is gone' "$work/reader" || fail "the last reader was not told: $(tail -n 1 "$work/reader")"
tail -n 1 "$work/reader"
tail -n 1 "$work/writer"

echo "demo: several processes counting"
run counter "$build/counter" 4 10000
echo "demo: a lock of one's own"
run custom_lock "$build/custom_lock"
echo "demo: C++ on its own"
run cpp_layer "$build/cpp_layer"

# Other programs may be making and removing objects of their own: what is gone a little later was not ours.
tries=0
while :; do
    kernel_objects >"$work/after"
    comm -13 "$work/before" "$work/after" >"$work/left"
    if [ ! -s "$work/left" ]; then
        echo "demo: nothing is left behind"
        break
    fi
    tries=$((tries + 1))
    if [ "$tries" -eq 5 ]; then
        fail "the kernel's tables hold what they did not before:"
        cat "$work/left" >&2
        break
    fi
    sleep 1
done

[ "$outcome" -eq 0 ] && echo "demo: ok"
exit "$outcome"
