/* How threads and processes end: exit, _exit, abort, pthread_exit and cancellation with guards held and in the
 * middle of calls; handles used and closed by atexit handlers and by the destructors of thread keys.
 */
#include "check.h"

#include <sys/resource.h>
#include <sys/syscall.h>

static neocortex_segment *create(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment;

    options.lock = check_given.lock;
    options.flags = check_given.flags;
    segment = check_create(8, &options);
    check_write(segment, 5);
    return segment;
}

/* Nobody holds it, the value is what it was, or in place it may be an unfinished one that a whole write heals. */
static void check_free(neocortex_segment *segment, uint64_t value)
{
    uint64_t seen = 0;
    const neocortex_status status = neocortex_read(segment, &seen, sizeof seen);

    if ((check_given.flags & NEOCORTEX_IN_PLACE) != 0 && status == NEOCORTEX_ERR_POISONED) {
        CHECK(neocortex_is_poisoned(segment));
    } else {
        CHECK_OK(status);
        CHECK(seen == value);
    }
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 8), NEOCORTEX_OK);
    CHECK(check_read(segment) == 8);
}

/* --------------------------------------------------------------------------------------- processes */

enum hold { HOLD_NOTHING, HOLD_READ, HOLD_WRITE, HOLDS };

static void hold(neocortex_segment *segment, int what)
{
    const void *seen;
    void *data;

    if (what == HOLD_READ) {
        CHECK_OK(neocortex_read_begin(segment, &seen));
    } else if (what == HOLD_WRITE) {
        CHECK_OK(neocortex_write_begin(segment, &data));
        *(uint64_t *)data = 99;
    }
}

enum way { WAY_EXIT, WAY__EXIT, WAY_PTHREAD_EXIT, WAY_ABORT, WAY_SEGV, WAYS };

static void end_by(int way)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    switch (way) {
    case WAY_EXIT:
        exit(0);
    case WAY__EXIT:
        _exit(0);
    case WAY_PTHREAD_EXIT: /* of the last thread: the process ends as by exit(0) */
        pthread_exit(NULL);
    case WAY_ABORT:
        abort();
    default:
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
}

static void a_process_that_ends_holds_nothing(void)
{
    for (int way = 0; way < WAYS; way++) {
        for (int what = 0; what < HOLDS; what++) {
            neocortex_segment *segment = create();
            const pid_t child = check_fork();
            uint32_t alive = 0, limit;
            int status;

            if (child == 0) {
                hold(check_attach(segment), what);
                end_by(way);
            }
            status = check_wait(child);
            CHECK(way == WAY_ABORT  ? WTERMSIG(status) == SIGABRT
                  : way == WAY_SEGV ? WTERMSIG(status) == SIGSEGV
                                    : WIFEXITED(status) && WEXITSTATUS(status) == 0);
            CHECK_OK(neocortex_participants(segment, &alive, &limit));
            CHECK(alive == 1);
            check_free(segment, 5);
            CHECK_OK(neocortex_close(segment));
        }
    }
}

/* An owner that ends without closing leaves its value, which is then stale. */
static void an_owner_that_exits_leaves_the_value(void)
{
    for (int way = 0; way < WAYS; way++) {
        const int32_t key = check_key();
        const pid_t child = check_fork();
        neocortex_segment *segment;

        if (child == 0) {
            neocortex_options options = NEOCORTEX_OPTIONS_INIT;

            options.lock = check_given.lock;
            options.flags = check_given.flags;
            segment = neocortex_create(key, 8, &options);
            CHECK(segment != NULL);
            check_write(segment, 5);
            hold(segment, HOLD_WRITE);
            end_by(way);
        }
        check_wait(child);
        segment = neocortex_attach(key, 8);
        CHECK(segment != NULL);
        check_free(segment, 5);
        CHECK_STATUS(neocortex_reclaim(key), NEOCORTEX_ERR_BUSY);
        CHECK_OK(neocortex_close(segment));
        CHECK_OK(neocortex_reclaim(key));
        CHECK(!check_exists(key));
    }
}

static neocortex_segment *at_exit_segment;
static int at_exit_guard;

static void use_and_close_at_exit(void)
{
    void *data;

    /* What the main thread still held was rolled back when its thread ended, which is before this. */
    CHECK_STATUS(neocortex_write_commit(at_exit_segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
    check_write(at_exit_segment, 6);
    CHECK(check_read(at_exit_segment) == 6);
    CHECK_OK(neocortex_write_begin(at_exit_segment, &data));
    *(uint64_t *)data = 7;
    CHECK_STATUS(neocortex_close(at_exit_segment), NEOCORTEX_ERR_BUSY);
    CHECK_OK(neocortex_write_commit(at_exit_segment));
    CHECK(check_read(at_exit_segment) == 7);
    CHECK(neocortex_attach(neocortex_key(at_exit_segment), 12345) == NULL);
    CHECK(neocortex_last_message() != NULL);
    if (at_exit_guard) {
        CHECK_OK(neocortex_write_begin(at_exit_segment, &data));
        CHECK_OK(neocortex_write_abort(at_exit_segment));
    }
    if (check_given.flags & NEOCORTEX_IN_PLACE) {
        CHECK_OK(neocortex_clear_poison(at_exit_segment));
    }
    CHECK_OK(neocortex_close(at_exit_segment));
    _exit(42); /* so that a CHECK in here, which calls exit again, is told apart */
}

static void an_atexit_handler_uses_and_closes(void)
{
    for (int what = 0; what < HOLDS; what++) {
        const int32_t key = check_key();
        pid_t child = check_fork();
        int status;

        if (child == 0) {
            neocortex_options options = NEOCORTEX_OPTIONS_INIT;

            options.lock = check_given.lock;
            options.flags = check_given.flags;
            at_exit_segment = neocortex_create(key, 8, &options);
            CHECK(at_exit_segment != NULL);
            at_exit_guard = what;
            CHECK(atexit(use_and_close_at_exit) == 0);
            hold(at_exit_segment, what);
            exit(0);
        }
        status = check_wait(child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
        CHECK(!check_exists(key));
    }
}

/* ----------------------------------------------------------------------------------------- threads */

struct held_by_thread {
    neocortex_segment *segment;
    int what;
};

static void *hold_and_end(void *argument)
{
    const struct held_by_thread *held = argument;

    hold(held->segment, held->what);
    pthread_exit(NULL);
}

/* Runs a thread with a segment of its own, to its end. */
static struct held_by_thread run_thread(void *(*start)(void *), int what)
{
    struct held_by_thread held;
    pthread_t thread;

    held.segment = create();
    held.what = what;
    CHECK(pthread_create(&thread, NULL, start, &held) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return held;
}

static void a_thread_that_ends_with_a_guard_rolls_it_back(void)
{
    for (int what = 0; what < HOLDS; what++) {
        const struct held_by_thread held = run_thread(hold_and_end, what);

        if (check_given.flags == 0) {
            CHECK(neocortex_commit_count(held.segment) == 1);
        }
        check_free(held.segment, 5);
        CHECK_OK(neocortex_close(held.segment));
    }
}

static pthread_key_t thread_key;

/* Runs when the thread's own variables, the library's among them, are gone. */
static void use_from_key(void *argument)
{
    neocortex_segment *segment = argument;
    const void *seen;
    void *data;

    check_write(segment, 6);
    CHECK(check_read(segment) == 6);
    CHECK_OK(neocortex_write_begin(segment, &data));
    *(uint64_t *)data = 7;
    CHECK_OK(neocortex_write_commit(segment));
    CHECK_OK(neocortex_read_begin(segment, &seen));
    CHECK(*(const uint64_t *)seen == 7);
    CHECK_OK(neocortex_read_end(segment));
    CHECK_STATUS(neocortex_read_end(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
}

static void *end_with_key(void *argument)
{
    const struct held_by_thread *held = argument;

    CHECK(pthread_setspecific(thread_key, held->segment) == 0);
    hold(held->segment, held->what);
    return NULL;
}

static void the_destructor_of_a_thread_key_may_use_a_handle(void)
{
    CHECK(pthread_key_create(&thread_key, use_from_key) == 0);
    for (int what = 0; what < HOLDS; what++) {
        const struct held_by_thread held = run_thread(end_with_key, what);

        check_free(held.segment, 7);
        CHECK_OK(neocortex_close(held.segment));
    }
    CHECK(pthread_key_delete(thread_key) == 0);
}

static int what_to_hold;

static void hold_from_key(void *argument)
{
    hold(argument, what_to_hold);
}

static void *call_nothing(void *argument)
{
    CHECK(pthread_setspecific(thread_key, argument) == 0);
    return NULL;
}

/* Whose first call of the library is there: no destructor that is asked for then runs, but those of keys. */
static void what_the_destructor_of_a_thread_key_begins_first_is_rolled_back(void)
{
    CHECK(pthread_key_create(&thread_key, hold_from_key) == 0);
    for (what_to_hold = 0; what_to_hold < HOLDS; what_to_hold++) {
        neocortex_segment *segment = create();
        pthread_t thread;

        CHECK(pthread_create(&thread, NULL, call_nothing, segment) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        check_free(segment, 5);
        CHECK_OK(neocortex_close(segment));
    }
    CHECK(pthread_key_delete(thread_key) == 0);
}

static void *close_elsewhere(void *argument)
{
    CHECK_OK(neocortex_close(argument));
    return NULL;
}

static void a_handle_is_closed_by_another_thread_than_opened_it(void)
{
    neocortex_segment *owner = create(), *other = check_attach(owner);
    const int32_t key = neocortex_key(owner);
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, close_elsewhere, other) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    check_write(owner, 6);
    CHECK(pthread_create(&thread, NULL, close_elsewhere, owner) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(!check_exists(key));
}

/* ------------------------------------------------------------------------------------ cancellation */

/* The calls that may wait for somebody. */
enum call { CALL_WRITE, CALL_WRITE_AT, CALL_READ, CALL_READ_BEGIN, CALL_WRITE_BEGIN, CALL_CLEAR, CALL_WAIT, CALLS };

struct cancelled {
    neocortex_segment *segment;
    int call;
    int type; /* PTHREAD_CANCEL_DEFERRED or _ASYNCHRONOUS */
    struct check_pipe begun;
    volatile pid_t thread;
    volatile bool returned;
    volatile neocortex_status status;
};

static void *be_cancelled(void *argument)
{
    struct cancelled *cancelled = argument;
    uint64_t value = 7, count;
    const void *seen;
    void *data;
    int before;

    cancelled->thread = (pid_t)syscall(SYS_gettid);
    check_tell(cancelled->begun);
    CHECK(pthread_setcanceltype(cancelled->type, &before) == 0);
    switch (cancelled->call) {
    case CALL_WRITE:
        cancelled->status = neocortex_write(cancelled->segment, &value, 8);
        break;
    case CALL_WRITE_AT:
        cancelled->status = neocortex_write_at(cancelled->segment, 0, &value, 8);
        break;
    case CALL_READ:
        cancelled->status = neocortex_read(cancelled->segment, &value, 8);
        break;
    case CALL_READ_BEGIN:
        cancelled->status = neocortex_read_begin(cancelled->segment, &seen);
        break;
    case CALL_WRITE_BEGIN:
        cancelled->status = neocortex_write_begin(cancelled->segment, &data);
        break;
    case CALL_CLEAR:
        cancelled->status = neocortex_clear_poison(cancelled->segment);
        break;
    default:
        cancelled->status = neocortex_wait(cancelled->segment, 1, NEOCORTEX_FOREVER, &count);
        break;
    }
    cancelled->returned = true;
    for (;;) {
        pthread_testcancel(); /* here, and not within the call */
        sched_yield();
    }
    return NULL;
}

static bool is_asleep(pid_t thread)
{
    char name[64], line[512] = "";
    const char *end;
    FILE *file;

    snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)thread);
    file = fopen(name, "r");
    CHECK(file != NULL && fgets(line, sizeof line, file) != NULL);
    fclose(file);
    end = strrchr(line, ')');
    CHECK(end != NULL);
    return end[2] == 'S';
}

/* A thread that waits in a call is cancelled: the call is completed, then the thread ends, and what it held is free. */
static void a_cancelled_thread_ends_after_its_call(int type)
{
    for (int call = 0; call < CALLS; call++) {
        neocortex_segment *segment = create();
        const struct check_pipe held = check_open_pipe(), go = check_open_pipe();
        struct cancelled cancelled;
        pthread_t thread;
        void *ended;
        pid_t child;

        memset(&cancelled, 0, sizeof cancelled);
        cancelled.segment = segment;
        cancelled.call = call;
        cancelled.type = type;
        cancelled.begun = check_open_pipe();
        child = check_fork();
        if (child == 0) {
            neocortex_segment *mine = check_attach(segment);
            void *data;

            CHECK_OK(neocortex_write_begin(mine, &data));
            *(uint64_t *)data = 6;
            check_tell(held);
            check_hear(go);
            CHECK_OK(neocortex_write_commit(mine));
            CHECK_OK(neocortex_close(mine));
            _exit(0);
        }
        check_hear(held);
        CHECK(pthread_create(&thread, NULL, be_cancelled, &cancelled) == 0);
        check_hear(cancelled.begun);
        while (!cancelled.returned && !is_asleep(cancelled.thread)) {
            sched_yield(); /* asleep in the call; the default lock reads without sleeping */
        }
        CHECK(pthread_cancel(thread) == 0);
        check_tell(go);
        CHECK_CHILD(child);
        CHECK(pthread_join(thread, &ended) == 0);
        CHECK(ended == PTHREAD_CANCELED);
        CHECK(cancelled.returned);
        CHECK_OK(cancelled.status);
        if (check_given.flags == 0) {
            check_free(segment, call == CALL_WRITE || call == CALL_WRITE_AT ? 7 : 6);
        } else {
            CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 8), NEOCORTEX_OK);
        }
        CHECK_OK(neocortex_close(segment));
        check_close_pipe(held);
        check_close_pipe(go);
        check_close_pipe(cancelled.begun);
    }
}

static volatile int printed;

static void print(void *context, int level, const char *message)
{
    (void)level;
    fprintf(context, "%s\n", message);
    fflush(context);
    pthread_testcancel();
    printed += 1;
}

/* Every call with a cancellation pending from the start, and a log whose callback is a cancellation point. */
static void *call_everything(void *argument)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    const int32_t key = *(const int32_t *)argument;
    const struct check_pipe held = check_open_pipe();
    FILE *sink = NULL;
    neocortex_segment *segment, *other;
    uint64_t value = 7, count = 0;
    uint32_t alive, limit;
    const void *seen;
    void *data;
    int before;
    pid_t child;

    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
    sink = fopen("/dev/null", "w");
    CHECK(sink != NULL);
    neocortex_set_log(print, sink);
    options.lock = check_given.lock;
    options.flags = check_given.flags | NEOCORTEX_REPLACE_STALE;
    segment = neocortex_create(key, 8, &options);
    CHECK(segment != NULL);
    child = check_fork();
    if (child == 0) {
        CHECK_OK(neocortex_write_begin(segment, &data));
        check_tell(held);
        check_stay();
    }
    check_hear(held);
    CHECK(pthread_cancel(pthread_self()) == 0);
    CHECK(pthread_setcancelstate(before, NULL) == 0);
    CHECK_OK(neocortex_set_timeout(segment, CHECK_MS));
    CHECK_STATUS(neocortex_write(segment, &value, 8), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_set_timeout(segment, NEOCORTEX_FOREVER));
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL) == 0);
    check_kill(child);
    check_close_pipe(held);
    CHECK(pthread_setcancelstate(before, NULL) == 0);
    CHECK_OK(neocortex_write(segment, &value, 8)); /* logs that it passes the dead holder */
    CHECK_OK(neocortex_close(segment));
    segment = neocortex_create(key, 8, &options);
    CHECK(segment != NULL);
    CHECK(neocortex_create(key, 8, NULL) == NULL);
    other = neocortex_attach(key, 8);
    CHECK(other != NULL);
    CHECK(neocortex_attach(key, 9) == NULL);
    CHECK_OK(neocortex_write(segment, &value, 8));
    CHECK_OK(neocortex_write_at(other, 0, &value, 8));
    CHECK_OK(neocortex_read(segment, &value, 8));
    CHECK_OK(neocortex_read_at(other, 0, &value, 8));
    CHECK_OK(neocortex_read_begin(segment, &seen));
    CHECK_OK(neocortex_read_end(segment));
    CHECK_OK(neocortex_write_begin(segment, &data));
    CHECK_OK(neocortex_write_mark(segment, 0, 8));
    CHECK_STATUS(neocortex_write(other, &value, 8), NEOCORTEX_ERR_BUSY);
    CHECK_OK(neocortex_write_commit(segment));
    CHECK_OK(neocortex_write_begin(segment, &data));
    CHECK_OK(neocortex_write_abort(segment));
    CHECK_OK(neocortex_clear_poison(segment));
    CHECK_OK(neocortex_wait(segment, 0, NEOCORTEX_FOREVER, &count));
    CHECK_STATUS(neocortex_wait(segment, count, CHECK_MS, &count), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_interrupt(segment));
    CHECK_STATUS(neocortex_wait(segment, count, NEOCORTEX_FOREVER, &count), NEOCORTEX_ERR_INTERRUPTED);
    CHECK_OK(neocortex_participants(segment, &alive, &limit));
    CHECK_OK(neocortex_persist(segment));
    CHECK_OK(neocortex_close(other));
    CHECK_STATUS(neocortex_reclaim(key), NEOCORTEX_ERR_BUSY);
    CHECK_OK(neocortex_close(segment));
    CHECK_STATUS(neocortex_reclaim(key), NEOCORTEX_ERR_BUSY); /* it was made to stay */
    CHECK_OK(neocortex_remove(key));
    segment = neocortex_create(key, 8, &options);
    CHECK(segment != NULL);
    CHECK_OK(neocortex_remove(key));
    CHECK_OK(neocortex_close(segment));
    neocortex_set_log(NULL, NULL);
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
    CHECK(before == PTHREAD_CANCEL_ENABLE);
    fclose(sink);
    CHECK(pthread_setcancelstate(before, NULL) == 0);
    pthread_testcancel();
    return NULL;
}

static void no_call_is_a_cancellation_point(void)
{
    int32_t key = check_key();
    pthread_t thread;
    void *ended;

    CHECK(pthread_create(&thread, NULL, call_everything, &key) == 0);
    CHECK(pthread_join(thread, &ended) == 0);
    CHECK(ended == PTHREAD_CANCELED);
    CHECK(printed > 0);
}

static void a_thread_cancelled_in_a_call_ends_after_it(void)
{
    a_cancelled_thread_ends_after_its_call(PTHREAD_CANCEL_DEFERRED);
}

/* POSIX does not allow it; the process survives it all the same where the call is asleep. */
static void a_thread_cancelled_at_any_time_ends_after_its_call(void)
{
    a_cancelled_thread_ends_after_its_call(PTHREAD_CANCEL_ASYNCHRONOUS);
}

CHECK_MAIN(
    CHECK_ONCE(no_call_is_a_cancellation_point),
    CHECK_EACH_LAYOUT(a_process_that_ends_holds_nothing),
    CHECK_EACH_LAYOUT(an_owner_that_exits_leaves_the_value),
    CHECK_EACH_LAYOUT(an_atexit_handler_uses_and_closes),
    CHECK_EACH_LAYOUT(a_thread_that_ends_with_a_guard_rolls_it_back),
    CHECK_EACH_LAYOUT(the_destructor_of_a_thread_key_may_use_a_handle),
    CHECK_EACH_LAYOUT(what_the_destructor_of_a_thread_key_begins_first_is_rolled_back),
    CHECK_EACH_LAYOUT(a_handle_is_closed_by_another_thread_than_opened_it),
    CHECK_EACH_LAYOUT(a_thread_cancelled_in_a_call_ends_after_it),
    CHECK_EACH_LAYOUT(a_thread_cancelled_at_any_time_ends_after_its_call))
