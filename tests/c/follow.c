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

CHECK_MAIN(
    CHECK_ONCE(commits_come_once_and_in_order),
    CHECK_ONCE(what_was_overwritten_is_counted),
    CHECK_ONCE(what_is_not_valid_is_refused),
    CHECK_ONCE(followers_in_other_processes))
