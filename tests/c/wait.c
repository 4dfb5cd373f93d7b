/* Waiting for change: news, time-outs, interruption from a signal handler, removal. */
#include "check.h"

#ifdef __linux__
#include <sys/syscall.h>
#endif

static void what_has_changed_already_is_not_waited_for(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    uint64_t count = 0;

    check_write(segment, 1);
    check_write(segment, 2);
    CHECK_OK(neocortex_wait(segment, 0, NEOCORTEX_FOREVER, &count));
    CHECK(count == 2);
    CHECK_OK(neocortex_wait(segment, 1, NEOCORTEX_TRY, &count));
    CHECK(count == 2);
    CHECK_OK(neocortex_close(segment));
}

static void timeouts_are_kept(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    uint64_t count = 77;
    int64_t began;

    CHECK_STATUS(neocortex_wait(segment, 0, NEOCORTEX_TRY, &count), NEOCORTEX_ERR_TIMEOUT);
    began = check_now();
    CHECK_STATUS(neocortex_wait(segment, 0, 30 * CHECK_MS, &count), NEOCORTEX_ERR_TIMEOUT);
    CHECK(check_now() - began >= 30 * CHECK_MS);
    CHECK_STATUS(neocortex_wait(segment, 0, 1, &count), NEOCORTEX_ERR_TIMEOUT);
    CHECK(count == 77);
    check_write(segment, 1);
    CHECK_OK(neocortex_wait(segment, 0, INT64_MAX, &count)); /* does not overflow the deadline */
    CHECK(count == 1);
    CHECK_OK(neocortex_close(segment));
}

/* Two processes wait for each other's commits, turn by turn: each wake-up that is lost hangs the test. */
static void every_commit_wakes(void)
{
    enum { TURNS = 3000 };
    neocortex_segment *segment = check_create(8, NULL);
    const pid_t child = check_fork();
    neocortex_segment *mine = check_attach(segment);
    uint64_t count = 0;

    for (uint64_t turn = 0; turn < TURNS; turn++) {
        if ((turn % 2 == 0) == (child == 0)) {
            check_write(mine, turn + 1);
        }
        CHECK_OK(neocortex_wait(mine, turn, NEOCORTEX_FOREVER, &count));
        CHECK(count >= turn + 1);
        CHECK(check_read(mine) >= turn + 1);
    }
    CHECK_OK(neocortex_close(mine));
    if (child == 0) {
        _exit(0);
    }
    CHECK_CHILD(child);
    CHECK(neocortex_commit_count(segment) == TURNS);
    CHECK_OK(neocortex_close(segment));
}

static void one_commit_wakes_all(void)
{
    enum { WAITERS = 8 };
    neocortex_segment *segment = check_create(8, NULL);
    const struct check_pipe ready = check_open_pipe();
    pid_t children[WAITERS];

    for (int i = 0; i < WAITERS; i++) {
        children[i] = check_fork();
        if (children[i] == 0) {
            neocortex_segment *mine = check_attach(segment);
            uint64_t count = 0;

            check_tell(ready);
            CHECK_OK(neocortex_wait(mine, 0, NEOCORTEX_FOREVER, &count));
            CHECK(count == 1);
            CHECK(check_read(mine) == 5);
            CHECK_OK(neocortex_close(mine));
            _exit(0);
        }
    }
    for (int i = 0; i < WAITERS; i++) {
        check_hear(ready);
    }
    check_write(segment, 5);
    for (int i = 0; i < WAITERS; i++) {
        CHECK_CHILD(children[i]);
    }
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(ready);
}

static void publish_wakes(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    const struct check_pipe ready = check_open_pipe(), seen = check_open_pipe();
    const pid_t child = check_fork();
    void *data;

    if (child == 0) {
        neocortex_segment *mine = check_attach(segment);
        uint64_t count = 0;

        check_tell(ready);
        while (count < 5) {
            CHECK_OK(neocortex_wait(mine, count, NEOCORTEX_FOREVER, &count));
            CHECK(check_read(mine) >= count);
            check_tell(seen);
        }
        CHECK_OK(neocortex_close(mine));
        _exit(0);
    }
    check_hear(ready);
    CHECK_OK(neocortex_write_begin(segment, &data));
    for (uint64_t i = 1; i <= 5; i++) {
        *(uint64_t *)data = i;
        CHECK_OK(neocortex_write_publish(segment, &data));
        check_hear(seen);
    }
    CHECK_OK(neocortex_write_abort(segment));
    CHECK_CHILD(child);
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(ready);
    check_close_pipe(seen);
}

static void removal_ends_the_wait(void)
{
    for (int way = 0; way < 2; way++) {
        neocortex_segment *segment = check_create(8, NULL);
        const struct check_pipe ready = check_open_pipe();
        const pid_t child = check_fork();

        if (child == 0) {
            neocortex_segment *mine = check_attach(segment);
            uint64_t count = 77;

            check_tell(ready);
            CHECK_STATUS(neocortex_wait(mine, 0, NEOCORTEX_FOREVER, &count), NEOCORTEX_ERR_REMOVED);
            CHECK(count == 77);
            CHECK(neocortex_is_removed(mine));
            /* And once more, without anything to wake it. */
            CHECK_STATUS(neocortex_wait(mine, 0, NEOCORTEX_FOREVER, &count), NEOCORTEX_ERR_REMOVED);
            CHECK_OK(neocortex_close(mine));
            _exit(0);
        }
        check_hear(ready);
        if (way == 0) {
            CHECK_OK(neocortex_close(segment)); /* the owner goes */
        } else {
            CHECK_OK(neocortex_remove(neocortex_key(segment)));
        }
        CHECK_CHILD(child);
        if (way == 1) {
            CHECK_OK(neocortex_close(segment));
        }
        check_close_pipe(ready);
    }
}

/* ----------------------------------------------------------------------------------- interruption */

static neocortex_segment *interrupted;

static void on_signal(int number)
{
    (void)number;
    (void)neocortex_interrupt(interrupted);
}

/* Sends SIGUSR1 to its parent again and again until told to stop: whether the first comes before, in, or between
 * the parent's looks at the segment does not matter. */
static pid_t start_nagging(struct check_pipe stop)
{
    const pid_t parent = getpid();
    const pid_t child = check_fork();

    if (child == 0) {
        const struct timespec pause = {0, 1000000};
        char byte;

        CHECK(fcntl(stop.out, F_SETFL, O_NONBLOCK) == 0);
        while (read(stop.out, &byte, 1) != 1) {
            CHECK(kill(parent, SIGUSR1) == 0);
            nanosleep(&pause, NULL);
        }
        _exit(0);
    }
    return child;
}

static void catch_signals(int flags)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}

static void an_interrupt_ends_the_wait(void)
{
    for (int i = 0; i < 2; i++) {
        neocortex_segment *segment = check_create(8, NULL);
        const struct check_pipe stop = check_open_pipe();
        uint64_t count = 77;
        pid_t child;

        interrupted = segment;
        catch_signals(i == 0 ? 0 : SA_RESTART);
        child = start_nagging(stop);
        CHECK_STATUS(neocortex_wait(segment, 0, NEOCORTEX_FOREVER, &count), NEOCORTEX_ERR_INTERRUPTED);
        CHECK(count == 77);
        check_tell(stop);
        CHECK_CHILD(child);
        /* What does not wait works. */
        CHECK(check_read(segment) == 0);
        signal(SIGUSR1, SIG_IGN);
        CHECK_OK(neocortex_close(segment));
        check_close_pipe(stop);
    }
}

static void an_interrupt_ends_the_wait_for_a_lock(void)
{
    for (int i = 0; i < CHECK_LOCKS; i++) {
        neocortex_options options = NEOCORTEX_OPTIONS_INIT;
        const struct check_pipe held = check_open_pipe(), stop = check_open_pipe();
        neocortex_segment *segment;
        uint64_t value = 5;
        pid_t holder, nagging;

        options.lock = check_lock(i);
        if (options.lock == NULL) {
            continue;
        }
        segment = check_create(8, &options);
        holder = check_holder(segment, held);
        interrupted = segment;
        catch_signals(SA_RESTART);
        nagging = start_nagging(stop);
        CHECK_STATUS(neocortex_write(segment, &value, 8), NEOCORTEX_ERR_INTERRUPTED);
        check_tell(stop);
        CHECK_CHILD(nagging);
        signal(SIGUSR1, SIG_IGN);
        CHECK(neocortex_commit_count(segment) == 0);
        check_kill(holder);
        CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 6), NEOCORTEX_OK);
        CHECK_OK(neocortex_close(segment));
        check_close_pipe(held);
        check_close_pipe(stop);
    }
}

/* A call that waits on a thread of its own, whatever ends it. */
enum { WAIT, WRITE, WRITE_BEGIN, READ_BEGIN, CLEAR_POISON, WAIT_KINDS };

struct waiter {
    neocortex_segment *segment;
    int kind;
    struct check_pipe ready;
    long id; /* of the thread, on Linux */
    neocortex_status outcome;
};

static void *wait_somehow(void *argument)
{
    struct waiter *waiter = (struct waiter *)argument;
    uint64_t count = 0;
    const void *shown;
    void *data;

#ifdef __linux__
    waiter->id = syscall(SYS_gettid);
#endif
    check_tell(waiter->ready);
    switch (waiter->kind) {
    case WAIT:
        waiter->outcome = neocortex_wait(waiter->segment, 0, NEOCORTEX_FOREVER, &count);
        break;
    case WRITE:
        waiter->outcome = neocortex_write(waiter->segment, &count, sizeof count);
        break;
    case WRITE_BEGIN:
        waiter->outcome = neocortex_write_begin(waiter->segment, &data);
        break;
    case READ_BEGIN:
        waiter->outcome = neocortex_read_begin(waiter->segment, &shown);
        break;
    default:
        waiter->outcome = neocortex_clear_poison(waiter->segment);
        break;
    }
    return NULL;
}

/* Returns when the thread sleeps in its call; where that cannot be seen, when it is about to call. */
static void await_sleep(const struct waiter *waiter)
{
    char path[64], text[256], *state;
    size_t length;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%ld/stat", waiter->id);
    for (;;) {
        file = fopen(path, "r");
        if (file == NULL) {
            return;
        }
        length = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        text[length] = '\0';
        state = strrchr(text, ')');
        if (state != NULL && state[1] == ' ' && state[2] == 'S') {
            return;
        }
    }
}

/* Whichever call waits through a handle: closing it ends the call, and frees nothing that the call still needs. */
static void closing_ends_the_waits(void)
{
    for (int i = 0; i < CHECK_LOCKS; i++) {
        neocortex_options options = NEOCORTEX_OPTIONS_INIT;
        const struct check_pipe held = check_open_pipe();
        neocortex_segment *segment;
        pid_t holder;

        options.lock = check_lock(i);
        if (options.lock == NULL) {
            continue;
        }
        segment = check_create(8, &options);
        holder = check_holder(segment, held);
        for (int kind = 0; kind < WAIT_KINDS; kind++) {
            struct waiter waiters[3];
            pthread_t threads[3];
            neocortex_segment *closed = check_attach(segment);

            for (int j = 0; j < 3; j++) {
                const struct waiter waiter = {closed, kind, check_open_pipe(), 0, NEOCORTEX_OK};

                waiters[j] = waiter;
                CHECK(pthread_create(&threads[j], NULL, wait_somehow, &waiters[j]) == 0);
                check_hear(waiters[j].ready);
                await_sleep(&waiters[j]);
            }
            CHECK_OK(neocortex_close(closed));
            for (int j = 0; j < 3; j++) {
                CHECK(pthread_join(threads[j], NULL) == 0);
                CHECK_STATUS(waiters[j].outcome, NEOCORTEX_ERR_INTERRUPTED);
                check_close_pipe(waiters[j].ready);
            }
        }
        check_kill(holder);
        CHECK_OK(neocortex_close(segment));
        check_close_pipe(held);
    }
}

/* At whatever moment of its wait; through an observer, too. */
static void closing_is_tried_at_every_moment_of_a_wait(void)
{
    enum { ROUNDS = 3000 };
    neocortex_segment *segment = check_create(8, NULL);
    neocortex_options observe = NEOCORTEX_OPTIONS_INIT;
    const struct check_pipe ready = check_open_pipe();

    observe.flags = NEOCORTEX_READ_ONLY;
    for (int round = 0; round < ROUNDS; round++) {
        struct waiter waiter = {NULL, WAIT, ready, 0, NEOCORTEX_OK};
        pthread_t thread;

        waiter.segment =
            round % 4 == 0 ? neocortex_attach_with(neocortex_key(segment), 0, &observe) : check_attach(segment);
        CHECK(waiter.segment != NULL);
        CHECK(pthread_create(&thread, NULL, wait_somehow, &waiter) == 0);
        check_hear(ready);
        for (volatile int turn = 0; turn < round * 7 % 20000; turn++) {
        }
        CHECK_OK(neocortex_close(waiter.segment));
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK_STATUS(waiter.outcome, NEOCORTEX_ERR_INTERRUPTED);
    }
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(ready);
}

static void stopped_waits_end_whenever_they_begin(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    struct waiter waiters[4];
    pthread_t threads[4];
    uint64_t count = 77;

    CHECK_STATUS(neocortex_stop_waits(NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_resume_waits(NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    for (int i = 0; i < 4; i++) {
        const struct waiter waiter = {segment, WAIT, check_open_pipe(), 0, NEOCORTEX_OK};

        waiters[i] = waiter;
        CHECK(pthread_create(&threads[i], NULL, wait_somehow, &waiters[i]) == 0);
        if (i == 1) {
            CHECK_OK(neocortex_stop_waits(segment)); /* the others begin after it */
        }
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK_STATUS(waiters[i].outcome, NEOCORTEX_ERR_INTERRUPTED);
        check_close_pipe(waiters[i].ready);
    }
    CHECK_OK(neocortex_resume_waits(segment));
    CHECK_STATUS(neocortex_wait(segment, 0, CHECK_MS, &count), NEOCORTEX_ERR_TIMEOUT);
    CHECK(count == 77);
    CHECK_OK(neocortex_close(segment));
}

static void a_wait_under_a_guard_of_its_own_is_busy(void)
{
    for (int i = 0; i < CHECK_LOCKS; i++) {
        neocortex_options options = NEOCORTEX_OPTIONS_INIT;
        neocortex_segment *segment;
        uint64_t count = 77;
        const void *shown;
        void *data;

        options.lock = check_lock(i);
        if (options.lock == NULL) {
            continue;
        }
        segment = check_create(8, &options);
        CHECK_OK(neocortex_write_begin(segment, &data));
        CHECK_STATUS(neocortex_wait(segment, 0, NEOCORTEX_FOREVER, &count), NEOCORTEX_ERR_BUSY);
        CHECK_OK(neocortex_write_abort(segment));
        CHECK_OK(neocortex_read_begin(segment, &shown));
        CHECK_STATUS(neocortex_wait(segment, 0, NEOCORTEX_FOREVER, &count), NEOCORTEX_ERR_BUSY);
        CHECK_OK(neocortex_read_end(segment));
        CHECK_STATUS(neocortex_wait(segment, 0, NEOCORTEX_TRY, &count), NEOCORTEX_ERR_TIMEOUT);
        CHECK_OK(neocortex_close(segment));
    }
}

/* A signal whose handler does not call neocortex_interrupt ends nothing. */
static volatile sig_atomic_t signals;

static void count_signals(int number)
{
    (void)number;
    signals += 1;
}

static void other_signals_do_not_end_the_wait(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    const struct check_pipe stop = check_open_pipe();
    struct sigaction action;
    uint64_t count = 77;
    pid_t child;

    memset(&action, 0, sizeof action);
    action.sa_handler = count_signals;
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    signals = 0;
    child = start_nagging(stop);
    while (signals < 20) {
        CHECK_STATUS(neocortex_wait(segment, 0, 5 * CHECK_MS, &count), NEOCORTEX_ERR_TIMEOUT);
    }
    check_tell(stop);
    CHECK_CHILD(child);
    signal(SIGUSR1, SIG_IGN);
    CHECK(count == 77);
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(stop);
}

CHECK_MAIN(
    CHECK_ONCE(what_has_changed_already_is_not_waited_for),
    CHECK_ONCE(timeouts_are_kept),
    CHECK_ONCE(every_commit_wakes),
    CHECK_ONCE(one_commit_wakes_all),
    CHECK_ONCE(publish_wakes),
    CHECK_ONCE(removal_ends_the_wait),
    CHECK_ONCE(an_interrupt_ends_the_wait),
    CHECK_ONCE(an_interrupt_ends_the_wait_for_a_lock),
    CHECK_ONCE(other_signals_do_not_end_the_wait),
    CHECK_ONCE(stopped_waits_end_whenever_they_begin),
    CHECK_ONCE(a_wait_under_a_guard_of_its_own_is_busy),
    CHECK_ONCE(closing_ends_the_waits),
    CHECK_ONCE(closing_is_tried_at_every_moment_of_a_wait))
