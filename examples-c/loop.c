/* loop [rounds]: several values in an event loop.
 *
 * Creates three cortexes and starts a child that writes them. The loop, on epoll where there is one and on poll
 * elsewhere, sleeps for two things at once: a change of any of the three, by the descriptor of a wait set, and the
 * end of the child, by a pipe. The exit status tells: 0 when the last value of each was seen.
 */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <errno.h>
#include <neocortex.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

enum { VALUES = 3, CHANGED = 1, ENDED = 2 };

struct state {
    neocortex_segment *segment;
    const char *name;
    uint64_t value;
    long told;
};

static struct state states[VALUES] = {{NULL, "speed", 0, 0}, {NULL, "gear", 0, 0}, {NULL, "fuel", 0, 0}};

static int failed(void)
{
    fprintf(stderr, "loop: %s\n", neocortex_last_message());
    return 1;
}

/* What the child does: its handles are the inherited ones. */
static int write_all(uint64_t rounds)
{
    for (uint64_t round = 1; round <= rounds; round++) {
        for (size_t i = 0; i < VALUES; i++) {
            const uint64_t value = round * (i + 1);

            if (neocortex_write(states[i].segment, &value, sizeof value) != NEOCORTEX_OK) {
                return failed();
            }
        }
    }
    return 0;
}

/* Sleeps until the set has a change to tell or the child has ended; CHANGED, ENDED, or both, or -1. `loop` is an epoll. */
static int await(int loop, int set, int child)
{
    int found = 0;
#ifdef __linux__
    struct epoll_event events[2];
    int count;

    (void)set;
    (void)child;
    while ((count = epoll_wait(loop, events, 2, -1)) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    for (int i = 0; i < count; i++) {
        found |= (int)events[i].data.u32;
    }
#else
    struct pollfd watched[2] = {{set, POLLIN, 0}, {child, POLLIN, 0}};

    (void)loop;
    while (poll(watched, 2, -1) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    found |= watched[0].revents != 0 ? CHANGED : 0;
    found |= watched[1].revents != 0 ? ENDED : 0;
#endif
    return found;
}

/* The epoll that watches both, or -1. */
static int watch(int set, int child)
{
#ifdef __linux__
    const int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event of_set = {EPOLLIN, {0}};
    struct epoll_event of_child = {EPOLLIN, {0}};

    of_set.data.u32 = CHANGED;
    of_child.data.u32 = ENDED;
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, set, &of_set) != 0 ||
        epoll_ctl(loop, EPOLL_CTL_ADD, child, &of_child) != 0) {
        perror("loop: epoll");
        return -1;
    }
    return loop;
#else
    (void)set;
    (void)child;
    return 0;
#endif
}

/* Takes the changes, which makes the descriptor unreadable, and reads the values. Nothing is read from the descriptor. */
static int take(neocortex_wait_set *set)
{
    neocortex_change changes[VALUES];
    size_t count;
    const neocortex_status status = neocortex_wait_set_wait(set, NEOCORTEX_TRY, changes, VALUES, &count);

    if (status == NEOCORTEX_ERR_TIMEOUT) {
        return 0; /* now and then there is nothing */
    }
    if (status != NEOCORTEX_OK) {
        return failed();
    }
    for (size_t i = 0; i < count; i++) {
        struct state *const state = changes[i].tag;

        if (neocortex_read(state->segment, &state->value, sizeof state->value) != NEOCORTEX_OK) {
            return failed();
        }
        state->told += 1;
    }
    return 0;
}

static int run(neocortex_wait_set *set, int child)
{
    int fd, loop, found = 0;

    if (neocortex_wait_set_fd(set, &fd) != NEOCORTEX_OK) {
        return failed();
    }
    loop = watch(fd, child);
    if (loop < 0) {
        return 1;
    }
    while ((found & ENDED) == 0) {
        found = await(loop, fd, child);
        if (found < 0) {
            perror("loop");
            return 1;
        }
        /* Also when the child has ended: what it wrote last is told. */
        if (take(set) != 0) {
            return 1;
        }
    }
#ifdef __linux__
    close(loop);
#endif
    return 0;
}

int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
    neocortex_wait_set *set;
    int ends[2], status, outcome;
    pid_t child;

    if (rounds < 1) {
        fprintf(stderr, "usage: loop [rounds]\n");
        return 2;
    }
    for (size_t i = 0; i < VALUES; i++) {
        char name[64];

        snprintf(name, sizeof name, "example/loop/%ld/%s", (long)getpid(), states[i].name);
        states[i].segment = neocortex_create_named(name, sizeof states[i].value, NULL);
        if (states[i].segment == NULL) {
            return failed();
        }
    }
    if (pipe(ends) != 0 || (child = fork()) < 0) {
        perror("loop");
        return 1;
    }
    if (child == 0) {
        close(ends[0]);
        _exit(write_all((uint64_t)rounds)); /* the other end of the pipe goes with it */
    }
    close(ends[1]);

    set = neocortex_wait_set_open();
    for (size_t i = 0; i < VALUES; i++) {
        /* 0: what was written before the set was made is told too. */
        if (neocortex_wait_set_add(set, states[i].segment, 0, &states[i]) != NEOCORTEX_OK) {
            return failed();
        }
    }
    outcome = run(set, ends[0]);
    neocortex_wait_set_close(set); /* before its segments are closed */
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        outcome = 1;
    }
    for (size_t i = 0; i < VALUES; i++) {
        printf("loop: %s is %llu, told %ld times of %ld\n", states[i].name, (unsigned long long)states[i].value,
               states[i].told, rounds);
        if (states[i].value != (uint64_t)rounds * (i + 1)) {
            fprintf(stderr, "loop: the last change was not told\n");
            outcome = 1;
        }
        if (neocortex_close(states[i].segment) != NEOCORTEX_OK) {
            outcome = failed();
        }
    }
    return outcome;
}
