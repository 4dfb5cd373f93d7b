/* The least that a log of fixed-size records in shared memory can be, for programs that push and programs that follow.
 *
 * It keeps what ours keeps of a record: which one it is, that it is whole (a sequence of two counters, as in a seqlock),
 * how many were overwritten before a follower came to them; and nothing of the rest: one size that the compiler knows, a
 * power of two of slots, no check of a range, of a type or of what a peer has stored, no time-out, no death of anybody.
 *
 * `ALONE` is for one writer for ever, and nobody sleeps. `WAKES` does, besides, what a sleeper needs in order to be woken:
 * a full fence after each push, and a look. `SHARED` takes and releases a word as a lock around each push, which is a full
 * fence as well, and looks. A writer that is killed there stops all others for ever.
 *
 * Records lie without gaps, unless `gap` says how far apart they begin. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINE __attribute__((aligned(64)))
#define INLINE static inline __attribute__((always_inline))

enum how { ALONE, WAKES, SHARED };

/* What both do in one turn, one after the other. */
enum { BURST = 64 };

struct ring {
    LINE _Atomic uint64_t begun;
    _Atomic uint64_t committed;
    LINE _Atomic uint32_t waiting;
    LINE _Atomic uint32_t lock;
    LINE char slots[];
};

/* Of one process. */
struct follower {
    uint64_t seen;
    uint64_t known;
    uint64_t missed;
};

size_t peers_ring_size(size_t gap, uint64_t count) { return sizeof(struct ring) + gap * count; }

static void wake(struct ring *ring) {
    /* Never here: nobody sleeps while this is measured. */
    (void)ring;
    abort();
}

INLINE void push(struct ring *ring, enum how how, size_t size, size_t gap, uint64_t count, const void *value) {
    uint32_t free = 0;
    while (how == SHARED && !atomic_compare_exchange_weak_explicit(&ring->lock, &free, 1, memory_order_acquire,
                                                                   memory_order_relaxed)) {
        free = 0;
        __builtin_ia32_pause();
    }
    uint64_t next = atomic_load_explicit(&ring->committed, memory_order_relaxed) + 1;
    atomic_store_explicit(&ring->begun, next, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    memcpy(ring->slots + (next & (count - 1)) * gap, value, size);
    atomic_store_explicit(&ring->committed, next, memory_order_release);
    if (how == SHARED) atomic_exchange(&ring->lock, 0);
    if (how == WAKES) atomic_thread_fence(memory_order_seq_cst);
    if (how != ALONE && __builtin_expect(atomic_load_explicit(&ring->waiting, memory_order_relaxed) != 0, 0)) wake(ring);
}

/* Copies up to `limit` records; how many. */
INLINE uint64_t follow(struct ring *ring, struct follower *follower, size_t size, size_t gap, uint64_t count,
                       uint64_t limit, char *to) {
    for (;;) {
        uint64_t next = follower->seen + 1;
        if (next > follower->known) {
            follower->known = atomic_load_explicit(&ring->committed, memory_order_acquire);
            if (next > follower->known) return 0;
        }
        uint64_t there = follower->known - follower->seen;
        if (there < count) {
            uint64_t length = there < limit ? there : limit;
            for (uint64_t i = 0; i < length; i++)
                memcpy(to + i * size, ring->slots + ((next + i) & (count - 1)) * gap, size);
            atomic_thread_fence(memory_order_acquire);
            if (atomic_load_explicit(&ring->begun, memory_order_relaxed) - next < count) {
                follower->seen += length;
                return length;
            }
        }
        /* Overtaken: goes on an eighth of the slots behind the oldest. */
        follower->known = atomic_load_explicit(&ring->committed, memory_order_acquire);
        uint64_t seen = follower->known - (count - count / 8);
        follower->missed += seen - follower->seen;
        follower->seen = seen;
    }
}

INLINE uint64_t sum(const char *bytes, size_t size) {
    uint64_t first, last;
    memcpy(&first, bytes, sizeof first);
    memcpy(&last, bytes + size - sizeof last, sizeof last);
    return first ^ last;
}

/* Pushes a burst and follows it, and so on, until n records went through. */
INLINE uint64_t run(struct ring *ring, enum how how, size_t size, size_t gap, uint64_t count, uint64_t limit, uint64_t n) {
    static char value[65536], buffer[BURST * 65536];
    struct follower follower = {atomic_load(&ring->committed), atomic_load(&ring->committed), 0};
    uint64_t seen = 0;
    for (uint64_t done = 0; done < n;) {
        uint64_t burst = n - done < BURST ? n - done : BURST;
        for (uint64_t i = 0; i < burst; i++) {
            uint64_t number = done + i;
            memcpy(value, &number, sizeof number);
            push(ring, how, size, gap, count, value);
        }
        for (uint64_t got = 0; got < burst;) {
            uint64_t length = follow(ring, &follower, size, gap, count, limit, buffer);
            for (uint64_t i = 0; i < length; i++) seen ^= sum(buffer + i * size, size);
            got += length;
        }
        done += burst;
    }
    if (follower.missed != 0) abort();
    return seen;
}

/* Follows what is there, again and again. */
INLINE uint64_t again(struct ring *ring, size_t size, size_t gap, uint64_t count, uint64_t limit, uint64_t n) {
    static char buffer[BURST * 65536];
    uint64_t seen = 0, newest = atomic_load(&ring->committed);
    if (newest < count) abort();
    struct follower start = {newest - count + 1, newest, 0}, follower = start;
    for (uint64_t done = 0; done < n;) {
        uint64_t length = follow(ring, &follower, size, gap, count, limit, buffer);
        if (length == 0) follower = start;
        for (uint64_t i = 0; i < length; i++) seen ^= sum(buffer + i * size, size);
        done += length;
    }
    return seen;
}

INLINE uint64_t push_until(struct ring *ring, enum how how, size_t size, size_t gap, uint64_t count, _Atomic uint32_t *stop) {
    static char value[65536];
    uint64_t n = 0;
    for (; !atomic_load_explicit(stop, memory_order_relaxed); n++) {
        memcpy(value, &n, sizeof n);
        push(ring, how, size, gap, count, value);
    }
    return n;
}

INLINE uint64_t follow_until(struct ring *ring, size_t size, size_t gap, uint64_t count, uint64_t limit,
                             _Atomic uint32_t *stop) {
    static char buffer[BURST * 65536];
    struct follower follower = {atomic_load(&ring->committed), atomic_load(&ring->committed), 0};
    uint64_t n = 0, seen = 0;
    while (!atomic_load_explicit(stop, memory_order_relaxed)) {
        uint64_t length = follow(ring, &follower, size, gap, count, limit, buffer);
        for (uint64_t i = 0; i < length; i++) seen ^= sum(buffer + i * size, size);
        n += length;
    }
    __asm__ volatile("" ::"r"(seen));
    return n;
}

/* Each with sizes and a number of slots that the compiler knows; records that begin 64 bytes apart for 8 bytes too. */
#define WITH_SIZES(CALL)                                                                                               \
    if (size == 8 && gap == 8) return CALL(8, 8, 1024);                                                                \
    if (size == 8 && gap == 64) return CALL(8, 64, 1024);                                                              \
    if (size == 256) return CALL(256, 256, 1024);                                                                      \
    if (size == 65536) return CALL(65536, 65536, 128);                                                                 \
    abort();

uint64_t peers_ring_run(struct ring *ring, uint32_t how, bool is_batched, size_t size, size_t gap, uint64_t n) {
#define OF_HOW(SIZE, GAP, COUNT)                                                                                       \
    (is_batched ? (how == ALONE   ? run(ring, ALONE, SIZE, GAP, COUNT, BURST, n)                                       \
                   : how == WAKES ? run(ring, WAKES, SIZE, GAP, COUNT, BURST, n)                                       \
                                  : run(ring, SHARED, SIZE, GAP, COUNT, BURST, n))                                     \
                : (how == ALONE   ? run(ring, ALONE, SIZE, GAP, COUNT, 1, n)                                           \
                   : how == WAKES ? run(ring, WAKES, SIZE, GAP, COUNT, 1, n)                                           \
                                  : run(ring, SHARED, SIZE, GAP, COUNT, 1, n)))
    WITH_SIZES(OF_HOW)
}

uint64_t peers_ring_again(struct ring *ring, bool is_batched, size_t size, size_t gap, uint64_t n) {
#define AGAIN(SIZE, GAP, COUNT)                                                                                        \
    (is_batched ? again(ring, SIZE, GAP, COUNT, BURST, n) : again(ring, SIZE, GAP, COUNT, 1, n))
    WITH_SIZES(AGAIN)
}

uint64_t peers_ring_push_until(struct ring *ring, uint32_t how, size_t size, size_t gap, _Atomic uint32_t *stop) {
#define PUSH_UNTIL(SIZE, GAP, COUNT)                                                                                   \
    (how == ALONE   ? push_until(ring, ALONE, SIZE, GAP, COUNT, stop)                                                  \
     : how == WAKES ? push_until(ring, WAKES, SIZE, GAP, COUNT, stop)                                                  \
                    : push_until(ring, SHARED, SIZE, GAP, COUNT, stop))
    WITH_SIZES(PUSH_UNTIL)
}

uint64_t peers_ring_follow_until(struct ring *ring, bool is_batched, size_t size, size_t gap, _Atomic uint32_t *stop) {
#define FOLLOW_UNTIL(SIZE, GAP, COUNT)                                                                                 \
    (is_batched ? follow_until(ring, SIZE, GAP, COUNT, BURST, stop) : follow_until(ring, SIZE, GAP, COUNT, 1, stop))
    WITH_SIZES(FOLLOW_UNTIL)
}
