/* fork(2): a child removes nothing of its parent's, releases nothing, and may use what it inherited. */
#include "check.h"

#ifdef __APPLE__
#include <spawn.h>
#endif

static neocortex_segment *create(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    options.lock = check_given.lock;
    return check_create(8, &options);
}

static void a_child_uses_an_inherited_handle(void)
{
    neocortex_segment *segment = create();
    pid_t children[4];

    check_write(segment, 5);
    for (int i = 0; i < 4; i++) {
        children[i] = check_fork();
        if (children[i] == 0) {
            CHECK(check_read(segment) >= 5);
            for (int j = 0; j < 500; j++) {
                void *data;

                CHECK_OK(neocortex_write_begin(segment, &data));
                *(uint64_t *)data += 1;
                CHECK_OK(neocortex_write_commit(segment));
            }
            _exit(0);
        }
    }
    for (int j = 0; j < 500; j++) {
        void *data;

        CHECK_OK(neocortex_write_begin(segment, &data));
        *(uint64_t *)data += 1;
        CHECK_OK(neocortex_write_commit(segment));
    }
    for (int i = 0; i < 4; i++) {
        CHECK_CHILD(children[i]);
    }
    CHECK(check_read(segment) == 5 + 5 * 500);
    CHECK_OK(neocortex_close(segment));
}

static void a_childs_close_removes_nothing(void)
{
    for (int way = 0; way < 4; way++) {
        neocortex_segment *segment = create();
        const int32_t key = neocortex_key(segment);
        pid_t child;

        check_write(segment, 5);
        child = check_fork();
        if (child == 0) {
            if (way >= 2) { /* with a place among the participants of its own, and without */
                check_write(segment, 6);
            }
            if (way % 2 == 0) {
                CHECK_OK(neocortex_close(segment));
            }
            _exit(0);
        }
        CHECK_CHILD(child);
        CHECK(check_exists(key));
        CHECK(!neocortex_is_removed(segment));
        CHECK(neocortex_is_owner(segment));
        CHECK(check_read(segment) == (way >= 2 ? 6u : 5u));
        check_write(segment, 7);
        CHECK_STATUS(check_stranger_writes(key, 8), NEOCORTEX_OK);
        CHECK(check_read(segment) == 8);
        CHECK_OK(neocortex_close(segment));
        CHECK(!check_exists(key));
    }
}

/* The parent goes first: its close removes, and the child goes on with what it has until it lets go. */
static void a_child_survives_its_parents_close(void)
{
    neocortex_segment *segment = create();
    const struct check_pipe ready = check_open_pipe(), go = check_open_pipe();
    const pid_t child = check_fork();

    if (child == 0) {
        uint64_t count = 0;

        check_write(segment, 9); /* a place of its own */
        check_tell(ready);
        check_hear(go);
        CHECK(neocortex_is_removed(segment));
        CHECK_STATUS(neocortex_wait(segment, 1, NEOCORTEX_FOREVER, &count), NEOCORTEX_ERR_REMOVED);
        CHECK_OK(neocortex_close(segment));
        _exit(0);
    }
    check_hear(ready);
    CHECK_OK(neocortex_close(segment));
    check_tell(go);
    CHECK_CHILD(child);
    check_close_pipe(ready);
    check_close_pipe(go);
}

/* daemon(3): the process that created it forks and ends without closing; the child takes the segment over. */
static void a_daemon_takes_ownership(void)
{
    const struct check_pipe done = check_open_pipe();
    neocortex_segment *segment = create();
    const int32_t key = neocortex_key(segment);
    pid_t child;

    CHECK_OK(neocortex_persist(segment)); /* for this process: the next one is to own it */
    child = check_fork();
    if (child == 0) {
        CHECK_OK(neocortex_take_ownership(segment));
        CHECK(neocortex_is_owner(segment));
        if (check_fork() != 0) {
            _exit(0); /* as daemon() ends the parent */
        }
        CHECK(!neocortex_is_owner(segment));
        CHECK_OK(neocortex_take_ownership(segment));
        CHECK(neocortex_is_owner(segment));
        CHECK_OK(neocortex_close(segment));
        CHECK(!check_exists(key));
        check_tell(done);
        _exit(0);
    }
    CHECK_CHILD(child);
    check_hear(done);
    CHECK(!neocortex_is_owner(segment));
    CHECK(neocortex_is_removed(segment));
    CHECK_OK(neocortex_close(segment));
    CHECK(!check_exists(key));
    check_close_pipe(done);
    CHECK_STATUS(neocortex_take_ownership(NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
}

static void an_inherited_write_guard_releases_nothing(void)
{
    for (int way = 0; way < 4; way++) {
        neocortex_segment *segment = create();
        void *data, *next = NULL;
        pid_t child;

        check_write(segment, 5);
        CHECK_OK(neocortex_write_begin(segment, &data));
        *(uint64_t *)data = 6;
        child = check_fork();
        if (child == 0) {
            neocortex_status status;

            switch (way) {
            case 0:
                CHECK_STATUS(neocortex_write_commit(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
                CHECK_STATUS(neocortex_write_publish(segment, &next), NEOCORTEX_ERR_INVALID_ARGUMENT);
                CHECK_STATUS(neocortex_write_abort(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
                break;
            case 1: /* the guard is not the child's, so it may or may not be let close: no harm either way */
                status = neocortex_close(segment);
                CHECK(status == NEOCORTEX_OK || status == NEOCORTEX_ERR_BUSY);
                break;
            case 2: /* it does not get the lock that its parent holds */
                CHECK_OK(neocortex_set_timeout(segment, 5 * CHECK_MS));
                status = neocortex_write(segment, data, 8);
                CHECK(status == NEOCORTEX_ERR_TIMEOUT || status == NEOCORTEX_ERR_BUSY);
                break;
            default: /* nothing at all */
                break;
            }
            _exit(0);
        }
        CHECK_CHILD(child);
        CHECK(neocortex_commit_count(segment) == 1);
        CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 8), NEOCORTEX_ERR_TIMEOUT);
        CHECK(*(uint64_t *)data == 6);
        CHECK_OK(neocortex_write_commit(segment));
        CHECK(check_read(segment) == 6);
        CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 8), NEOCORTEX_OK);
        CHECK_OK(neocortex_close(segment));
    }
}

static void an_inherited_read_guard_releases_nothing(void)
{
    neocortex_segment *segment = create();
    const void *data;
    pid_t child;

    check_write(segment, 5);
    CHECK_OK(neocortex_read_begin(segment, &data));
    child = check_fork();
    if (child == 0) {
        CHECK_STATUS(neocortex_read_end(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
        _exit(0);
    }
    CHECK_CHILD(child);
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 8), NEOCORTEX_ERR_TIMEOUT);
    CHECK(*(const uint64_t *)data == 5);
    CHECK_OK(neocortex_read_end(segment));
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 8), NEOCORTEX_OK);
    CHECK_OK(neocortex_close(segment));
}

/* A parent that dies with a guard held: its child, which inherited the guard, does not keep it alive. */
static void a_dead_parents_guard_is_taken_over_although_a_child_lives(void)
{
    neocortex_segment *segment = create();
    const struct check_pipe ready = check_open_pipe(), go = check_open_pipe(), done = check_open_pipe();
    pid_t parent;

    check_write(segment, 5);
    parent = check_fork();
    if (parent == 0) {
        neocortex_segment *mine = check_attach(segment);
        void *data;

        CHECK_OK(neocortex_write_begin(mine, &data));
        *(uint64_t *)data = 99;
        if (fork() == 0) { /* our grandchild: ends by itself when `go` or the watchdog says so */
            alarm(CHECK_WATCHDOG);
            close(go.in);
            check_tell(ready);
            check_hear(go);
            check_tell(done);
            _exit(0);
        }
        check_stay();
    }
    check_hear(ready);
    check_kill(parent);
    check_write(segment, 6);
    CHECK(check_read(segment) == 6);
    CHECK(neocortex_commit_count(segment) == 2);
    check_tell(go);
    check_hear(done);
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(ready);
    check_close_pipe(go);
    check_close_pipe(done);
}

/* What a thread does whose stack, and so whose name within the process, is another's as well. */
struct visitor {
    neocortex_segment *segment;
    struct check_pipe began, end;
    bool stays; /* else it ends while it holds */
};

static void *visit(void *argument)
{
    struct visitor *visitor = (struct visitor *)argument;
    void *data;

    CHECK_OK(neocortex_write_begin(visitor->segment, &data));
    *(uint64_t *)data = 99;
    if (visitor->stays) {
        CHECK_OK(neocortex_write_abort(visitor->segment));
        check_tell(visitor->began);
        check_hear(visitor->end);
    }
    return NULL;
}

static void run_visitor(pthread_t *thread, struct visitor *visitor, void *stack, size_t size)
{
    pthread_attr_t attributes;

    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstack(&attributes, stack, size) == 0);
    CHECK(pthread_create(thread, &attributes, visit, visitor) == 0);
    pthread_attr_destroy(&attributes);
}

/* The parent's thread has begun a guard through the handle and lives on; the child's gets its stack. */
static void a_childs_thread_that_ends_holds_nothing_whoever_had_its_stack(void)
{
    const size_t size = 1 << 20;
    struct visitor first = {create(), check_open_pipe(), check_open_pipe(), true};
    pthread_t thread;
    pid_t child;
    void *stack = NULL;

    check_write(first.segment, 5);
    /* QEMU's user emulation crashes where a forked child begins a thread on the stack of a thread of its parent. */
    if (getenv("NEOCORTEX_TEST_RUNNER") != NULL) {
        fprintf(stderr, "NOT RUN: a child's thread on its parent's thread's stack, in an emulator\n");
        CHECK_OK(neocortex_close(first.segment));
        check_close_pipe(first.began);
        check_close_pipe(first.end);
        return;
    }
    CHECK(posix_memalign(&stack, 1 << 16, size) == 0);
    run_visitor(&thread, &first, stack, size);
    check_hear(first.began);
    child = check_fork();
    if (child == 0) {
        struct visitor second = first;

        second.stays = false;
        run_visitor(&thread, &second, stack, size);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK_OK(neocortex_set_timeout(second.segment, NEOCORTEX_TRY));
        CHECK(check_read(second.segment) == 5);
        check_write(second.segment, 6);
        _exit(0);
    }
    CHECK_CHILD(child);
    CHECK(check_read(first.segment) == 6);
    check_tell(first.end);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_OK(neocortex_close(first.segment));
    check_close_pipe(first.began);
    check_close_pipe(first.end);
    free(stack);
}

/* vfork(2), which shares this process's memory until the child has become another program. macOS calls it deprecated,
 * and names posix_spawn(2) instead. */
static pid_t vfork_another_program(void)
{
#ifdef __APPLE__
    char name[] = "true", *arguments[] = {name, NULL}, *environment[] = {NULL};
    pid_t child;

    return posix_spawnp(&child, name, NULL, NULL, arguments, environment) == 0 ? child : -1;
#else
    pid_t child = vfork();

    if (child == 0) {
        execlp("true", "true", (char *)NULL);
        _exit(127);
    }
    return child;
#endif
}

static void a_vfork_child_that_execs_changes_nothing(void)
{
    neocortex_segment *segment = create();
    uint32_t alive, limit;
    void *data;
    pid_t child;
    int status = 0;

    CHECK_OK(neocortex_write_begin(segment, &data));
    *(uint64_t *)data = 6;
    child = vfork_another_program();
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 8), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_write_commit(segment));
    CHECK(check_read(segment) == 6);
    CHECK_OK(neocortex_participants(segment, &alive, &limit));
    CHECK(alive == 1);
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 8), NEOCORTEX_OK);
    CHECK_OK(neocortex_close(segment));
}

CHECK_MAIN(
    CHECK_EACH_LOCK(a_child_uses_an_inherited_handle),
    CHECK_EACH_LOCK(a_childs_close_removes_nothing),
    CHECK_EACH_LOCK(a_child_survives_its_parents_close),
    CHECK_EACH_LOCK(a_daemon_takes_ownership),
    CHECK_EACH_LOCK(an_inherited_write_guard_releases_nothing),
    CHECK_EACH_LOCK(an_inherited_read_guard_releases_nothing),
    CHECK_EACH_LOCK(a_dead_parents_guard_is_taken_over_although_a_child_lives),
    CHECK_EACH_LOCK(a_vfork_child_that_execs_changes_nothing),
    CHECK_EACH_LOCK(a_childs_thread_that_ends_holds_nothing_whoever_had_its_stack))
