/* NEOCORTEX_READ_ONLY: looking on through a read-only mapping, without a place among the participants. */
#include "check.h"

static neocortex_segment *observe(int32_t key)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    options.flags = NEOCORTEX_READ_ONLY;
    return neocortex_attach_with(key, 8, &options);
}

static neocortex_segment *create(uint32_t mode, uint32_t flags)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    options.lock = check_given.lock;
    options.mode = mode;
    options.flags = flags;
    return check_create(8, &options);
}

static void it_reads_and_does_not_write(void)
{
    for (int in_place = 0; in_place < 2; in_place++) {
        neocortex_segment *segment = create(0, in_place ? NEOCORTEX_IN_PLACE : 0);
        neocortex_segment *observer;
        uint64_t value = 3;
        void *data = &value;

        check_write(segment, 5);
        observer = observe(neocortex_key(segment));
        CHECK(observer != NULL);
        CHECK(!neocortex_is_owner(observer));
        CHECK(neocortex_key(observer) == neocortex_key(segment));
        CHECK(neocortex_size(observer) == 8);
        CHECK(strcmp(neocortex_lock_name(observer), neocortex_lock_name(segment)) == 0);
        CHECK(neocortex_commit_count(observer) == 1);
        CHECK(check_read(observer) == 5);
        CHECK_STATUS(neocortex_write(observer, &value, 8), NEOCORTEX_ERR_READ_ONLY);
        CHECK_STATUS(neocortex_write_at(observer, 1, &value, 1), NEOCORTEX_ERR_READ_ONLY);
        CHECK_STATUS(neocortex_write_begin(observer, &data), NEOCORTEX_ERR_READ_ONLY);
        CHECK_STATUS(neocortex_clear_poison(observer), NEOCORTEX_ERR_READ_ONLY);
        CHECK(data == &value);
        CHECK(neocortex_commit_count(segment) == 1);
        check_write(segment, 6);
        CHECK(check_read(observer) == 6);
        CHECK_OK(neocortex_close(observer));
        CHECK(check_exists(neocortex_key(segment)));
        CHECK_OK(neocortex_close(segment));
    }
}

static void it_is_no_participant(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment, *observers[8];
    uint32_t alive, limit;

    options.lock = check_given.lock;
    options.participants = 1;
    segment = check_create(8, &options);
    for (int i = 0; i < 8; i++) {
        observers[i] = observe(neocortex_key(segment));
        CHECK(observers[i] != NULL);
        CHECK(check_read(observers[i]) == 0);
    }
    CHECK_OK(neocortex_participants(segment, &alive, &limit));
    CHECK(alive == 1 && limit == 1);
    for (int i = 0; i < 8; i++) {
        CHECK_OK(neocortex_close(observers[i]));
    }
    CHECK_OK(neocortex_close(segment));
}

static void it_is_told_of_changes_and_of_removal(void)
{
    neocortex_segment *segment = create(0, 0);
    const struct check_pipe ready = check_open_pipe(), seen = check_open_pipe();
    const pid_t child = check_fork();

    if (child == 0) {
        neocortex_segment *mine = observe(neocortex_key(segment));
        uint64_t count = 0;

        CHECK(mine != NULL);
        CHECK_STATUS(neocortex_wait(mine, 0, CHECK_MS, &count), NEOCORTEX_ERR_TIMEOUT);
        check_tell(ready);
        CHECK_OK(neocortex_wait(mine, 0, NEOCORTEX_FOREVER, &count));
        CHECK(count == 1 && check_read(mine) == 5);
        check_tell(seen);
        CHECK_STATUS(neocortex_wait(mine, 1, NEOCORTEX_FOREVER, &count), NEOCORTEX_ERR_REMOVED);
        CHECK(neocortex_is_removed(mine));
        CHECK_OK(neocortex_close(mine));
        _exit(0);
    }
    check_hear(ready);
    check_write(segment, 5);
    check_hear(seen);
    CHECK_OK(neocortex_close(segment));
    CHECK_CHILD(child);
    check_close_pipe(ready);
    check_close_pipe(seen);
}

static void its_waits_end(void)
{
    neocortex_segment *segment = create(0, NEOCORTEX_IN_PLACE), *observer = observe(neocortex_key(segment));
    uint64_t count = 7, value;
    uint32_t alive, limit;
    void *data;

    CHECK(observer != NULL);
    CHECK(!neocortex_was_created(observer) && !neocortex_is_poisoned(observer));
    CHECK_OK(neocortex_participants(observer, &alive, &limit));
    CHECK(alive == 1 && limit == 128);
    CHECK_OK(neocortex_interrupt(observer));
    CHECK_STATUS(neocortex_wait(observer, 0, NEOCORTEX_FOREVER, &count), NEOCORTEX_ERR_INTERRUPTED);
    CHECK(count == 7);
    /* A writer at work in place. */
    CHECK_OK(neocortex_write_begin(segment, &data));
    CHECK(neocortex_is_poisoned(observer));
    CHECK_OK(neocortex_set_timeout(observer, CHECK_MS));
    CHECK_STATUS(neocortex_read(observer, &value, 8), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_write_commit(segment));
    CHECK(check_read(observer) == 0 && !neocortex_is_poisoned(observer));
    CHECK_OK(neocortex_close(observer));
    CHECK_OK(neocortex_close(segment));
}

/* A writer that holds, or that was killed while holding, does not keep an observer from the committed value. */
static void it_reads_past_a_writer(void)
{
    neocortex_segment *segment = create(0, 0), *observer;
    const struct check_pipe held = check_open_pipe();
    pid_t child;

    check_write(segment, 5);
    observer = observe(neocortex_key(segment));
    CHECK(observer != NULL);
    child = check_fork();
    if (child == 0) {
        neocortex_segment *mine = check_attach(segment);
        void *data;

        CHECK_OK(neocortex_write_begin(mine, &data));
        *(uint64_t *)data = 99;
        check_tell(held);
        check_stay();
    }
    check_hear(held);
    CHECK(check_read(observer) == 5);
    check_kill(child);
    CHECK(check_read(observer) == 5);
    CHECK_OK(neocortex_close(observer));
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(held);
}

/* Values are whole, whatever the lock: the writer takes it, the observer does not. */
static void it_sees_no_torn_value(void)
{
    enum { WORDS = 64, ROUNDS = 2000 };
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    volatile int *stop = check_shared(sizeof *stop);
    neocortex_segment *segment, *observer;
    uint64_t words[WORDS];
    pid_t child;

    options.lock = check_given.lock;
    segment = check_create(sizeof words, &options);
    options.lock = NULL;
    options.flags = NEOCORTEX_READ_ONLY;
    observer = neocortex_attach_with(neocortex_key(segment), sizeof words, &options);
    CHECK(observer != NULL);
    child = check_fork();
    if (child == 0) {
        neocortex_segment *mine = check_attach(segment);
        const struct timespec pause = {0, 1000};

        for (uint64_t number = 1; !*stop; number++) {
            for (int i = 0; i < WORDS; i++) {
                words[i] = number;
            }
            CHECK_OK(neocortex_write(mine, words, sizeof words));
            nanosleep(&pause, NULL); /* observers cannot ask a writer for a pause */
        }
        CHECK_OK(neocortex_close(mine));
        _exit(0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        CHECK_OK(neocortex_read(observer, words, sizeof words));
        for (int i = 1; i < WORDS; i++) {
            CHECK(words[i] == words[0]);
        }
    }
    *stop = 1;
    CHECK_CHILD(child);
    CHECK_OK(neocortex_close(observer));
    CHECK_OK(neocortex_close(segment));
    munmap((void *)stop, sizeof *stop);
}

/* Who may only read, by the segment's mode, may observe, and nothing else. Needs root to become somebody else. */
static void permission_to_read_is_enough(void)
{
    static const uint32_t modes[] = {0600, 0644, 0666};

    if (geteuid() != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        neocortex_segment *segment = create(modes[i], 0);
        const int32_t key = neocortex_key(segment);
        pid_t child;

        check_write(segment, 5);
        child = check_fork();
        if (child == 0) {
            neocortex_segment *mine;

            CHECK(setgid(65534) == 0 && setuid(65534) == 0);
            mine = observe(key);
            if (modes[i] == 0600) {
                CHECK(mine == NULL);
                CHECK(neocortex_last_status() == NEOCORTEX_ERR_CLEAN_SYSTEM);
                CHECK(neocortex_last_os_error() == EACCES);
            } else {
                CHECK(mine != NULL);
                CHECK(check_read(mine) == 5);
                CHECK_OK(neocortex_close(mine));
            }
            mine = neocortex_attach(key, 8);
            if (modes[i] != 0666) {
                CHECK(mine == NULL);
                CHECK(neocortex_last_status() == NEOCORTEX_ERR_CLEAN_SYSTEM);
                CHECK(neocortex_last_os_error() == EACCES);
            } else {
                CHECK(mine != NULL);
                check_write(mine, 6);
                CHECK_OK(neocortex_close(mine));
            }
            /* Removing is for the owner. */
            CHECK_STATUS(neocortex_remove(key), NEOCORTEX_ERR_CLEAN_SYSTEM);
            CHECK(neocortex_last_os_error() == EPERM || neocortex_last_os_error() == EACCES);
            _exit(0);
        }
        CHECK_CHILD(child);
        CHECK(check_exists(key));
        CHECK(check_read(segment) == (modes[i] == 0666 ? 6u : 5u));
        CHECK_OK(neocortex_close(segment));
    }
}

CHECK_MAIN(
    CHECK_EACH_LOCK(it_reads_and_does_not_write),
    CHECK_EACH_LOCK(it_is_no_participant),
    CHECK_EACH_LOCK(it_is_told_of_changes_and_of_removal),
    CHECK_EACH_LOCK(its_waits_end),
    CHECK_EACH_LOCK(it_reads_past_a_writer),
    CHECK_EACH_LOCK(it_sees_no_torn_value),
    CHECK_EACH_LOCK(permission_to_read_is_enough))
