/* Waiting for several segments at once: each change is told once, with its tag; what ends a wait; what is refused. */
#include "check.h"

#include <poll.h>

enum { SEGMENTS = 3, MANY = 130 };

/* Waits for one change; the one that is told. */
static neocortex_change check_told(neocortex_wait_set *set)
{
    neocortex_change change = {NULL, 0, 0};
    size_t count = 0;

    CHECK_OK(neocortex_wait_set_wait(set, NEOCORTEX_FOREVER, &change, 1, &count));
    CHECK(count == 1);
    return change;
}

static void check_nothing(neocortex_wait_set *set, int64_t timeout_ns)
{
    neocortex_change change = {NULL, 0, 0};
    size_t count = 77;

    CHECK_STATUS(neocortex_wait_set_wait(set, timeout_ns, &change, 1, &count), NEOCORTEX_ERR_TIMEOUT);
    CHECK(count == 77);
}

static void each_change_is_told_once_with_its_tag(void)
{
    neocortex_wait_set *set = neocortex_wait_set_open();
    neocortex_segment *segments[SEGMENTS];
    neocortex_change changes[SEGMENTS];
    size_t count = 0;
    bool told[SEGMENTS] = {false, false, false};

    CHECK(set != NULL);
    check_nothing(set, NEOCORTEX_TRY);
    check_nothing(set, CHECK_MS);
    for (int i = 0; i < SEGMENTS; i++) {
        segments[i] = check_create(8, NULL);
        CHECK_OK(neocortex_wait_set_add(set, segments[i], 0, &segments[i]));
    }
    check_nothing(set, CHECK_MS);
    check_write(segments[1], 1);
    check_write(segments[1], 2);
    changes[0] = check_told(set);
    CHECK(changes[0].tag == &segments[1] && changes[0].version == 2 && changes[0].flags == 0);
    check_nothing(set, CHECK_MS);

    /* More than there is room for: the others come next. */
    for (int i = 0; i < SEGMENTS; i++) {
        check_write(segments[i], 3);
    }
    CHECK_OK(neocortex_wait_set_wait(set, NEOCORTEX_TRY, changes, 2, &count));
    CHECK(count == 2);
    changes[2] = check_told(set);
    for (int i = 0; i < SEGMENTS; i++) {
        told[(neocortex_segment **)changes[i].tag - segments] = true;
    }
    CHECK(told[0] && told[1] && told[2]);
    check_nothing(set, CHECK_MS);

    /* What is known is told, and what was taken out is not. */
    CHECK_OK(neocortex_wait_set_remove(set, segments[0]));
    check_write(segments[0], 4);
    check_nothing(set, CHECK_MS);
    CHECK_OK(neocortex_wait_set_add(set, segments[0], 1, NULL));
    CHECK(check_told(set).version == 2);

    neocortex_wait_set_close(set);
    for (int i = 0; i < SEGMENTS; i++) {
        CHECK_OK(neocortex_close(segments[i]));
    }
}

/* Turn by turn, each woken by the other's commit: a wake-up that is lost hangs the test. */
static void every_commit_wakes(void)
{
    enum { TURNS = 1000 };
    neocortex_segment *pair[2] = {check_create(8, NULL), check_create(8, NULL)};
    const pid_t child = check_fork();
    neocortex_segment *mine = check_attach(pair[child == 0]);
    neocortex_segment *theirs = check_attach(pair[child != 0]);
    neocortex_wait_set *set = neocortex_wait_set_open();

    CHECK_OK(neocortex_wait_set_add(set, theirs, 0, theirs));
    for (uint64_t turn = 0; turn < TURNS; turn++) {
        if (child != 0) {
            check_write(mine, turn);
        }
        CHECK(check_told(set).version == turn + 1);
        if (child == 0) {
            check_write(mine, turn);
        }
    }
    neocortex_wait_set_close(set);
    CHECK_OK(neocortex_close(mine));
    CHECK_OK(neocortex_close(theirs));
    if (child == 0) {
        _exit(0);
    }
    CHECK_CHILD(child);
    CHECK_OK(neocortex_close(pair[0]));
    CHECK_OK(neocortex_close(pair[1]));
}

static void a_removal_is_told_once(void)
{
    neocortex_segment *owner = check_create(8, NULL);
    neocortex_segment *other = check_attach(owner);
    neocortex_wait_set *set = neocortex_wait_set_open();
    neocortex_change change;

    CHECK_OK(neocortex_wait_set_add(set, other, 0, other));
    CHECK_STATUS(neocortex_close(other), NEOCORTEX_ERR_BUSY);
    check_write(owner, 1);
    CHECK_OK(neocortex_close(owner));
    change = check_told(set);
    CHECK(change.tag == other && change.version == 1 && change.flags == NEOCORTEX_CHANGE_REMOVED);
    check_nothing(set, CHECK_MS);
    CHECK_STATUS(neocortex_wait_set_remove(set, other), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_OK(neocortex_close(other));
    neocortex_wait_set_close(set);
}

static neocortex_wait_set *waited;

static void interrupt(int number)
{
    (void)number;
    (void)neocortex_wait_set_interrupt(waited);
}

static void *waits(void *status)
{
    neocortex_change change;
    size_t count;

    neocortex_status *ended = status;

    do {
        *ended = neocortex_wait_set_wait(waited, NEOCORTEX_FOREVER, &change, 1, &count);
    } while (*ended == NEOCORTEX_ERR_BUSY);
    return NULL;
}

static void an_interrupt_ends_the_wait(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    neocortex_status status = NEOCORTEX_OK;
    pthread_t thread;

    waited = neocortex_wait_set_open();
    CHECK_OK(neocortex_wait_set_add(waited, segment, 0, NULL));
    CHECK_OK(neocortex_wait_set_interrupt(waited));
    CHECK_STATUS((waits(&status), status), NEOCORTEX_ERR_INTERRUPTED);
    check_nothing(waited, CHECK_MS);

    signal(SIGUSR1, interrupt);
    for (int i = 0; i < 20; i++) {
        CHECK(pthread_create(&thread, NULL, waits, &status) == 0);
        CHECK(pthread_kill(thread, SIGUSR1) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(status == NEOCORTEX_ERR_INTERRUPTED);
    }
    signal(SIGUSR1, SIG_DFL);

    /* Closing ends it too, once it has begun: then no other thread may use the set. */
    CHECK_OK(neocortex_wait_set_remove(waited, segment));
    CHECK(pthread_create(&thread, NULL, waits, &status) == 0);
    while (neocortex_wait_set_remove(waited, segment) != NEOCORTEX_ERR_BUSY) {
        sched_yield();
    }
    neocortex_wait_set_close(waited);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(status == NEOCORTEX_ERR_INTERRUPTED);
    CHECK_OK(neocortex_close(segment));
}

/* More than one call of the kernel sleeps on: helpers do. */
static void a_large_set_is_told_too(void)
{
    neocortex_wait_set *set = neocortex_wait_set_open();
    neocortex_segment *segments[MANY];
    pid_t child;

    for (int i = 0; i < MANY; i++) {
        segments[i] = check_create(8, NULL);
        CHECK_OK(neocortex_wait_set_add(set, segments[i], 0, &segments[i]));
    }
    child = check_fork();
    if (child == 0) {
        for (int i = 0; i < MANY; i++) {
            check_write(segments[i], 1);
        }
        /* A set that was inherited is told as well. */
        for (int i = 0; i < MANY; i++) {
            CHECK(check_told(set).version == 1);
        }
        check_nothing(set, CHECK_MS);
        neocortex_wait_set_close(set);
        _exit(0);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK(check_told(set).version == 1);
    }
    CHECK_CHILD(child);
    check_nothing(set, CHECK_MS);
    neocortex_wait_set_close(set);
    for (int i = 0; i < MANY; i++) {
        CHECK_OK(neocortex_close(segments[i]));
    }
}

/* For an event loop: readable until the changes are taken, from whatever process. */
static void a_descriptor_is_readable_until_the_changes_are_taken(void)
{
    enum { TURNS = 100 };
    neocortex_segment *segment = check_create(8, NULL);
    neocortex_wait_set *set = neocortex_wait_set_open();
    struct pollfd poll_for = {-1, POLLIN, 0};
    int again = -1;
    pid_t child;

    CHECK_OK(neocortex_wait_set_add(set, segment, 0, segment));
    CHECK_OK(neocortex_wait_set_fd(set, &poll_for.fd));
    CHECK_OK(neocortex_wait_set_fd(set, &again));
    CHECK(again == poll_for.fd && poll(&poll_for, 1, 0) == 0);
    child = check_fork();
    if (child == 0) {
        for (uint64_t turn = 0; turn < TURNS; turn++) {
            check_write(segment, turn);
        }
        _exit(0);
    }
    for (uint64_t version = 0; version < TURNS;) {
        CHECK(poll(&poll_for, 1, -1) == 1);
        neocortex_change change = check_told(set);
        CHECK(change.version > version && change.tag == segment);
        version = change.version;
    }
    CHECK_CHILD(child);
    /* A thread of the library that was slower than this one may still tell of what was taken. */
    while (poll(&poll_for, 1, 0) == 1) {
        check_nothing(set, NEOCORTEX_TRY);
    }
    CHECK_STATUS(neocortex_wait_set_fd(NULL, &again), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait_set_fd(set, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    neocortex_wait_set_close(set);
    CHECK_OK(neocortex_close(segment));
}

static void what_is_refused(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    neocortex_wait_set *set = neocortex_wait_set_open();
    neocortex_change change;
    size_t count;

    neocortex_wait_set_close(NULL);
    CHECK_STATUS(neocortex_wait_set_add(NULL, segment, 0, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait_set_add(set, NULL, 0, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait_set_remove(NULL, segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait_set_remove(set, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait_set_remove(set, segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait_set_interrupt(NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait_set_wait(NULL, 0, &change, 1, &count), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait_set_wait(set, 0, NULL, 1, &count), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait_set_wait(set, 0, &change, 0, &count), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait_set_wait(set, 0, &change, 1, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_OK(neocortex_wait_set_add(set, segment, 0, NULL));
    CHECK_STATUS(neocortex_wait_set_add(set, segment, 0, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_close(segment), NEOCORTEX_ERR_BUSY);
    CHECK_OK(neocortex_wait_set_remove(set, segment));
    CHECK_OK(neocortex_close(segment));
    neocortex_wait_set_close(set);
}

CHECK_MAIN(
    CHECK_ONCE(each_change_is_told_once_with_its_tag),
    CHECK_ONCE(every_commit_wakes),
    CHECK_ONCE(a_removal_is_told_once),
    CHECK_ONCE(an_interrupt_ends_the_wait),
    CHECK_ONCE(a_large_set_is_told_too),
    CHECK_ONCE(a_descriptor_is_readable_until_the_changes_are_taken),
    CHECK_ONCE(what_is_refused))
