/* The in-place layout: a write that does not end poisons the value, and what heals it. For each lock. */
#include "check.h"

static neocortex_segment *create(size_t size)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    options.lock = check_given.lock;
    options.flags = NEOCORTEX_IN_PLACE;
    return check_create(size, &options);
}

static void works_like_the_other_layout(void)
{
    neocortex_segment *segment = create(16), *other = check_attach(segment);
    unsigned char bytes[16], zero[16] = {0};
    void *data;

    CHECK_OK(neocortex_read(other, bytes, 16));
    CHECK(memcmp(bytes, zero, 16) == 0);
    CHECK(neocortex_commit_count(other) == 0);
    CHECK_OK(neocortex_write_at(segment, 3, "abc", 3));
    CHECK_OK(neocortex_read_at(other, 3, bytes, 3));
    CHECK(memcmp(bytes, "abc", 3) == 0);
    CHECK_OK(neocortex_write_begin(other, &data));
    CHECK(memcmp((char *)data + 3, "abc", 3) == 0);
    memcpy((char *)data + 4, "x", 1);
    CHECK_OK(neocortex_write_commit(other));
    CHECK_OK(neocortex_read_at(segment, 3, bytes, 3));
    CHECK(memcmp(bytes, "axc", 3) == 0);
    CHECK(neocortex_commit_count(segment) == 2);
    CHECK(!neocortex_is_poisoned(segment));
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

static void publish_is_unsupported(void)
{
    neocortex_segment *segment = create(8);
    void *data, *next = NULL;

    CHECK_OK(neocortex_write_begin(segment, &data));
    *(uint64_t *)data = 3;
    CHECK_STATUS(neocortex_write_publish(segment, &next), NEOCORTEX_ERR_UNSUPPORTED);
    CHECK(next == NULL);
    CHECK(neocortex_commit_count(segment) == 0);
    /* The guard holds on. */
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 1), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_write_commit(segment));
    CHECK(check_read(segment) == 3);
    CHECK_OK(neocortex_close(segment));
}

/* Poisoned: everything that needs the value says so, and the lock is free each time. */
static void is_poisoned(neocortex_segment *segment)
{
    uint64_t value = 77;
    const void *read_data = &value;
    void *write_data = &value;

    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(neocortex_read(segment, &value, 8), NEOCORTEX_ERR_POISONED);
        CHECK_STATUS(neocortex_read_at(segment, 1, &value, 1), NEOCORTEX_ERR_POISONED);
        CHECK_STATUS(neocortex_read_begin(segment, &read_data), NEOCORTEX_ERR_POISONED);
        CHECK_STATUS(neocortex_write_begin(segment, &write_data), NEOCORTEX_ERR_POISONED);
        CHECK_STATUS(neocortex_write_at(segment, 1, &value, 1), NEOCORTEX_ERR_POISONED);
        CHECK_STATUS(neocortex_write_commit(segment), NEOCORTEX_ERR_INVALID_ARGUMENT); /* nothing was begun */
    }
    CHECK(value == 77 && read_data == &value && write_data == &value);
    CHECK(neocortex_is_poisoned(segment));
}

static void an_abort_poisons_and_clear_poison_heals(void)
{
    neocortex_segment *segment = create(8), *other = check_attach(segment);
    void *data;

    check_write(segment, 5);
    CHECK_OK(neocortex_write_begin(segment, &data));
    *(uint64_t *)data = 6;
    CHECK_OK(neocortex_write_abort(segment));
    is_poisoned(segment);
    is_poisoned(other);
    CHECK_OK(neocortex_clear_poison(other));
    CHECK(!neocortex_is_poisoned(segment));
    CHECK(check_read(segment) == 6); /* the bytes as they were left */
    check_write(segment, 7);
    CHECK(check_read(other) == 7);
    CHECK_OK(neocortex_clear_poison(segment)); /* nothing to heal: fine */
    CHECK(check_read(other) == 7);
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

static void a_killed_writer_poisons_and_a_whole_write_heals(void)
{
    neocortex_segment *segment = create(8);
    const struct check_pipe held = check_open_pipe();
    pid_t child;

    for (int i = 0; i < 5; i++) {
        check_write(segment, 5);
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
        check_kill(child);
        is_poisoned(segment);
        check_write(segment, 8); /* the whole value: nothing of the old is needed */
        CHECK(!neocortex_is_poisoned(segment));
        CHECK(check_read(segment) == 8);
    }
    /* Healed by clear_poison as well. */
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
    check_kill(child);
    is_poisoned(segment);
    CHECK_OK(neocortex_clear_poison(segment));
    CHECK(check_read(segment) == 99);
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(held);
}

/* A writer that does nothing but be there is waited for, not called poisoned. */
static void a_live_writer_is_not_poison(void)
{
    neocortex_segment *segment = create(8), *other = check_attach(segment);
    uint64_t value = 3;
    void *data;

    check_write(segment, 5);
    CHECK_OK(neocortex_set_timeout(other, 5 * CHECK_MS));
    CHECK_OK(neocortex_write_begin(segment, &data));
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 3), NEOCORTEX_ERR_TIMEOUT);
    CHECK_STATUS(neocortex_write(other, &value, 8), NEOCORTEX_ERR_BUSY);
    CHECK_STATUS(neocortex_read(other, &value, 8), NEOCORTEX_ERR_BUSY);
    CHECK_STATUS(neocortex_clear_poison(other), NEOCORTEX_ERR_BUSY);
    CHECK(value == 3);
    *(uint64_t *)data = 6;
    CHECK_OK(neocortex_write_commit(segment));
    CHECK(check_read(other) == 6);
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

CHECK_MAIN(
    CHECK_EACH_LOCK(works_like_the_other_layout),
    CHECK_EACH_LOCK(publish_is_unsupported),
    CHECK_EACH_LOCK(an_abort_poisons_and_clear_poison_heals),
    CHECK_EACH_LOCK(a_killed_writer_poisons_and_a_whole_write_heals),
    CHECK_EACH_LOCK(a_live_writer_is_not_poison))
