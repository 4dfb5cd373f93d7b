/* Guards: begin, commit, abort, publish, mark; and what is refused. For each built-in lock. */
#include "check.h"

static neocortex_segment *create(size_t size)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    options.lock = check_given.lock;
    return check_create(size, &options);
}

static void commit_makes_it_the_value(void)
{
    neocortex_segment *segment = create(8), *other = check_attach(segment);
    void *data = NULL;

    check_write(segment, 5);
    for (uint64_t i = 0; i < 10; i++) {
        CHECK_OK(neocortex_write_begin(segment, &data));
        CHECK(*(uint64_t *)data == 5 + i); /* holds the current value */
        *(uint64_t *)data += 1;
        CHECK(neocortex_commit_count(other) == 1 + i);
        CHECK_OK(neocortex_write_commit(segment));
        CHECK(neocortex_commit_count(other) == 2 + i);
        CHECK(check_read(other) == 6 + i);
    }
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

static void abort_is_as_if_nothing_happened(void)
{
    neocortex_segment *segment = create(8), *other = check_attach(segment);
    void *data;

    check_write(segment, 5);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(neocortex_write_begin(segment, &data));
        CHECK(*(uint64_t *)data == 5);
        *(uint64_t *)data = 99;
        CHECK_OK(neocortex_write_abort(segment));
        CHECK(check_read(segment) == 5);
        CHECK(check_read(other) == 5);
        CHECK(neocortex_commit_count(segment) == 1);
    }
    check_write(other, 6);
    CHECK(check_read(segment) == 6);
    CHECK(neocortex_commit_count(segment) == 2);
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

static void publish_commits_and_goes_on_holding(void)
{
    neocortex_segment *segment = create(8), *other = check_attach(segment);
    neocortex_options never = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *observer;
    void *data;

    never.flags = NEOCORTEX_READ_ONLY;
    observer = neocortex_attach_with(neocortex_key(segment), 8, &never);
    CHECK(observer != NULL);
    CHECK_OK(neocortex_write_begin(segment, &data));
    for (uint64_t i = 1; i <= 20; i++) {
        *(uint64_t *)data = i;
        CHECK_OK(neocortex_write_publish(segment, &data));
        CHECK(data != NULL);
        CHECK(neocortex_commit_count(other) == i);
        CHECK(check_read(observer) == i);
    }
    /* It is still held. */
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 1000), NEOCORTEX_ERR_TIMEOUT);
    /* An abort takes back what came after the last publish, no more. */
    *(uint64_t *)data = 99;
    CHECK_OK(neocortex_write_abort(segment));
    CHECK(check_read(other) == 20);
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 1000), NEOCORTEX_OK);
    CHECK(check_read(segment) == 1000);

    /* And a commit after a publish is one more. */
    CHECK_OK(neocortex_write_begin(segment, &data));
    *(uint64_t *)data = 1;
    CHECK_OK(neocortex_write_publish(segment, &data));
    *(uint64_t *)data = 2;
    CHECK_OK(neocortex_write_commit(segment));
    CHECK(check_read(other) == 2);
    CHECK(neocortex_commit_count(other) == 23);

    /* NULL for the output: nothing was committed, and it is still held. */
    CHECK_OK(neocortex_write_begin(segment, &data));
    *(uint64_t *)data = 3;
    CHECK_STATUS(neocortex_write_publish(segment, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(neocortex_commit_count(other) == 23);
    CHECK_OK(neocortex_write_commit(segment));
    CHECK(check_read(other) == 3);
    CHECK_OK(neocortex_close(observer));
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

/* Marks say what changed; whatever the mix of writers, the value is always the sum of all changes. */
static void marks_keep_every_slot_up_to_date(void)
{
    enum { SIZE = 500 };
    for (uint32_t slots = 2; slots <= 8; slots += 3) {
        neocortex_options options = NEOCORTEX_OPTIONS_INIT;
        neocortex_segment *segment, *other;
        unsigned char model[SIZE] = {0}, bytes[SIZE];
        void *data;

        options.lock = check_given.lock;
        options.slots = slots;
        segment = check_create(SIZE, &options);
        other = check_attach(segment);
        for (int i = 0; i < 2000; i++) {
            neocortex_segment *writer = check_random() % 2 ? segment : other;
            const unsigned kind = (unsigned)(check_random() % 4);
            unsigned char before[SIZE];

            memcpy(before, model, SIZE);
            CHECK_OK(neocortex_write_begin(writer, &data));
            CHECK(memcmp(data, model, SIZE) == 0);
            for (int marks = 0; marks < 3; marks++) {
                const size_t offset = (size_t)(check_random() % SIZE);
                const size_t length = 1 + (size_t)(check_random() % (SIZE - offset));

                memset(model + offset, (int)(check_random() & 0xff), length);
                memcpy((unsigned char *)data + offset, model + offset, length);
                if (kind != 0) {
                    CHECK_OK(neocortex_write_mark(writer, offset, length));
                }
            }
            if (kind == 3) {
                memcpy(model, before, SIZE);
                CHECK_OK(neocortex_write_abort(writer));
            } else {
                CHECK_OK(neocortex_write_commit(writer));
            }
            CHECK_OK(neocortex_read(check_random() % 2 ? segment : other, bytes, SIZE));
            CHECK(memcmp(bytes, model, SIZE) == 0);
        }
        CHECK_OK(neocortex_close(other));
        CHECK_OK(neocortex_close(segment));
    }
}

static void a_read_guard_holds_the_value_still(void)
{
    neocortex_segment *segment = create(8), *other = check_attach(segment);
    const void *data = NULL;
    uint64_t before;
    int outcome;

    check_write(segment, 5);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(neocortex_read_begin(segment, &data));
        before = *(const uint64_t *)data;
        CHECK(before == (i == 0 ? 5u : 9u));
        outcome = check_stranger_writes(neocortex_key(segment), 7);
        CHECK_STATUS(outcome, NEOCORTEX_ERR_TIMEOUT);
        CHECK(*(const uint64_t *)data == before);
        CHECK_OK(neocortex_read_end(segment));
        CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 9), NEOCORTEX_OK);
        CHECK(check_read(other) == 9);
    }
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

/* RwLock: readers share. */
static void read_guards_of_the_rwlock_share(void)
{
    neocortex_segment *segment;
    const void *data;
    pid_t child;

    if (check_given.lock != neocortex_lock_rwlock()) {
        return;
    }
    segment = create(8);
    check_write(segment, 5);
    CHECK_OK(neocortex_read_begin(segment, &data));
    child = check_fork();
    if (child == 0) {
        neocortex_segment *mine = check_attach(segment);

        CHECK_OK(neocortex_set_timeout(mine, NEOCORTEX_TRY));
        CHECK_OK(neocortex_read_begin(mine, &data));
        CHECK(*(const uint64_t *)data == 5);
        CHECK_OK(neocortex_read_end(mine));
        CHECK_OK(neocortex_close(mine));
        _exit(0);
    }
    CHECK_CHILD(child);
    CHECK_OK(neocortex_read_end(segment));
    CHECK_OK(neocortex_close(segment));
}

static void ending_what_was_not_begun_is_refused(void)
{
    neocortex_segment *segment = create(8);
    const void *read_data;
    void *write_data, *next = &write_data;

    check_write(segment, 5);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(neocortex_read_end(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_STATUS(neocortex_write_commit(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_STATUS(neocortex_write_abort(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_STATUS(neocortex_write_publish(segment, &next), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_STATUS(neocortex_write_mark(segment, 0, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK(next == &write_data);
        /* Once more after guards that have ended. */
        CHECK_OK(neocortex_write_begin(segment, &write_data));
        CHECK_OK(neocortex_write_commit(segment));
        CHECK_OK(neocortex_read_begin(segment, &read_data));
        CHECK_OK(neocortex_read_end(segment));
    }
    /* Of the other kind: refused, and the guard holds on. */
    CHECK_OK(neocortex_write_begin(segment, &write_data));
    CHECK_STATUS(neocortex_read_end(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 6), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_write_abort(segment));
    CHECK_OK(neocortex_read_begin(segment, &read_data));
    CHECK_STATUS(neocortex_write_commit(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_abort(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_mark(segment, 0, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 6), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_read_end(segment));
    CHECK(check_read(segment) == 5);
    CHECK_OK(neocortex_close(segment));
}

static void *end_another_threads_guard(void *pointer)
{
    neocortex_segment *segment = pointer;
    void *data = NULL;

    CHECK_STATUS(neocortex_write_commit(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_abort(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_publish(segment, &data), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_mark(segment, 0, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_end(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
    /* Closing is refused to every thread. */
    CHECK_STATUS(neocortex_close(segment), NEOCORTEX_ERR_BUSY);
    return NULL;
}

static void a_guard_ends_on_its_thread_only(void)
{
    neocortex_segment *segment = create(8);
    const void *read_data;
    pthread_t thread;
    void *data;

    CHECK_OK(neocortex_write_begin(segment, &data));
    *(uint64_t *)data = 8;
    CHECK(pthread_create(&thread, NULL, end_another_threads_guard, segment) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(neocortex_commit_count(segment) == 0);
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 6), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_write_commit(segment));
    CHECK(check_read(segment) == 8);

    CHECK_OK(neocortex_read_begin(segment, &read_data));
    CHECK(pthread_create(&thread, NULL, end_another_threads_guard, segment) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 6), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_read_end(segment));
    CHECK_OK(neocortex_close(segment));
}

/* A thread that ends with guards rolls them back, whether it was the first to use the handle or not, and
 * one that comes after it, perhaps in the same place, starts with none. */
struct ending {
    neocortex_segment *segment;
    bool is_write;
    int nested; /* read guards held at the end */
};

static void *end_holding(void *pointer)
{
    const struct ending *ending = pointer;
    const void *read_data;
    void *data;

    /* Nothing is held yet by this thread, whoever had its place before. */
    CHECK_STATUS(neocortex_write_commit(ending->segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_end(ending->segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
    if (ending->is_write) {
        CHECK_OK(neocortex_write_begin(ending->segment, &data));
        *(uint64_t *)data = 99;
    } else {
        /* One begun and ended before, so that the straight line is taken too. */
        CHECK_OK(neocortex_read_begin(ending->segment, &read_data));
        CHECK_OK(neocortex_read_end(ending->segment));
        for (int i = 0; i < ending->nested; i++) {
            CHECK_OK(neocortex_read_begin(ending->segment, &read_data));
        }
    }
    CHECK_STATUS(neocortex_close(ending->segment), NEOCORTEX_ERR_BUSY);
    return NULL;
}

static void a_thread_that_ends_rolls_back(void)
{
    const bool nests = check_given.lock == neocortex_lock_rwlock();

    for (int is_main_first = 0; is_main_first < 2; is_main_first++) {
        neocortex_segment *segment = create(8);
        const void *read_data;
        void *data;

        check_write(segment, 5);
        if (is_main_first) { /* then the threads are not registered in the handle */
            CHECK_OK(neocortex_write_begin(segment, &data));
            CHECK_OK(neocortex_write_abort(segment));
        }
        for (int round = 0; round < 6; round++) {
            struct ending ending = {segment, round % 2 == 0, nests ? 3 : 1};
            pthread_t thread;

            CHECK(pthread_create(&thread, NULL, end_holding, &ending) == 0);
            CHECK(pthread_join(thread, NULL) == 0);
            CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 5), NEOCORTEX_OK);
            CHECK(check_read(segment) == 5);
            CHECK_OK(neocortex_read_begin(segment, &read_data));
            CHECK_OK(neocortex_read_end(segment));
        }
        CHECK_OK(neocortex_close(segment));
    }
}

/* Handles opened and closed by one thread again and again leave nothing with it. */
static void many_handles_on_one_thread(void)
{
    neocortex_segment *segments[8];
    void *data;

    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 8; i++) {
            segments[i] = create(8);
            CHECK_OK(neocortex_write_begin(segments[i], &data));
        }
        for (int i = 0; i < 8; i++) {
            CHECK_STATUS(neocortex_close(segments[i]), NEOCORTEX_ERR_BUSY);
            CHECK_OK(neocortex_write_commit(segments[i]));
            CHECK_OK(neocortex_close(segments[i]));
        }
    }
}

static void closing_while_held_is_busy_and_harmless(void)
{
    neocortex_segment *segment = create(8);
    const void *read_data;
    void *data;

    CHECK_OK(neocortex_write_begin(segment, &data));
    *(uint64_t *)data = 8;
    CHECK_STATUS(neocortex_close(segment), NEOCORTEX_ERR_BUSY);
    CHECK_STATUS(neocortex_close(segment), NEOCORTEX_ERR_BUSY);
    CHECK(check_exists(neocortex_key(segment)));
    CHECK_OK(neocortex_write_commit(segment));
    CHECK(check_read(segment) == 8);
    CHECK_OK(neocortex_read_begin(segment, &read_data));
    CHECK_STATUS(neocortex_close(segment), NEOCORTEX_ERR_BUSY);
    CHECK(*(const uint64_t *)read_data == 8);
    CHECK_OK(neocortex_read_end(segment));
    check_write(segment, 9);
    CHECK(check_read(segment) == 9);
    CHECK_OK(neocortex_close(segment));
}

static void a_second_begin_by_the_same_thread_is_busy(void)
{
    neocortex_segment *segment = create(8);
    const void *read_data = &segment;
    void *data, *second = &segment;
    uint64_t value = 4;

    check_write(segment, 5);
    CHECK_OK(neocortex_write_begin(segment, &data));
    CHECK_STATUS(neocortex_write_begin(segment, &second), NEOCORTEX_ERR_BUSY);
    CHECK_STATUS(neocortex_read_begin(segment, &read_data), NEOCORTEX_ERR_BUSY);
    CHECK_STATUS(neocortex_write(segment, &value, 8), NEOCORTEX_ERR_BUSY);
    CHECK_STATUS(neocortex_write_at(segment, 1, &value, 1), NEOCORTEX_ERR_BUSY);
    CHECK(second == &segment && read_data == &segment);
    *(uint64_t *)data = 6;
    CHECK_OK(neocortex_write_commit(segment));
    CHECK(check_read(segment) == 6);

    CHECK_OK(neocortex_read_begin(segment, &read_data));
    CHECK_STATUS(neocortex_write_begin(segment, &second), NEOCORTEX_ERR_BUSY);
    CHECK_STATUS(neocortex_write(segment, &value, 8), NEOCORTEX_ERR_BUSY);
    CHECK(second == &segment);
    CHECK_OK(neocortex_read_end(segment));
    CHECK(check_read(segment) == 6);
    CHECK_OK(neocortex_close(segment));
}

/* Nor does a thread wait for itself through another handle, although it may wait for ever. */
static void a_second_begin_through_another_handle_is_busy(void)
{
    const bool shares = check_given.lock == neocortex_lock_rwlock();
    neocortex_segment *segment = create(8), *other = check_attach(segment), *stranger = create(8);
    const void *read_data = &segment;
    void *data, *second = &segment;
    uint64_t value = 4, count = 7;

    check_write(segment, 5);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(neocortex_set_timeout(other, i == 0 ? NEOCORTEX_FOREVER : NEOCORTEX_TRY));
        CHECK_OK(neocortex_write_begin(segment, &data));
        CHECK_STATUS(neocortex_write_begin(other, &second), NEOCORTEX_ERR_BUSY);
        CHECK_STATUS(neocortex_read_begin(other, &read_data), NEOCORTEX_ERR_BUSY);
        CHECK_STATUS(neocortex_write(other, &value, 8), NEOCORTEX_ERR_BUSY);
        CHECK_STATUS(neocortex_write_at(other, 1, &value, 1), NEOCORTEX_ERR_BUSY);
        CHECK_STATUS(
            neocortex_wait(other, neocortex_commit_count(other), NEOCORTEX_FOREVER, &count),
            NEOCORTEX_ERR_BUSY
        );
        CHECK(second == &segment && read_data == &segment && count == 7);
        check_write(stranger, 8);
        CHECK_OK(neocortex_write_abort(segment));

        /* Twice: the first of a thread is counted in another place than the next. */
        for (int again = 0; again < 2; again++) {
            CHECK_OK(neocortex_read_begin(segment, &read_data));
            CHECK_STATUS(neocortex_write_begin(other, &second), NEOCORTEX_ERR_BUSY);
            CHECK_STATUS(neocortex_write(other, &value, 8), NEOCORTEX_ERR_BUSY);
            CHECK_STATUS(
                neocortex_wait(other, neocortex_commit_count(other), NEOCORTEX_FOREVER, &count),
                NEOCORTEX_ERR_BUSY
            );
            if (shares) {
                CHECK_OK(neocortex_read_begin(other, &read_data));
                CHECK_STATUS(neocortex_write(segment, &value, 8), NEOCORTEX_ERR_BUSY);
                CHECK_OK(neocortex_read_end(other));
            } else {
                read_data = &segment;
                CHECK_STATUS(neocortex_read_begin(other, &read_data), NEOCORTEX_ERR_BUSY);
                CHECK(read_data == &segment);
            }
            CHECK(second == &segment && count == 7);
            CHECK_OK(neocortex_read_end(segment));
        }
        read_data = &segment;
        CHECK(check_read(other) == 5);
    }
    check_write(other, 6);
    CHECK(check_read(segment) == 6);
    CHECK_OK(neocortex_close(stranger));
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

/* Two threads through one handle exclude one another like two processes. */
struct adding {
    neocortex_segment *segment;
    int times;
};

static void *add(void *pointer)
{
    const struct adding *adding = pointer;

    for (int i = 0; i < adding->times; i++) {
        void *data;

        CHECK_OK(neocortex_write_begin(adding->segment, &data));
        *(uint64_t *)data += 1;
        CHECK_OK(neocortex_write_commit(adding->segment));
    }
    return NULL;
}

static void threads_and_processes_exclude_one_another(void)
{
    enum { THREADS = 3, PROCESSES = 3, TIMES = 1000 };
    neocortex_segment *segment = create(8);
    struct adding adding = {segment, TIMES};
    pthread_t threads[THREADS];
    pid_t children[PROCESSES];

    for (int i = 0; i < PROCESSES; i++) {
        children[i] = check_fork();
        if (children[i] == 0) {
            adding.segment = check_attach(segment);
            add(&adding);
            CHECK_OK(neocortex_close(adding.segment));
            _exit(0);
        }
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, add, &adding) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        CHECK_CHILD(children[i]);
    }
    CHECK(check_read(segment) == (THREADS + PROCESSES) * TIMES);
    CHECK(neocortex_commit_count(segment) == (THREADS + PROCESSES) * TIMES);
    CHECK_OK(neocortex_close(segment));
}

static void timeouts_of_the_lock(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    const struct check_pipe held = check_open_pipe(), go = check_open_pipe();
    neocortex_segment *segment = create(8), *hasty;
    uint64_t value = 3;
    void *data = &value;
    pid_t child;
    int64_t began;

    child = check_fork();
    if (child == 0) {
        neocortex_segment *mine = check_attach(segment);

        CHECK_OK(neocortex_write_begin(mine, &data));
        check_tell(held);
        check_hear(go);
        CHECK_OK(neocortex_write_abort(mine));
        CHECK_OK(neocortex_close(mine));
        _exit(0);
    }
    check_hear(held);

    CHECK_OK(neocortex_set_timeout(segment, NEOCORTEX_TRY));
    CHECK_STATUS(neocortex_write(segment, &value, 8), NEOCORTEX_ERR_TIMEOUT);
    CHECK_STATUS(neocortex_write_begin(segment, &data), NEOCORTEX_ERR_TIMEOUT);
    CHECK(data == &value);
    began = check_now();
    CHECK_OK(neocortex_set_timeout(segment, 20 * CHECK_MS));
    CHECK_STATUS(neocortex_write(segment, &value, 8), NEOCORTEX_ERR_TIMEOUT);
    CHECK(check_now() - began >= 20 * CHECK_MS);

    options.timeout_ns = 20 * CHECK_MS;
    hasty = neocortex_attach_with(neocortex_key(segment), 8, &options);
    CHECK(hasty != NULL);
    began = check_now();
    CHECK_STATUS(neocortex_write_begin(hasty, &data), NEOCORTEX_ERR_TIMEOUT);
    CHECK(check_now() - began >= 20 * CHECK_MS);
    CHECK_OK(neocortex_close(hasty));

    /* It means the same as in every other place. */
    options.timeout_ns = NEOCORTEX_TRY;
    hasty = neocortex_attach_with(neocortex_key(segment), 8, &options);
    CHECK(hasty != NULL);
    CHECK_STATUS(neocortex_write_begin(hasty, &data), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_close(hasty));

    /* Of one call: the handle waits for ever, and still does after it. */
    CHECK_OK(neocortex_set_timeout(segment, NEOCORTEX_FOREVER));
    for (int64_t time = NEOCORTEX_TRY; time <= 20 * CHECK_MS; time += 20 * CHECK_MS) {
        uint64_t seen = 77;
        const void *shown = &seen;

        began = check_now();
        CHECK_STATUS(neocortex_write_for(segment, 0, &value, 8, time), NEOCORTEX_ERR_TIMEOUT);
        CHECK(check_now() - began >= time);
        began = check_now();
        CHECK_STATUS(neocortex_write_begin_for(segment, time, &data), NEOCORTEX_ERR_TIMEOUT);
        CHECK(check_now() - began >= time && data == &value);
        began = check_now();
        CHECK_STATUS(neocortex_read_begin_for(segment, time, &shown), NEOCORTEX_ERR_TIMEOUT);
        CHECK(check_now() - began >= time && shown == &seen);
        if (strcmp(neocortex_lock_name(segment), "seqlock") == 0) {
            CHECK_OK(neocortex_read_for(segment, 0, &seen, 8, time));
            CHECK(seen != 77);
        } else {
            CHECK_STATUS(neocortex_read_for(segment, 0, &seen, 8, time), NEOCORTEX_ERR_TIMEOUT);
            CHECK(seen == 77);
        }
    }
    /* And the other way round. */
    CHECK_OK(neocortex_set_timeout(segment, NEOCORTEX_TRY));
    CHECK_STATUS(neocortex_write(segment, &value, 8), NEOCORTEX_ERR_TIMEOUT);
    check_tell(go);
    CHECK_OK(neocortex_write_for(segment, 0, &value, 8, NEOCORTEX_FOREVER));
    CHECK_OK(neocortex_write_begin_for(segment, -7, &data));
    CHECK_OK(neocortex_write_abort(segment));
    CHECK_OK(neocortex_read_begin_for(segment, NEOCORTEX_TRY, (const void **)&data));
    CHECK_OK(neocortex_read_end(segment));

    CHECK_OK(neocortex_set_timeout(segment, NEOCORTEX_FOREVER));
    check_write(segment, 4);
    CHECK(check_read(segment) == 4);
    CHECK_CHILD(child);
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(held);
    check_close_pipe(go);
}

CHECK_MAIN(
    CHECK_EACH_LOCK(commit_makes_it_the_value),
    CHECK_EACH_LOCK(abort_is_as_if_nothing_happened),
    CHECK_EACH_LOCK(publish_commits_and_goes_on_holding),
    CHECK_EACH_LOCK(marks_keep_every_slot_up_to_date),
    CHECK_EACH_LOCK(a_read_guard_holds_the_value_still),
    CHECK_EACH_LOCK(read_guards_of_the_rwlock_share),
    CHECK_EACH_LOCK(ending_what_was_not_begun_is_refused),
    CHECK_EACH_LOCK(a_guard_ends_on_its_thread_only),
    CHECK_EACH_LOCK(a_thread_that_ends_rolls_back),
    CHECK_EACH_LOCK(many_handles_on_one_thread),
    CHECK_EACH_LOCK(closing_while_held_is_busy_and_harmless),
    CHECK_EACH_LOCK(a_second_begin_by_the_same_thread_is_busy),
    CHECK_EACH_LOCK(a_second_begin_through_another_handle_is_busy),
    CHECK_EACH_LOCK(threads_and_processes_exclude_one_another),
    CHECK_EACH_LOCK(timeouts_of_the_lock))
