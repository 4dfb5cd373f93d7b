#!/bin/sh
# Shows processes in C, C++ and Rust sharing one value, and that nothing is left behind.
#
#   BUILD                    where the examples were built (default build)
#   NEOCORTEX_RUST_EXAMPLE   a Rust program that takes a key and prints the reading (optional)
#
# Run by `make run`. Exits with 0 if everything went well. Ends only the processes that it started.
set -u

build=${BUILD:-build}
cd "$(dirname "$0")" || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/neocortex-demo.XXXXXX") || exit 1
writer=
outcome=0

end() {
    if [ -n "$writer" ]; then
        kill -TERM "$writer" 2>/dev/null
        wait "$writer" 2>/dev/null
        writer=
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
    name=$1
    shift
    "$@" || fail "$name ended with status $?"
}

kernel_objects >"$work/before"

# The writer: for as long as the demo needs it. Key 0: it chooses a free one and says which.
: >"$work/writer"
"$build/writer" 0 20 0 >"$work/writer" 2>&1 &
writer=$!
key=
while [ -z "$key" ]; do
    key=$(sed -n 's/^writer: key \(-\{0,1\}[0-9]\{1,\}\)$/\1/p' "$work/writer")
    if [ -z "$key" ]; then
        if ! kill -0 "$writer" 2>/dev/null; then
            cat "$work/writer" >&2
            fail "the writer did not start"
            exit 1
        fi
        sleep 1
    fi
done
echo "demo: the writer is process $writer, the key is $key"

echo "demo: C"
run reader "$build/reader" "$key" 5
echo "demo: C++, with the C interface"
run attach "$build/attach" "$key"
echo "demo: C++, with the C++ layer"
run cpp_layer "$build/cpp_layer" "$key"
if [ -n "${NEOCORTEX_RUST_EXAMPLE:-}" ]; then
    echo "demo: Rust"
    run "$NEOCORTEX_RUST_EXAMPLE" "$NEOCORTEX_RUST_EXAMPLE" "$key"
fi

# A reader that is there when the writer goes is told so.
: >"$work/reader"
"$build/reader" "$key" >"$work/reader" 2>&1 &
reader=$!
while ! grep -q '^reader: [0-9]' "$work/reader"; do
    if ! kill -0 "$reader" 2>/dev/null; then
        break
    fi
    sleep 1
done
kill -TERM "$writer"
wait "$writer" || fail "the writer ended with status $?"
writer=
wait "$reader" || fail "the last reader ended with status $?"
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
