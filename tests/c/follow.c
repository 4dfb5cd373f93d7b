/* Every commit in order: each once, or how many were missed; positions, batches, refusals, processes. */
#include "check.h"

static neocortex_segment *create_log(uint32_t slots)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    options.slots = slots;
    return check_create(8, &options);
}

static void commits_come_once_and_in_order(void)
{
    neocortex_segment *segment = create_log(64);
    neocortex_segment *other = check_attach(segment);
    uint64_t since = neocortex_commit_count(segment), missed = 77, values[8];
    size_t count = 77;

    CHECK_STATUS(neocortex_follow(other, &since, values, sizeof values, NEOCORTEX_TRY, &count, &missed),
                 NEOCORTEX_ERR_TIMEOUT);
    CHECK(since == 0 && count == 77 && missed == 77);
    for (uint64_t i = 1; i <= 10; i++) {
        check_write(segment, i * 100);
    }
    CHECK_OK(neocortex_follow(other, &since, values, 8, NEOCORTEX_TRY, &count, &missed));
    CHECK(since == 1 && count == 1 && missed == 0 && values[0] == 100);
    /* Whole ones alone: seven bytes are left. */
    CHECK_OK(neocortex_follow(other, &since, values, 31, NEOCORTEX_FOREVER, &count, &missed));
    CHECK(since == 4 && count == 3 && missed == 0 && values[0] == 200 && values[2] == 400);
    CHECK_OK(neocortex_follow(other, &since, values, sizeof values, NEOCORTEX_FOREVER, &count, &missed));
    CHECK(since == 10 && count == 6 && values[5] == 1000);
    CHECK_STATUS(neocortex_follow(other, &since, values, sizeof values, 1, &count, &missed), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

static void what_was_overwritten_is_counted(void)
{
    static const uint32_t slots[] = {2, 3, 8, 9, 1000, 65536};

    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        neocortex_segment *segment = create_log(slots[i]);
        const uint64_t last = slots[i] + (uint64_t)20;
        uint64_t since = 5, missed = 0, value = 0;
        size_t count = 0;

        for (uint64_t number = 1; number <= last; number++) {
            check_write(segment, number);
        }
        CHECK(neocortex_kept_since(segment) == 20);
        CHECK_OK(neocortex_follow(segment, &since, &value, sizeof value, NEOCORTEX_TRY, &count, &missed));
        CHECK(count == 1 && missed == 15 && since == 21 && value == 21);
        since = neocortex_kept_since(segment);
        for (uint64_t number = 21; number <= last; number++) {
            CHECK_OK(neocortex_follow(segment, &since, &value, sizeof value, NEOCORTEX_TRY, &count, &missed));
            CHECK(count == 1 && missed == 0 && since == number && value == number);
        }
        CHECK_OK(neocortex_close(segment));
    }
    CHECK(neocortex_kept_since(NULL) == 0);
}

static void what_is_not_valid_is_refused(void)
{
    neocortex_segment *segment = create_log(4);
    uint64_t since = 3, missed = 77, value = 77;
    size_t count = 77;
    void *data;

    check_write(segment, 1);
    /* A position of another cortex, which had this key before. */
    CHECK_STATUS(neocortex_follow(segment, &since, &value, 8, NEOCORTEX_FOREVER, &count, &missed),
                 NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(strstr(neocortex_last_message(), "ahead of version 1") != NULL);
    since = 0;
    CHECK_STATUS(neocortex_follow(NULL, &since, &value, 8, NEOCORTEX_TRY, &count, &missed),
                 NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_follow(segment, NULL, &value, 8, NEOCORTEX_TRY, &count, &missed),
                 NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_follow(segment, &since, NULL, 8, NEOCORTEX_TRY, &count, &missed),
                 NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_follow(segment, &since, &value, 7, NEOCORTEX_TRY, &count, &missed),
                 NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_follow(segment, &since, &value, 8, NEOCORTEX_TRY, NULL, &missed),
                 NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_follow(segment, &since, &value, 8, NEOCORTEX_TRY, &count, NULL),
                 NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(since == 0 && count == 77 && missed == 77 && value == 77);
    since = 1;
    CHECK_OK(neocortex_write_begin(segment, &data));
    CHECK_STATUS(neocortex_follow(segment, &since, &value, 8, NEOCORTEX_FOREVER, &count, &missed), NEOCORTEX_ERR_BUSY);
    CHECK_OK(neocortex_write_abort(segment));
    CHECK_OK(neocortex_stop_waits(segment));
    CHECK_STATUS(neocortex_follow(segment, &since, &value, 8, NEOCORTEX_FOREVER, &count, &missed),
                 NEOCORTEX_ERR_INTERRUPTED);
    CHECK_OK(neocortex_resume_waits(segment));
    CHECK_OK(neocortex_remove(neocortex_key(segment)));
    since = 0;
    CHECK_OK(neocortex_follow(segment, &since, &value, 8, NEOCORTEX_FOREVER, &count, &missed));
    CHECK(value == 1);
    CHECK_STATUS(neocortex_follow(segment, &since, &value, 8, NEOCORTEX_FOREVER, &count, &missed),
                 NEOCORTEX_ERR_REMOVED);
    CHECK_OK(neocortex_close(segment));
}

/* One process writes, two follow it: one as a participant, one with read permission alone. */
static void followers_in_other_processes(void)
{
    enum { LAST = 200000 };
    neocortex_segment *segment = create_log(1024);
    pid_t children[2];

    for (int i = 0; i < 2; i++) {
        children[i] = check_fork();
        if (children[i] == 0) {
            neocortex_options options = NEOCORTEX_OPTIONS_INIT;
            neocortex_segment *mine;
            uint64_t since = 0, got = 0, lost = 0, missed = 0, values[50];
            size_t count = 0;

            options.flags = i == 0 ? 0 : NEOCORTEX_READ_ONLY;
            mine = neocortex_attach_with(neocortex_key(segment), 8, &options);
            CHECK(mine != NULL);
            while (since < LAST) {
                CHECK_OK(neocortex_follow(mine, &since, values, sizeof values, NEOCORTEX_FOREVER, &count, &missed));
                lost += missed;
                for (size_t k = 0; k < count; k++) {
                    got++;
                    CHECK(values[k] == got + lost);
                }
                CHECK(since == got + lost);
            }
            CHECK(got > 0);
            CHECK_OK(neocortex_close(mine));
            _exit(0);
        }
    }
    for (uint64_t number = 1; number <= LAST; number++) {
        check_write(segment, number);
    }
    CHECK_CHILD(children[0]);
    CHECK_CHILD(children[1]);
    CHECK_OK(neocortex_close(segment));
}

static neocortex_segment *create_records(size_t size, uint32_t slots)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    options.slots = slots;
    options.flags = NEOCORTEX_RECORDS;
    return check_create(size, &options);
}

static void records_have_their_own_length(void)
{
    neocortex_segment *segment = create_records(100, 16);
    neocortex_segment *other = check_attach(segment);
    char buffer[100];
    size_t length = 77;
    uint64_t since = 0, missed = 77;

    CHECK(neocortex_has_records(segment) && neocortex_has_records(other) && neocortex_size(other) == 100);
    CHECK(!neocortex_has_records(NULL));
    CHECK_OK(neocortex_read_record(other, NULL, 0, &length));
    CHECK(length == 0);
    CHECK_OK(neocortex_push(segment, "hello", 5, NEOCORTEX_FOREVER));
    CHECK_OK(neocortex_push(segment, NULL, 0, NEOCORTEX_TRY));
    CHECK_OK(neocortex_push(segment, "{\"ready\": true}", 15, 1000));
    CHECK_OK(neocortex_read_record(other, buffer, sizeof buffer, &length));
    CHECK(length == 15 && memcmp(buffer, "{\"ready\": true}", 15) == 0);

    /* Too small: it tells how much is needed, and nothing is lost. */
    CHECK_STATUS(neocortex_read_record(other, buffer, 14, &length), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(length == 15);
    CHECK_STATUS(neocortex_next_record(other, &since, buffer, 4, NEOCORTEX_TRY, &length, &missed),
                 NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(length == 5 && since == 0 && missed == 77);
    CHECK_OK(neocortex_next_record(other, &since, buffer, 5, NEOCORTEX_TRY, &length, &missed));
    CHECK(length == 5 && since == 1 && missed == 0 && memcmp(buffer, "hello", 5) == 0);
    CHECK_OK(neocortex_next_record(other, &since, NULL, 0, NEOCORTEX_FOREVER, &length, &missed));
    CHECK(length == 0 && since == 2 && missed == 0);
    CHECK_OK(neocortex_next_record(other, &since, buffer, sizeof buffer, 1000, &length, &missed));
    CHECK(length == 15 && since == 3 && missed == 0);
    CHECK_STATUS(neocortex_next_record(other, &since, buffer, sizeof buffer, 1000, &length, &missed),
                 NEOCORTEX_ERR_TIMEOUT);
    CHECK(length == 15 && since == 3 && missed == 0);
    for (int i = 0; i < 40; i++) {
        CHECK_OK(neocortex_push(segment, buffer, (size_t)i, NEOCORTEX_FOREVER));
    }
    CHECK_OK(neocortex_next_record(other, &since, buffer, sizeof buffer, NEOCORTEX_TRY, &length, &missed));
    CHECK(since == 3 + 1 + missed && length == missed && missed >= 24);
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

static void values_and_records_are_not_confused(void)
{
    neocortex_segment *records = create_records(8, 4), *value = create_log(4), *reader;
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    uint64_t since = 0, missed, number = 1;
    size_t length = 0, count;
    const void *seen;
    void *next;

    CHECK_STATUS(neocortex_write(records, &number, 8), NEOCORTEX_ERR_UNSUPPORTED);
    CHECK_STATUS(neocortex_read(records, &number, 8), NEOCORTEX_ERR_UNSUPPORTED);
    CHECK_STATUS(neocortex_write_begin(records, &next), NEOCORTEX_ERR_UNSUPPORTED);
    CHECK_STATUS(neocortex_overwrite_begin(records, NEOCORTEX_TRY, &next), NEOCORTEX_ERR_UNSUPPORTED);
    CHECK_STATUS(neocortex_read_begin(records, &seen), NEOCORTEX_ERR_UNSUPPORTED);
    CHECK_OK(neocortex_push(records, "x", 1, NEOCORTEX_TRY));
    CHECK_STATUS(neocortex_follow(records, &since, &number, 8, NEOCORTEX_TRY, &count, &missed),
                 NEOCORTEX_ERR_UNSUPPORTED);
    CHECK_STATUS(neocortex_push(records, "123456789", 9, NEOCORTEX_TRY), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_push(records, NULL, 1, NEOCORTEX_TRY), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_push(NULL, "x", 1, NEOCORTEX_TRY), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_push(value, "x", 1, NEOCORTEX_TRY), NEOCORTEX_ERR_UNSUPPORTED);
    CHECK_STATUS(neocortex_read_record(value, &number, 8, &length), NEOCORTEX_ERR_UNSUPPORTED);
    CHECK_STATUS(neocortex_next_record(value, &since, &number, 8, NEOCORTEX_TRY, &length, &missed),
                 NEOCORTEX_ERR_UNSUPPORTED);
    CHECK_STATUS(neocortex_read_record(records, NULL, 8, &length), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_record(records, &number, 8, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_next_record(records, NULL, &number, 8, NEOCORTEX_TRY, &length, &missed),
                 NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_next_record(records, &since, &number, 8, NEOCORTEX_TRY, NULL, &missed),
                 NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_next_record(records, &since, &number, 8, NEOCORTEX_TRY, &length, NULL),
                 NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(length == 0 && since == 0 && neocortex_commit_count(records) == 1 && neocortex_commit_count(value) == 0);

    options.flags = NEOCORTEX_READ_ONLY;
    reader = neocortex_attach_with(neocortex_key(records), 8, &options);
    CHECK(reader != NULL && neocortex_has_records(reader));
    CHECK_OK(neocortex_read_record(reader, &number, 8, &length));
    CHECK(length == 1 && *(char *)&number == 'x');
    CHECK_STATUS(neocortex_push(reader, "x", 1, NEOCORTEX_TRY), NEOCORTEX_ERR_READ_ONLY);
    CHECK_OK(neocortex_next_record(reader, &since, &number, 8, NEOCORTEX_TRY, &length, &missed));
    CHECK(length == 1 && since == 1 && missed == 0);
    CHECK_OK(neocortex_close(reader));
    CHECK_OK(neocortex_close(value));
    CHECK_OK(neocortex_close(records));
}

/* Each commit is read before it is overwritten, or the writer is told that there is no room. */
static void writers_wait_for_a_registered_follower(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment, *other, *reader;
    uint64_t since = 0, missed = 77, values[4], number = 9;
    size_t count = 0;
    pid_t child;

    options.slots = 4;
    options.flags = NEOCORTEX_LOSSLESS;
    segment = check_create(8, &options);
    other = check_attach(segment);
    CHECK(neocortex_is_lossless(segment) && neocortex_is_lossless(other) && !neocortex_is_lossless(NULL));
    CHECK_OK(neocortex_unregister_follower(other));
    CHECK_OK(neocortex_register_follower(other, 0));
    CHECK_STATUS(neocortex_register_follower(other, 0), NEOCORTEX_ERR_BUSY);
    for (uint64_t i = 1; i <= 4; i++) {
        check_write(segment, i);
    }
    CHECK_STATUS(neocortex_write_for(segment, 0, &number, 8, NEOCORTEX_TRY), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_follow(other, &since, values, 16, NEOCORTEX_TRY, &count, &missed));
    CHECK(count == 2 && since == 2 && missed == 0 && values[1] == 2);
    check_write(segment, 5);
    check_write(segment, 6);
    CHECK_STATUS(neocortex_write_for(segment, 0, &number, 8, 1000), NEOCORTEX_ERR_TIMEOUT);

    child = check_fork();
    if (child == 0) {
        /* Waits until its parent has read. */
        for (uint64_t i = 7; i <= 1000; i++) {
            CHECK_OK(neocortex_write_for(segment, 0, &i, 8, NEOCORTEX_FOREVER));
        }
        _exit(0);
    }
    while (since < 1000) {
        CHECK_OK(neocortex_follow(other, &since, values, sizeof values, NEOCORTEX_FOREVER, &count, &missed));
        CHECK(missed == 0 && values[count - 1] == since);
    }
    CHECK_CHILD(child);
    for (uint64_t i = 0; i < 4; i++) {
        check_write(segment, i);
    }
    CHECK_STATUS(neocortex_write_for(segment, 0, &number, 8, NEOCORTEX_TRY), NEOCORTEX_ERR_TIMEOUT);
    CHECK_OK(neocortex_unregister_follower(other));
    check_write(segment, 1);
    CHECK_OK(neocortex_register_follower(other, 1005));
    CHECK_OK(neocortex_close(other));
    for (uint64_t i = 0; i < 9; i++) {
        check_write(segment, i);
    }

    options.flags = NEOCORTEX_READ_ONLY;
    reader = neocortex_attach_with(neocortex_key(segment), 8, &options);
    CHECK(reader != NULL && neocortex_is_lossless(reader));
    CHECK_STATUS(neocortex_register_follower(reader, 0), NEOCORTEX_ERR_READ_ONLY);
    CHECK_STATUS(neocortex_register_follower(NULL, 0), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_OK(neocortex_close(reader));
    CHECK_OK(neocortex_close(segment));
    segment = create_log(4);
    CHECK_STATUS(neocortex_register_follower(segment, 0), NEOCORTEX_ERR_UNSUPPORTED);
    CHECK_OK(neocortex_close(segment));
}

CHECK_MAIN(
    CHECK_ONCE(commits_come_once_and_in_order),
    CHECK_ONCE(what_was_overwritten_is_counted),
    CHECK_ONCE(what_is_not_valid_is_refused),
    CHECK_ONCE(records_have_their_own_length),
    CHECK_ONCE(values_and_records_are_not_confused),
    CHECK_ONCE(writers_wait_for_a_registered_follower),
    CHECK_ONCE(followers_in_other_processes))
