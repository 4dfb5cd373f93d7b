/* custom_lock: a lock of your own, and as robust as the built-in ones.
 *
 * The lock here is a ticket lock: fair, first come, first served. It lives in memory that the library keeps for
 * it inside the segment (neocortex_site_memory), and uses the library's knowledge of who is alive
 * (neocortex_site_is_alive) to pass over the tickets of the dead.
 *
 * The program starts a process that takes the lock and is killed while holding it, and several that count up
 * together meanwhile. It checks that none of them hangs and that no increment is lost.
 *
 * How the ticket lock survives: taking a ticket and recording whose it is must be ONE step, or a process
 * killed in between leaves a ticket that nobody can pass. So a ticket is taken by writing (ticket, participant)
 * into the ring by compare-and-swap; `next` only says where to look and is moved on by whoever sees that it lags.
 *
 *     ring[t % N]             meaning
 *     (t - N, anything)       ticket t is free
 *     (t, participant)        taken; holds the lock if serving == t, waits for it otherwise
 *     (t, 0)                  given up: its owner's time was over
 *
 * `serving` goes from t to t + 1 when t's owner releases, has given up, or is dead.
 */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <errno.h>
#include <neocortex.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------ the lock */

enum { TICKETS = 64 }; /* N: a power of two, so that the numbers may wrap */

/* Aligned to its size on every machine; 32-bit x86 would put it at multiples of 4, where it is not atomic. */
typedef uint64_t ticket_entry __attribute__((aligned(8)));

/* In shared memory: fixed width, no pointers. */
struct ticket_shared {
    uint32_t next;    /* the first ticket that may be free */
    uint32_t serving; /* the ticket that holds the lock, or may take it */
    ticket_entry ring[TICKETS];
};

/* In this process: one for each handle. */
struct ticket_lock {
    const neocortex_lock_site *site; /* valid until destroy returns */
    struct ticket_shared *shared;
    uint32_t mine; /* written and read by the holder only */
};

static uint64_t entry(uint32_t ticket, uint32_t participant)
{
    return (uint64_t)ticket << 32 | participant;
}

static uint32_t ticket_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* INT64_MAX stands for "never over". */
static int64_t deadline_of(int64_t timeout_ns)
{
    const int64_t now = now_ns();

    return timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

static int is_over(int64_t deadline)
{
    return deadline != INT64_MAX && now_ns() >= deadline;
}

/* Spins, then yields, then sleeps, longer each time up to a millisecond. */
static void back_off(unsigned *rounds)
{
    *rounds += 1;
    if (*rounds > 64) {
        const struct timespec pause = {0, *rounds < 84 ? ((long)*rounds - 64) * 50000 : 1000000};

        nanosleep(&pause, NULL);
    } else if (*rounds > 16) {
        sched_yield();
    }
}

/* Moves `serving` past tickets that were given up or whose owners are dead. */
static void pass_over(const struct ticket_lock *lock)
{
    struct ticket_shared *shared = lock->shared;

    for (int i = 0; i < TICKETS; i++) {
        uint32_t serving = __atomic_load_n(&shared->serving, __ATOMIC_ACQUIRE);
        const uint64_t word = __atomic_load_n(&shared->ring[serving % TICKETS], __ATOMIC_ACQUIRE);
        const uint32_t participant = (uint32_t)word;

        if (ticket_of(word) != serving || (participant != 0 && neocortex_site_is_alive(lock->site, participant))) {
            return;
        }
        /* Who is dead stays dead: if `serving` is still the same ticket, it may be passed. */
        __atomic_compare_exchange_n(&shared->serving, &serving, serving + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
}

/* One attempt to take a ticket. False if the ring is full, or somebody else was faster. */
static int take_ticket(const struct ticket_lock *lock, uint32_t me, uint32_t *ticket)
{
    struct ticket_shared *shared = lock->shared;
    uint32_t next = __atomic_load_n(&shared->next, __ATOMIC_ACQUIRE);
    ticket_entry *const place = &shared->ring[next % TICKETS];
    uint64_t word = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    int taken = 0;

    if (next - __atomic_load_n(&shared->serving, __ATOMIC_ACQUIRE) >= TICKETS) {
        return 0;
    }
    if (ticket_of(word) == next - TICKETS) {
        taken = __atomic_compare_exchange_n(place, &word, entry(next, me), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
        *ticket = next;
    }
    if (taken || ticket_of(word) == next) {
        __atomic_compare_exchange_n(&shared->next, &next, next + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
    return taken;
}

static int ticket_write_lock(void *pointer, int64_t timeout_ns)
{
    struct ticket_lock *lock = pointer;
    /* Asked each time: it is another in a forked child. */
    const uint32_t me = neocortex_site_participant(lock->site);
    const int64_t deadline = deadline_of(timeout_ns);
    unsigned rounds = 0;
    uint32_t ticket = 0;
    uint64_t word;

    while (!take_ticket(lock, me, &ticket)) {
        if (is_over(deadline)) {
            return NEOCORTEX_LOCK_TIMED_OUT;
        }
        if (rounds > 16) {
            pass_over(lock);
        }
        back_off(&rounds);
    }

    rounds = 0;
    while (__atomic_load_n(&lock->shared->serving, __ATOMIC_ACQUIRE) != ticket) {
        /* Asking who is alive is a system call: not while it may be over in a moment. */
        if (rounds > 16 || is_over(deadline)) {
            pass_over(lock);
        }
        if (__atomic_load_n(&lock->shared->serving, __ATOMIC_ACQUIRE) == ticket) {
            break;
        }
        if (is_over(deadline)) {
            /* If it became our turn just now, whoever comes next passes us over. */
            word = entry(ticket, me);
            __atomic_compare_exchange_n(&lock->shared->ring[ticket % TICKETS], &word, entry(ticket, 0), 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
            return NEOCORTEX_LOCK_TIMED_OUT;
        }
        back_off(&rounds);
    }
    lock->mine = ticket;
    return 0;
}

/* Everybody excludes everybody: reading takes a ticket too. */
static int ticket_read_lock(void *lock, int64_t timeout_ns)
{
    return ticket_write_lock(lock, timeout_ns);
}

static int ticket_release(void *pointer, int access)
{
    struct ticket_lock *lock = pointer;
    uint32_t mine = lock->mine;

    (void)access;
    /* Anything but our ticket means that memory was spoilt: say so rather than let two in. */
    return __atomic_compare_exchange_n(&lock->shared->serving, &mine, mine + 1, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
               ? 0
               : EPERM;
}

static int ticket_attach(void *ctx, const neocortex_lock_site *site, void **out)
{
    struct ticket_lock *lock = malloc(sizeof *lock);

    (void)ctx;
    if (lock == NULL) {
        return ENOMEM; /* reaches the caller as NEOCORTEX_ERR_CUSTOM and neocortex_last_custom() */
    }
    lock->site = site;
    lock->shared = neocortex_site_memory(site);
    lock->mine = 0;
    *out = lock;
    return 0;
}

/* Nobody else is there yet, and the memory is zero. */
static int ticket_create(void *ctx, const neocortex_lock_site *site, void **out)
{
    struct ticket_shared *shared = neocortex_site_memory(site);

    for (uint32_t i = 0; i < TICKETS; i++) {
        shared->ring[i] = entry(i - TICKETS, 0);
    }
    return ticket_attach(ctx, site, out);
}

static void ticket_destroy(void *lock, int owner)
{
    (void)owner;
    free(lock);
}

static const neocortex_lock_ops ticket_lock = {
    .struct_size = sizeof(neocortex_lock_ops),
    .name = "example.ticket",
    .shared_size = sizeof(struct ticket_shared),
    .ctx = NULL,
    .create = ticket_create,
    .attach = ticket_attach,
    .read_lock = ticket_read_lock,
    .write_lock = ticket_write_lock,
    .release = ticket_release,
    .force_ownership = NULL,
    .destroy = ticket_destroy,
};

/* ---------------------------------------------------------------------------------- the program */

enum { PROCESSES = 4, INCREMENTS = 2000 };

static int failed(const char *who)
{
    fprintf(stderr, "custom_lock: %s: %s\n", who, neocortex_last_message());
    return 1;
}

static neocortex_segment *attach(int32_t key)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    options.lock = &ticket_lock; /* a lock that is not built in must be brought along */
    return neocortex_attach_with(key, sizeof(uint64_t), &options);
}

/* Adds INCREMENTS. */
static int count(int32_t key)
{
    neocortex_segment *segment = attach(key);
    void *value;

    if (segment == NULL) {
        return failed("counting process");
    }
    for (int i = 0; i < INCREMENTS; i++) {
        if (neocortex_write_begin(segment, &value) != NEOCORTEX_OK) {
            return failed("counting process");
        }
        *(uint64_t *)value += 1;
        if (neocortex_write_commit(segment) != NEOCORTEX_OK) {
            return failed("counting process");
        }
    }
    return neocortex_close(segment) == NEOCORTEX_OK ? 0 : failed("counting process");
}

/* Takes the lock, spoils the value, says so on `tell`, and waits to be killed. */
static int hold(int32_t key, int tell)
{
    neocortex_segment *segment = attach(key);
    void *value;

    if (segment == NULL || neocortex_write_begin(segment, &value) != NEOCORTEX_OK) {
        return failed("holding process");
    }
    *(uint64_t *)value = 1000000;
    if (write(tell, "h", 1) == 1) {
        for (;;) {
            pause();
        }
    }
    return 1;
}

static int ended_well(pid_t process)
{
    int status;

    while (waitpid(process, &status, 0) < 0) {
        if (errno != EINTR) {
            return 0;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment;
    pid_t holder, counting[PROCESSES];
    uint64_t total = 0;
    int pipes[2];
    char byte;
    int32_t key;
    int running = 0, right = 1;

    setvbuf(stdout, NULL, _IOLBF, 0);
    options.flags = NEOCORTEX_RANDOM_KEY;
    options.lock = &ticket_lock;
    segment = neocortex_create(0, sizeof total, &options);
    if (segment == NULL) {
        return failed("create");
    }
    key = neocortex_key(segment);
    printf("custom_lock: lock %s\n", neocortex_lock_name(segment));

    /* One process takes the lock, and keeps it. */
    if (pipe(pipes) != 0 || (holder = fork()) < 0) {
        perror("custom_lock");
        (void)neocortex_close(segment);
        return 1;
    }
    if (holder == 0) {
        close(pipes[0]);
        _exit(hold(key, pipes[1]));
    }
    close(pipes[1]);
    if (read(pipes[0], &byte, 1) != 1) {
        right = 0;
    }
    close(pipes[0]);

    /* We do not get it, and are told so in time. */
    if (neocortex_set_timeout(segment, 10000000) != NEOCORTEX_OK ||
        neocortex_write(segment, &total, sizeof total) != NEOCORTEX_ERR_TIMEOUT) {
        right = 0;
    }
    printf("custom_lock: held by process %ld, so we timed out: %s\n", (long)holder, neocortex_last_message());
    if (neocortex_set_timeout(segment, NEOCORTEX_FOREVER) != NEOCORTEX_OK) {
        right = 0;
    }

    /* Others queue up behind it ... */
    for (; running < PROCESSES; running++) {
        counting[running] = fork();
        if (counting[running] == 0) {
            _exit(count(key));
        }
        if (counting[running] < 0) {
            perror("custom_lock: fork");
            right = 0;
            break;
        }
    }

    /* ... and it is killed. */
    kill(holder, SIGKILL);
    if (ended_well(holder)) {
        right = 0;
    }
    printf("custom_lock: killed it; the others go on\n");

    for (int i = 0; i < running; i++) {
        if (!ended_well(counting[i])) {
            right = 0;
        }
    }
    if (neocortex_read(segment, &total, sizeof total) != NEOCORTEX_OK) {
        right = 0;
        (void)failed("read");
    }
    if (total != (uint64_t)PROCESSES * INCREMENTS) {
        right = 0;
    }
    if (neocortex_close(segment) != NEOCORTEX_OK) {
        right = 0;
        (void)failed("close");
    }
    printf("custom_lock: %d processes, %d increments each: %llu %s\n", PROCESSES, INCREMENTS,
           (unsigned long long)total, right ? "(right)" : "(WRONG)");
    return right ? 0 : 1;
}
