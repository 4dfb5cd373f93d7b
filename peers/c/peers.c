/* The peers that are C: each loop is here, so that no call from Rust is charged to a peer.
 *
 * For every lock: read(n) and write(n) do the work n times; read_until and write_until do it until
 * *stop is set and return how often. The value is a double beside the lock, on another cache line. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINE __attribute__((aligned(64)))

struct area {
    LINE pthread_rwlock_t rwlock;
    LINE pthread_mutex_t robust;
    LINE sem_t semaphore;
    LINE _Atomic uint32_t word;
    LINE _Atomic uint32_t count;
    LINE _Atomic uint32_t ping;
    LINE _Atomic uint32_t pong;
    LINE volatile double value;
    /* Not shared: what the System V semaphore and flock need. */
    LINE int semid;
    int fd;
};

size_t peers_area_size(void) { return sizeof(struct area); }

int peers_init(struct area *area) {
    pthread_rwlockattr_t rwlock;
    pthread_rwlockattr_init(&rwlock);
    pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_t mutex;
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
    return pthread_rwlock_init(&area->rwlock, &rwlock) || pthread_mutex_init(&area->robust, &mutex)
        || sem_init(&area->semaphore, 1, 1);
}

void peers_use(struct area *area, int semid, int fd) {
    area->semid = semid;
    area->fd = fd;
}

int peers_semaphore_set(void) {
    int id = semget(IPC_PRIVATE, 1, 0600);
    if (id >= 0 && semctl(id, 0, SETVAL, 1) != 0) abort();
    return id;
}

void peers_remove_set(int id) { semctl(id, 0, IPC_RMID); }

/* A failure is a defect of the benchmark. */
static inline void must(int is_fine) {
    if (__builtin_expect(!is_fine, 0)) abort();
}

static inline void robust_lock(struct area *area) {
    int result = pthread_mutex_lock(&area->robust);
    if (__builtin_expect(result == EOWNERDEAD, 0))
        must(pthread_mutex_consistent(&area->robust) == 0);
    else
        must(result == 0);
}

static inline void semop_by(struct area *area, short change) {
    struct sembuf operation = {0, change, SEM_UNDO};
    must(semop(area->semid, &operation, 1) == 0);
}

static inline void word_lock(struct area *area) {
    uint32_t free = 0;
    while (!atomic_compare_exchange_weak(&area->word, &free, 1)) free = 0;
}

#define WORK(NAME, READ_LOCK, READ_UNLOCK, WRITE_LOCK, WRITE_UNLOCK)                               \
    uint64_t peers_##NAME##_read(struct area *area, uint64_t n) {                                  \
        uint64_t seen = 0;                                                                         \
        for (uint64_t i = 0; i < n; i++) {                                                         \
            READ_LOCK;                                                                             \
            double value = area->value;                                                            \
            READ_UNLOCK;                                                                           \
            uint64_t bits;                                                                         \
            memcpy(&bits, &value, sizeof bits);                                                    \
            seen ^= bits;                                                                          \
        }                                                                                          \
        return seen;                                                                               \
    }                                                                                              \
    uint64_t peers_##NAME##_write(struct area *area, uint64_t n) {                                 \
        double value = 1.5;                                                                        \
        for (uint64_t i = 0; i < n; i++) {                                                         \
            WRITE_LOCK;                                                                            \
            area->value = value;                                                                   \
            WRITE_UNLOCK;                                                                          \
        }                                                                                          \
        return 0;                                                                                  \
    }                                                                                              \
    uint64_t peers_##NAME##_read_until(struct area *area, _Atomic uint32_t *stop) {                \
        uint64_t n = 0;                                                                            \
        for (; !atomic_load_explicit(stop, memory_order_relaxed); n++) {                           \
            READ_LOCK;                                                                             \
            (void)area->value;                                                                     \
            READ_UNLOCK;                                                                           \
        }                                                                                          \
        return n;                                                                                  \
    }                                                                                              \
    uint64_t peers_##NAME##_write_until(struct area *area, _Atomic uint32_t *stop) {               \
        uint64_t n = 0;                                                                            \
        for (; !atomic_load_explicit(stop, memory_order_relaxed); n++) {                           \
            WRITE_LOCK;                                                                            \
            area->value = (double)n;                                                               \
            WRITE_UNLOCK;                                                                          \
        }                                                                                          \
        return n;                                                                                  \
    }

WORK(rwlock, must(pthread_rwlock_rdlock(&area->rwlock) == 0),
     must(pthread_rwlock_unlock(&area->rwlock) == 0),
     must(pthread_rwlock_wrlock(&area->rwlock) == 0), must(pthread_rwlock_unlock(&area->rwlock) == 0))
WORK(robust, robust_lock(area), must(pthread_mutex_unlock(&area->robust) == 0), robust_lock(area),
     must(pthread_mutex_unlock(&area->robust) == 0))
WORK(semaphore, must(sem_wait(&area->semaphore) == 0), must(sem_post(&area->semaphore) == 0),
     must(sem_wait(&area->semaphore) == 0), must(sem_post(&area->semaphore) == 0))
WORK(semop, semop_by(area, -1), semop_by(area, 1), semop_by(area, -1), semop_by(area, 1))
WORK(flock, must(flock(area->fd, LOCK_SH) == 0), must(flock(area->fd, LOCK_UN) == 0),
     must(flock(area->fd, LOCK_EX) == 0), must(flock(area->fd, LOCK_UN) == 0))
WORK(plain, , , , )
WORK(word, word_lock(area), atomic_exchange(&area->word, 0), word_lock(area),
     atomic_exchange(&area->word, 0))

/* Two loads: the value and one that validates it. */
uint64_t peers_plain_pair_read(struct area *area, uint64_t n) {
    uint64_t seen = 0;
    for (uint64_t i = 0; i < n; i++) {
        double value = area->value;
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        seen ^= bits ^ atomic_load_explicit(&area->word, memory_order_relaxed);
    }
    return seen;
}

/* The least that a reader can do who stores nothing, with two places for the value: which it is, the value, and
 * whether it was written meanwhile. */
uint64_t peers_commit_read(struct area *area, uint64_t n) {
    _Atomic uint32_t *begun = &area->word, *committed = &area->word + 1;
    volatile double *places = &area->value;
    uint64_t seen = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t turn = atomic_load_explicit(committed, memory_order_acquire);
        double value = places[turn & 1];
        atomic_thread_fence(memory_order_acquire);
        must(atomic_load_explicit(begun, memory_order_relaxed) - turn < 2);
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        seen ^= bits;
    }
    return seen;
}

/* The least that a reader can do who keeps writers out and is counted on a line of its own: counts itself, looks whether
 * there is a writer, and takes itself off and looks whether one waits. */
uint64_t peers_counted_read(struct area *area, uint64_t n) {
    _Atomic uint32_t *writer = &area->word, *count = &area->count;
    uint64_t seen = 0;
    for (uint64_t i = 0; i < n; i++) {
        atomic_fetch_add(count, 1);
        must(atomic_load_explicit(writer, memory_order_acquire) == 0);
        double value = *(volatile double *)&area->value;
        atomic_fetch_sub(count, 1);
        must(atomic_load_explicit(writer, memory_order_relaxed) == 0);
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        seen ^= bits;
    }
    return seen;
}

/* Holds the robust mutex for ever: for a process that is to be killed. */
void peers_robust_hold(struct area *area) { robust_lock(area); }

/* A small write into a large segment under the robust mutex, at places that a multiplier spreads. */
void peers_robust_write_at(struct area *area, char *bytes, size_t size, const char *data,
                           size_t length, size_t step, uint64_t n) {
    size_t offset = 0;
    for (uint64_t i = 0; i < n; i++) {
        robust_lock(area);
        memcpy(bytes + offset, data, length);
        must(pthread_mutex_unlock(&area->robust) == 0);
        offset += step;
        if (offset + length > size) offset -= offset / size * size, offset = offset + length > size ? 0 : offset;
    }
}

/* memcpy, to or from one of two places in turn. */
void peers_memcpy(char *to, const char *from, size_t length, size_t to_step, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        memcpy(to + (i & 1) * to_step, from, length);
        __asm__ volatile("" ::: "memory");
    }
}

/* The least around a memcpy that another process may be writing, or reading, meanwhile, with two places by turns. */
struct bare {
    LINE _Atomic uint32_t lock;
    LINE _Atomic uint32_t begun;
    _Atomic uint32_t committed;
};

size_t peers_bare_size(void) { return sizeof(struct bare); }

/* Which place it is in, the bytes, and whether they were written meanwhile. */
void peers_bare_read(struct bare *bare, char *to, const char *from, size_t length, size_t step, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        uint32_t turn = atomic_load_explicit(&bare->committed, memory_order_acquire);
        memcpy(to, from + (turn & 1) * step, length);
        atomic_thread_fence(memory_order_acquire);
        must(atomic_load_explicit(&bare->begun, memory_order_relaxed) - turn < 2);
    }
}

/* A lock that is a word, and what readers look at. */
void peers_bare_write(struct bare *bare, char *to, const char *from, size_t length, size_t step, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        uint32_t free = 0;
        must(atomic_compare_exchange_strong_explicit(&bare->lock, &free, 1, memory_order_acquire,
                                                     memory_order_relaxed));
        uint32_t turn = atomic_load_explicit(&bare->committed, memory_order_relaxed) + 1;
        atomic_store_explicit(&bare->begun, turn, memory_order_relaxed);
        atomic_thread_fence(memory_order_release);
        memcpy(to + (turn & 1) * step, from, length);
        atomic_store_explicit(&bare->committed, turn, memory_order_release);
        must(atomic_exchange_explicit(&bare->lock, 0, memory_order_release) == 1);
    }
}

/* --- Our C API, through pointers into libneocortex.so, as through a PLT. --- */

struct api {
    int32_t (*read)(void *, void *, size_t);
    int32_t (*write)(void *, const void *, size_t);
    int32_t (*read_at)(void *, size_t, void *, size_t);
    int32_t (*write_at)(void *, size_t, const void *, size_t);
    int32_t (*read_begin)(void *, const void **);
    int32_t (*read_end)(void *);
    int32_t (*write_begin)(void *, void **);
    int32_t (*write_commit)(void *);
    int32_t (*write_publish)(void *, void **);
    int32_t (*wait)(void *, uint64_t, int64_t, uint64_t *);
    int32_t (*interrupt)(void *);
    int32_t (*follow)(void *, uint64_t *, void *, size_t, int64_t, size_t *, uint64_t *);
};

uint64_t peers_api_read(const struct api *api, void *segment, uint64_t n) {
    uint64_t seen = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t bits;
        must(api->read(segment, &bits, sizeof bits) == 0);
        seen ^= bits;
    }
    return seen;
}

void peers_api_nothing(const struct api *api, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) must(api->interrupt(NULL) != 0);
}

void peers_api_write(const struct api *api, void *segment, uint64_t n) {
    double value = 1.5;
    for (uint64_t i = 0; i < n; i++) must(api->write(segment, &value, sizeof value) == 0);
}

void peers_api_publish(const struct api *api, void *segment, uint64_t n) {
    void *next;
    must(api->write_begin(segment, &next) == 0);
    for (uint64_t i = 0; i < n; i++) {
        *(volatile double *)next = 1.5;
        must(api->write_publish(segment, &next) == 0);
    }
    must(api->write_commit(segment) == 0);
}

uint64_t peers_api_guard(const struct api *api, void *segment, uint64_t n) {
    uint64_t seen = 0;
    for (uint64_t i = 0; i < n; i++) {
        const void *value;
        must(api->read_begin(segment, &value) == 0);
        seen ^= *(const volatile uint64_t *)value;
        must(api->read_end(segment) == 0);
    }
    return seen;
}

/* As `run` in ring.c: a burst is published, and then copied by as many calls as it takes, of up to `limit` records each. */
uint64_t peers_api_follow(const struct api *api, void *segment, size_t size, size_t burst, size_t limit, uint64_t since,
                          uint64_t n) {
    static char buffer[64 * 65536];
    void *next;
    uint64_t seen = 0;
    must(size <= 65536 && limit <= 64);
    must(api->write_begin(segment, &next) == 0);
    for (uint64_t done = 0; done < n;) {
        uint64_t length = n - done < burst ? n - done : burst, end = since + length;
        for (uint64_t i = 0; i < length; i++) {
            memset(next, 0, size);
            memcpy(next, &i, sizeof i);
            must(api->write_publish(segment, &next) == 0);
        }
        while (since != end) {
            size_t count;
            uint64_t missed;
            must(api->follow(segment, &since, buffer, limit * size, 0, &count, &missed) == 0 && missed == 0);
            for (size_t i = 0; i < count; i++) {
                uint64_t first, last;
                memcpy(&first, buffer + i * size, sizeof first);
                memcpy(&last, buffer + i * size + size - sizeof last, sizeof last);
                seen ^= first ^ last;
            }
        }
        done += length;
    }
    must(api->write_commit(segment) == 0);
    return seen;
}

void peers_api_read_at(const struct api *api, void *segment, void *buffer, size_t length, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) must(api->read_at(segment, 0, buffer, length) == 0);
}

void peers_api_write_at(const struct api *api, void *segment, const void *data, size_t length,
                        uint64_t n) {
    for (uint64_t i = 0; i < n; i++) must(api->write_at(segment, 0, data, length) == 0);
}

/* --- Hand-over. The one that pings notes each round trip, in nanoseconds. --- */

static inline uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline void futex_post(_Atomic uint32_t *word, uint32_t value) {
    atomic_store_explicit(word, value, memory_order_release);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static inline void futex_await(_Atomic uint32_t *word, uint32_t value) {
    for (;;) {
        uint32_t seen = atomic_load_explicit(word, memory_order_acquire);
        if (seen == value) return;
        syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
    }
}

/* As futex_await, with a time-out that is never reached: what a wait costs that must end some day. */
static inline void futex_await_within(_Atomic uint32_t *word, uint32_t value) {
    struct timespec limit = {0, 50000000};
    for (;;) {
        uint32_t seen = atomic_load_explicit(word, memory_order_acquire);
        if (seen == value) return;
        syscall(SYS_futex, word, FUTEX_WAIT, seen, &limit, NULL, 0);
    }
}

/* Is busy for so many nanoseconds: the other side falls asleep meanwhile. */
static inline void think(uint64_t time) {
    if (time == 0) return;
    uint64_t end = now() + time;
    while (now() < end) __builtin_ia32_pause();
}

static inline void spin_await(_Atomic uint32_t *word, uint32_t value) {
    while (atomic_load_explicit(word, memory_order_acquire) != value) __builtin_ia32_pause();
}

/* Both sides think before they post; the trip is noted without the two thoughts. */
void peers_futex_ping(struct area *area, uint64_t thought, bool has_limit, uint64_t n,
                      uint64_t *trips) {
    uint32_t turn = atomic_load(&area->ping);
    for (uint64_t i = 0; i < n; i++) {
        think(thought);
        uint64_t start = now();
        futex_post(&area->ping, ++turn);
        if (has_limit) futex_await_within(&area->pong, turn);
        else futex_await(&area->pong, turn);
        uint64_t trip = now() - start;
        trips[i] = trip > thought ? trip - thought : 0;
    }
}

void peers_futex_pong(struct area *area, uint64_t thought, bool has_limit, uint64_t n) {
    uint32_t turn = atomic_load(&area->pong);
    for (uint64_t i = 0; i < n; i++) {
        ++turn;
        if (has_limit) futex_await_within(&area->ping, turn);
        else futex_await(&area->ping, turn);
        think(thought);
        futex_post(&area->pong, turn);
    }
}

/* How much of a commit a turn carries. */
enum carried {
    WORD,  /* the word that announces it and nothing more */
    VALUE, /* a value on a line of its own, in two places by turns, written before the word and read after it */
    COMMIT, /* and, before the value, the word that says that one has begun, beside the first; which place the
               value is in, the reader learns from the word */
    COMMIT_IN_LINE /* the same, with both places of the value behind the two words, on their line */
};

static inline volatile double *spin_value(struct area *area, _Atomic uint32_t *word, uint32_t turn, int side,
                                          uint32_t carried) {
    char *places = carried == COMMIT_IN_LINE ? (char *)word + 16 : (char *)area + 2048 + 128 * side;

    return (volatile double *)(places + (carried == COMMIT_IN_LINE ? 16 : 64) * (turn & 1));
}

static inline void spin_announce(struct area *area, _Atomic uint32_t *word, uint32_t turn, int side,
                                 uint32_t carried) {
    if (carried >= COMMIT) {
        atomic_store_explicit(word + 1, turn, memory_order_relaxed);
        atomic_thread_fence(memory_order_release);
    }
    if (carried != WORD) {
        *spin_value(area, word, turn, side, carried) = (double)turn;
    }
    atomic_store_explicit(word, turn, memory_order_release);
}

static inline void spin_receive(struct area *area, _Atomic uint32_t *word, uint32_t turn, int side,
                                uint32_t carried) {
    spin_await(word, turn);
    if (carried >= COMMIT) {
        /* Not known beforehand, as to a program that does not count along. */
        turn = atomic_load_explicit(word, memory_order_acquire);
    }
    if (carried != WORD) {
        must(*spin_value(area, word, turn, side, carried) == (double)turn);
    }
    if (carried >= COMMIT) {
        atomic_thread_fence(memory_order_acquire);
        must(atomic_load_explicit(word + 1, memory_order_relaxed) - turn < 2);
    }
}

void peers_spin_ping(struct area *area, uint32_t carried, uint64_t n, uint64_t *trips) {
    uint32_t turn = atomic_load(&area->ping);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t start = now();
        spin_announce(area, &area->ping, ++turn, 0, carried);
        spin_receive(area, &area->pong, turn, 1, carried);
        trips[i] = now() - start;
    }
}

void peers_spin_pong(struct area *area, uint32_t carried, uint64_t n) {
    uint32_t turn = atomic_load(&area->pong);
    for (uint64_t i = 0; i < n; i++) {
        spin_receive(area, &area->ping, ++turn, 0, carried);
        spin_announce(area, &area->pong, turn, 1, carried);
    }
}

/* Pipes, socket pairs, eventfds: eight bytes each way. */
void peers_fd_ping(int in, int out, uint64_t n, uint64_t *trips) {
    uint64_t one = 1;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t start = now();
        must(write(out, &one, sizeof one) == sizeof one);
        must(read(in, &one, sizeof one) == sizeof one);
        trips[i] = now() - start;
    }
}

void peers_fd_pong(int in, int out, uint64_t n) {
    uint64_t one;
    for (uint64_t i = 0; i < n; i++) {
        must(read(in, &one, sizeof one) == sizeof one);
        must(write(out, &one, sizeof one) == sizeof one);
    }
}

int peers_queue(const char *name, bool is_new) {
    struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 8};
    return mq_open(name, is_new ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0600, &attributes);
}

void peers_queue_ping(int in, int out, uint64_t n, uint64_t *trips) {
    char bytes[8] = {0};
    for (uint64_t i = 0; i < n; i++) {
        uint64_t start = now();
        must(mq_send(out, bytes, sizeof bytes, 0) == 0);
        must(mq_receive(in, bytes, sizeof bytes, NULL) == sizeof bytes);
        trips[i] = now() - start;
    }
}

void peers_queue_pong(int in, int out, uint64_t n) {
    char bytes[8];
    for (uint64_t i = 0; i < n; i++) {
        must(mq_receive(in, bytes, sizeof bytes, NULL) == sizeof bytes);
        must(mq_send(out, bytes, sizeof bytes, 0) == 0);
    }
}

void peers_api_ping(const struct api *api, void *there, void *back, uint64_t thought, uint64_t n,
                    uint64_t *trips) {
    uint64_t since = 0;
    must(api->wait(back, UINT64_MAX, 0, &since) == 0);
    for (uint64_t i = 0; i < n; i++) {
        think(thought);
        uint64_t start = now();
        must(api->write(there, &i, sizeof i) == 0);
        must(api->wait(back, since, -1, &since) == 0);
        uint64_t trip = now() - start;
        trips[i] = trip > thought ? trip - thought : 0;
    }
}

void peers_api_pong(const struct api *api, void *there, void *back, uint64_t since, uint64_t thought,
                    uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        must(api->wait(there, since, -1, &since) == 0);
        think(thought);
        must(api->write(back, &i, sizeof i) == 0);
    }
}

/* Busy for so many nanoseconds. */
void peers_think(uint64_t time) { think(time); }

/* --- The system calls that creating and attaching make, and nothing else. --- */

#define PARTICIPANTS 128
#define FIRST 6

static void claim(int set, unsigned short beacon) {
    struct sembuf operations[2] = {{beacon, 0, IPC_NOWAIT}, {beacon, 1, IPC_NOWAIT | SEM_UNDO}};
    must(semtimedop(set, operations, 2, NULL) == 0);
}

static void release(int set, unsigned short beacon) {
    struct sembuf operation = {beacon, -1, IPC_NOWAIT | SEM_UNDO};
    must(semtimedop(set, &operation, 1, NULL) == 0);
}

/* Segment, semaphore set, a beacon claimed; then all of it gone. `only_segment`: what a program without
 * any lock does. */
void peers_create(size_t size, int key, bool only_segment, uint64_t n) {
    unsigned short values[FIRST + PARTICIPANTS] = {0};
    struct shmid_ds status;
    for (uint64_t i = 0; i < n; i++) {
        int segment = shmget(key, size, IPC_CREAT | IPC_EXCL | 0600);
        must(segment >= 0);
        volatile char *memory = shmat(segment, NULL, 0);
        must((intptr_t)memory != -1);
        memory[0] = 1;
        if (!only_segment) {
            for (size_t page = 4096; page < size; page += 4096) memory[page] = 1;
            must(shmctl(segment, IPC_STAT, &status) == 0);
            int set = semget(key, FIRST + PARTICIPANTS, IPC_CREAT | IPC_EXCL | 0600);
            must(set >= 0);
            must(semctl(set, 0, SETALL, values) == 0);
            claim(set, FIRST);
            must(shmget(key, 0, 0) == segment);
            must(shmctl(segment, IPC_RMID, NULL) == 0);
            release(set, FIRST);
            must(semctl(set, 0, GETALL, values) == 0);
            must(semctl(set, 0, IPC_RMID) == 0);
        } else {
            must(shmctl(segment, IPC_RMID, NULL) == 0);
        }
        must(shmdt((const void *)memory) == 0);
    }
}

/* The same of attaching: find, map, look at both, claim; release, unmap. */
void peers_attach(int key, int set, bool only_segment, uint64_t n) {
    unsigned short values[FIRST + PARTICIPANTS];
    struct shmid_ds status;
    struct semid_ds set_status;
    for (uint64_t i = 0; i < n; i++) {
        int segment = shmget(key, 0, 0);
        must(segment >= 0);
        volatile char *memory = shmat(segment, NULL, 0);
        must((intptr_t)memory != -1);
        (void)memory[0];
        if (!only_segment) {
            must(shmctl(segment, IPC_STAT, &status) == 0);
            must(semctl(set, 0, IPC_STAT, &set_status) == 0);
            must(semctl(set, 0, GETALL, values) == 0);
            claim(set, FIRST + 1);
            release(set, FIRST + 1);
        }
        must(shmdt((const void *)memory) == 0);
    }
}

/* A segment under this key with its set, for `peers_attach`. */
int peers_found(int key, size_t size, int *segment) {
    *segment = shmget(key, size, IPC_CREAT | IPC_EXCL | 0600);
    return *segment < 0 ? -1 : semget(IPC_PRIVATE, FIRST + PARTICIPANTS, 0600);
}
