/* A value with its version, a guard that is overwritten whole, waits that end with a signal, memory that is there. */
#include "check.h"

#include <poll.h>

static neocortex_options plain(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    options.lock = check_given.lock;
    return options;
}

/* ---------------------------------------------------------------------------- a value with its version */

static void a_reader_that_waits_works_on_no_commit_twice(void)
{
    const neocortex_options options = plain();
    neocortex_segment *segment = check_create(8, &options);
    const uint64_t commits = 2000;
    uint64_t seen = 0;
    pid_t child = check_fork();

    if (child == 0) {
        neocortex_segment *writer = check_attach(segment);

        for (uint64_t number = 1; number <= commits; number++) {
            check_write(writer, number);
        }
        CHECK_OK(neocortex_close(writer));
        _exit(0);
    }
    while (seen < commits) {
        uint64_t count, value, version;

        CHECK_OK(neocortex_wait(segment, seen, NEOCORTEX_FOREVER, &count));
        CHECK_OK(neocortex_read_versioned(segment, &value, sizeof value, &version));
        CHECK(value == version); /* commit k holds k */
        CHECK(version > seen);
        seen = version;
    }
    CHECK_CHILD(child);
    CHECK_OK(neocortex_close(segment));
}

static void an_observer_tells_the_version_too_and_failures_tell_nothing(void)
{
    neocortex_options options = plain();
    neocortex_segment *segment = check_create(64, &options);
    neocortex_segment *observer;
    uint64_t value = 7, version = 99;

    options = plain();
    options.lock = NULL;
    options.flags = NEOCORTEX_READ_ONLY;
    observer = neocortex_attach_with(neocortex_key(segment), 64, &options);
    CHECK(observer != NULL);
    CHECK_OK(neocortex_write_at(segment, 0, &value, sizeof value));
    value = 0;
    CHECK_OK(neocortex_read_versioned(observer, &value, sizeof value, &version));
    CHECK(value == 7 && version == 1);
    version = 99;
    CHECK_OK(neocortex_read_versioned(observer, NULL, 0, &version));
    CHECK(version == 1);
    CHECK_STATUS(neocortex_read_versioned(observer, &value, 65, &version), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_versioned(observer, NULL, 8, &version), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_versioned(observer, &value, 8, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_versioned(NULL, &value, 8, &version), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(version == 1 && value == 7);
    CHECK_OK(neocortex_close(observer));
    CHECK_OK(neocortex_close(segment));
}

/* ------------------------------------------------------------------------- a guard that is overwritten whole */

static void what_is_overwritten_is_the_whole_value(void)
{
    const uint32_t layouts[] = {1, 2, 3};

    for (size_t i = 0; i < 3; i++) {
        neocortex_options options = plain();
        neocortex_segment *segment;
        unsigned char bytes[1000];
        void *data = &options;

        options.slots = layouts[i] == 1 ? 0 : layouts[i];
        options.flags = layouts[i] == 1 ? NEOCORTEX_IN_PLACE : 0;
        segment = check_create(sizeof bytes, &options);
        for (int round = 1; round < 20; round++) {
            CHECK_OK(neocortex_overwrite_begin(segment, NEOCORTEX_FOREVER, &data));
            CHECK(((unsigned char *)data)[1] < round); /* an older value, or zeros */
            memset(data, round, sizeof bytes);
            CHECK_OK(neocortex_write_mark(segment, 8, 8)); /* counts for nothing */
            CHECK_OK(neocortex_write_commit(segment));
            CHECK_OK(neocortex_read(segment, bytes, sizeof bytes));
            CHECK(bytes[0] == round && bytes[500] == round && bytes[999] == round);
            /* The slot that comes after is brought up to date whole. */
            CHECK_OK(neocortex_write_at(segment, 0, "x", 1));
            CHECK_OK(neocortex_read(segment, bytes, sizeof bytes));
            CHECK(bytes[0] == 'x' && bytes[1] == round && bytes[999] == round);
        }
        CHECK_OK(neocortex_overwrite_begin(segment, NEOCORTEX_TRY, &data));
        memset(data, 99, 500);
        CHECK_OK(neocortex_write_abort(segment));
        if (layouts[i] == 1) {
            CHECK_STATUS(neocortex_write_begin(segment, &data), NEOCORTEX_ERR_POISONED);
            CHECK_OK(neocortex_overwrite_begin(segment, NEOCORTEX_TRY, &data));
            memset(data, 20, sizeof bytes);
            CHECK_OK(neocortex_write_commit(segment));
            CHECK(!neocortex_is_poisoned(segment));
        }
        CHECK_OK(neocortex_read(segment, bytes, sizeof bytes));
        CHECK(bytes[999] == (layouts[i] == 1 ? 20 : 19));
        CHECK_OK(neocortex_close(segment));
    }
}

static void overwriting_is_refused_as_any_write(void)
{
    neocortex_options options = plain();
    neocortex_segment *segment = check_create(8, &options);
    neocortex_segment *other, *observer;
    void *data = &options;

    other = check_attach(segment);
    options = plain();
    options.lock = NULL;
    options.flags = NEOCORTEX_READ_ONLY;
    observer = neocortex_attach_with(neocortex_key(segment), 8, &options);
    CHECK(observer != NULL);
    CHECK_STATUS(neocortex_overwrite_begin(NULL, 1, &data), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_overwrite_begin(segment, 1, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_overwrite_begin(observer, 1, &data), NEOCORTEX_ERR_READ_ONLY);
    CHECK(data == &options);
    CHECK_OK(neocortex_overwrite_begin(segment, 1, &data));
    data = &options;
    CHECK_STATUS(neocortex_overwrite_begin(segment, 1, &data), NEOCORTEX_ERR_BUSY);
    CHECK_STATUS(neocortex_overwrite_begin(other, NEOCORTEX_FOREVER, &data), NEOCORTEX_ERR_BUSY);
    CHECK_STATUS(neocortex_close(segment), NEOCORTEX_ERR_BUSY);
    CHECK(data == &options);
    CHECK_OK(neocortex_write_abort(segment));

    /* The handle's time-out is told, and untouched. */
    CHECK(neocortex_timeout(segment) == NEOCORTEX_FOREVER && neocortex_timeout(NULL) == NEOCORTEX_FOREVER);
    CHECK_OK(neocortex_set_timeout(segment, 12345));
    CHECK_OK(neocortex_overwrite_begin(segment, NEOCORTEX_TRY, &data));
    CHECK_OK(neocortex_write_abort(segment));
    CHECK(neocortex_timeout(segment) == 12345);
    CHECK_OK(neocortex_set_timeout(observer, NEOCORTEX_TRY));
    CHECK(neocortex_timeout(observer) == NEOCORTEX_TRY);
    CHECK_OK(neocortex_close(observer));
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

/* ---------------------------------------------------------------------------- waits that end with a signal */

static void ignore_it(int number)
{
    (void)number;
}

/* A child that sends SIGUSR1 all the time, until it is told to stop. */
static pid_t start_signals(struct check_pipe stop)
{
    const pid_t parent = getpid();
    const pid_t child = check_fork();

    if (child == 0) {
        struct pollfd told;

        told.fd = stop.out;
        told.events = POLLIN;
        while (poll(&told, 1, 1) == 0) {
            kill(parent, SIGUSR1);
        }
        _exit(0);
    }
    return child;
}

static void every_wait_ends_with_a_signal(int flags)
{
    neocortex_options options = plain();
    neocortex_segment *owner = check_create(8, &options);
    const struct check_pipe held = check_open_pipe();
    const struct check_pipe stop = check_open_pipe();
    neocortex_segment *segment, *observer;
    struct sigaction action;
    uint64_t value = 1, count = 77;
    const void *shown;
    void *data;
    pid_t holder, signals;

    holder = check_holder(owner, held);
    options.flags = NEOCORTEX_INTERRUPTIBLE;
    segment = neocortex_attach_with(neocortex_key(owner), 8, &options);
    CHECK(segment != NULL);
    options.lock = NULL;
    options.flags |= NEOCORTEX_READ_ONLY;
    observer = neocortex_attach_with(neocortex_key(owner), 8, &options);
    CHECK(observer != NULL);

    memset(&action, 0, sizeof action);
    action.sa_handler = ignore_it;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    signals = start_signals(stop);
    CHECK_STATUS(neocortex_wait(segment, 0, NEOCORTEX_FOREVER, &count), NEOCORTEX_ERR_INTERRUPTED);
    CHECK_STATUS(neocortex_wait(observer, 0, NEOCORTEX_FOREVER, &count), NEOCORTEX_ERR_INTERRUPTED);
    CHECK_STATUS(neocortex_write(segment, &value, 8), NEOCORTEX_ERR_INTERRUPTED);
    CHECK_STATUS(neocortex_write_begin(segment, &data), NEOCORTEX_ERR_INTERRUPTED);
    CHECK_STATUS(neocortex_read_begin(segment, &shown), NEOCORTEX_ERR_INTERRUPTED);
    CHECK_STATUS(neocortex_overwrite_begin(segment, NEOCORTEX_FOREVER, &data), NEOCORTEX_ERR_INTERRUPTED);
    CHECK_STATUS(neocortex_write_for(segment, 0, &value, 8, 3600000 * CHECK_MS), NEOCORTEX_ERR_INTERRUPTED);
    /* The others go on. */
    CHECK_STATUS(neocortex_write_for(owner, 0, &value, 8, 30 * CHECK_MS), NEOCORTEX_ERR_TIMEOUT);
    CHECK_STATUS(neocortex_wait(owner, 0, 30 * CHECK_MS, &count), NEOCORTEX_ERR_TIMEOUT);
    check_tell(stop);
    CHECK_CHILD(signals);
    signal(SIGUSR1, SIG_IGN);
    CHECK(count == 77);

    check_kill(holder);
    CHECK_OK(neocortex_write(segment, &value, 8)); /* nothing is left of the waits that ended */
    CHECK_OK(neocortex_close(observer));
    CHECK_OK(neocortex_close(segment));
    CHECK_OK(neocortex_close(owner));
    check_close_pipe(held);
    check_close_pipe(stop);
}

static void every_wait_ends_with_a_signal_where_that_was_asked_for(void)
{
    every_wait_ends_with_a_signal(0);
}

static void the_same_where_the_signal_restarts_calls(void)
{
    every_wait_ends_with_a_signal(SA_RESTART);
}

#ifdef __linux__
static volatile sig_atomic_t handled;

static void count_it(int number)
{
    (void)number;
    handled = 1;
}
#endif

static void stopping_and_continuing_ends_no_wait(void)
{
#ifdef __linux__
    neocortex_options options = plain();
    neocortex_segment *owner = check_create(8, &options);
    const struct check_pipe ready = check_open_pipe();
    const uint64_t value = 1;
    siginfo_t ended;
    void *data;
    pid_t child;
    int status;

    CHECK_OK(neocortex_write_begin(owner, &data));
    child = check_fork();
    if (child == 0) {
        neocortex_segment *mine;

        options.flags = NEOCORTEX_INTERRUPTIBLE;
        mine = neocortex_attach_with(neocortex_key(owner), 8, &options);
        CHECK(mine != NULL);
        CHECK(signal(SIGUSR1, count_it) != SIG_ERR);
        check_tell(ready);
        CHECK_STATUS(neocortex_write(mine, &value, 8), NEOCORTEX_ERR_INTERRUPTED);
        CHECK(handled && "a handler has run, not a stop alone");
        _exit(0);
    }
    check_hear(ready);
    for (int i = 0; i < 50; i++) {
        CHECK(kill(child, SIGSTOP) == 0);
        CHECK(waitpid(child, &status, WUNTRACED) == child);
        CHECK(WIFSTOPPED(status));
        CHECK(kill(child, SIGCONT) == 0);
        poll(NULL, 0, 1); /* to fall asleep again */
    }
    do {
        CHECK(kill(child, SIGUSR1) == 0);
        poll(NULL, 0, 1);
        ended.si_pid = 0;
        CHECK(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT) == 0);
    } while (ended.si_pid == 0);
    CHECK_CHILD(child);
    CHECK_OK(neocortex_write_commit(owner));
    CHECK_OK(neocortex_close(owner));
    check_close_pipe(ready);
#endif
}

/* -------------------------------------------------------------------------------------- memory that is there */

static void what_is_asked_of_memory_is_had_or_refused_and_nothing_is_left(void)
{
    const uint32_t ways[] = {NEOCORTEX_PREFAULT, NEOCORTEX_LOCK_IN_MEMORY, NEOCORTEX_HUGE_PAGES,
                             NEOCORTEX_HUGE_PAGES | NEOCORTEX_PREFER_HUGE_PAGES, NEOCORTEX_PREFER_HUGE_PAGES};

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        neocortex_options options = plain();
        const int32_t key = check_key();
        static unsigned char memory[100000];
        neocortex_segment *segment;
        unsigned char last = 0;

        memset(memory, 3, sizeof memory);
        options.flags = ways[i];
        segment = neocortex_create(key, 100000, &options);
        if (segment == NULL) {
            /* Only what needs a right, a setting, or another system. */
            const neocortex_status status = neocortex_last_status();

            CHECK(ways[i] == NEOCORTEX_LOCK_IN_MEMORY || ways[i] == NEOCORTEX_HUGE_PAGES);
            CHECK(status == NEOCORTEX_ERR_CLEAN_SYSTEM || status == NEOCORTEX_ERR_UNSUPPORTED);
            CHECK(!check_exists(key));
            continue;
        }
        CHECK_OK(neocortex_write(segment, memory, sizeof memory));
        CHECK_OK(neocortex_read_at(segment, sizeof memory - 1, &last, 1));
        CHECK(last == 3);
        CHECK_OK(neocortex_close(segment));
    }
}

static void memory_is_asked_for_when_it_is_created(void)
{
    neocortex_options options = plain();
    neocortex_segment *segment = check_create(8, &options);
    neocortex_segment *other;
    const uint32_t creating[] = {NEOCORTEX_LOCK_IN_MEMORY, NEOCORTEX_HUGE_PAGES, NEOCORTEX_PREFER_HUGE_PAGES};

    for (size_t i = 0; i < 3; i++) {
        options.flags = creating[i];
        CHECK_NULL(neocortex_attach_with(neocortex_key(segment), 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    }
    options.flags = NEOCORTEX_PREFAULT;
    other = neocortex_attach_with(neocortex_key(segment), 8, &options);
    CHECK(other != NULL);
    check_write(other, 5);
    CHECK(check_read(segment) == 5);
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

CHECK_MAIN(
    CHECK_EACH_LOCK(a_reader_that_waits_works_on_no_commit_twice),
    CHECK_EACH_LOCK(an_observer_tells_the_version_too_and_failures_tell_nothing),
    CHECK_EACH_LOCK(what_is_overwritten_is_the_whole_value),
    CHECK_EACH_LOCK(overwriting_is_refused_as_any_write),
    CHECK_EACH_LOCK(every_wait_ends_with_a_signal_where_that_was_asked_for),
    CHECK_EACH_LOCK(the_same_where_the_signal_restarts_calls),
    CHECK_EACH_LOCK(stopping_and_continuing_ends_no_wait),
    CHECK_EACH_LOCK(what_is_asked_of_memory_is_had_or_refused_and_nothing_is_left),
    CHECK_EACH_LOCK(memory_is_asked_for_when_it_is_created))
