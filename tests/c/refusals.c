/* What every function refuses, and that a refusal changes nothing. */
#include "check.h"

static const char untouched[] = "untouched";

static void null_is_refused_everywhere(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    uint64_t count = 77;
    uint32_t alive = 77, limit = 77;
    const void *read_data = untouched;
    void *write_data = &count;
    char buffer[8] = "keep";

    CHECK_OK(neocortex_close(NULL));
    CHECK_STATUS(neocortex_read(NULL, buffer, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_at(NULL, 0, buffer, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write(NULL, buffer, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_at(NULL, 0, buffer, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_begin(NULL, &read_data), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_end(NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_begin(NULL, &write_data), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_for(NULL, 0, buffer, 8, 1), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_for(NULL, 0, buffer, 8, 1), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_begin_for(NULL, 1, &read_data), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_begin_for(NULL, 1, &write_data), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_overwrite_begin(NULL, 1, &write_data), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_versioned(NULL, buffer, 8, &count), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_commit(NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_abort(NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_publish(NULL, &write_data), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_mark(NULL, 0, 1), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait(NULL, 0, NEOCORTEX_TRY, &count), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_interrupt(NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_clear_poison(NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_persist(NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_set_timeout(NULL, 1), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_participants(NULL, &alive, &limit), NEOCORTEX_ERR_INVALID_ARGUMENT);

    CHECK_STATUS(neocortex_read(segment, NULL, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_at(segment, 0, NULL, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write(segment, NULL, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_at(segment, 0, NULL, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_begin(segment, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_begin(segment, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_for(segment, 0, NULL, 8, 1), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_for(segment, 0, NULL, 8, 1), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read_begin_for(segment, 1, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write_begin_for(segment, 1, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_wait(segment, 0, NEOCORTEX_TRY, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_participants(segment, NULL, &limit), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_participants(segment, &alive, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);

    /* What cannot fail answers something harmless. */
    CHECK(neocortex_key(NULL) == 0);
    CHECK(neocortex_size(NULL) == 0);
    CHECK(neocortex_commit_count(NULL) == 0);
    CHECK(neocortex_schema(NULL) == 0);
    CHECK(!neocortex_is_owner(NULL));
    CHECK(!neocortex_was_created(NULL));
    CHECK(!neocortex_is_poisoned(NULL));
    CHECK(!neocortex_is_removed(NULL));
    (void)neocortex_lock_name(NULL);
    CHECK(neocortex_site_key(NULL) == 0);
    CHECK(neocortex_site_memory(NULL) == NULL);
    CHECK(neocortex_site_mode(NULL) == 0);
    CHECK(neocortex_site_participant(NULL) == 0);
    (void)neocortex_site_is_alive(NULL, 1);

    /* Outputs are written on success only, and nothing was held or written. */
    CHECK(count == 77 && alive == 77 && limit == 77);
    CHECK(read_data == untouched && write_data == &count);
    CHECK(strcmp(buffer, "keep") == 0);
    CHECK(neocortex_commit_count(segment) == 0);
    CHECK_STATUS(check_stranger_writes(neocortex_key(segment), 1), NEOCORTEX_OK);
    CHECK_OK(neocortex_close(segment));
}

static void key_zero_and_size_zero_are_refused(void)
{
    CHECK_NULL(neocortex_create(0, 8, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_NULL(neocortex_create(check_key(), 0, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_NULL(neocortex_attach(0, 8), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_remove(0), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_reclaim(0), NEOCORTEX_ERR_INVALID_ARGUMENT);
}

static void sizes_that_overflow_are_refused(void)
{
    /* An eighth is half a gigabyte with 32-bit addresses, which can be had. */
    static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2, SIZE_MAX / 2 - 64,
                                  sizeof(size_t) > 4 ? SIZE_MAX / 8 : SIZE_MAX / 2};

    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        const int32_t key = check_key();

        /* Too large to compute with, or the kernel says no: either way nothing is left. */
        CHECK(neocortex_create(key, huge[i], NULL) == NULL);
        CHECK(neocortex_last_status() == NEOCORTEX_ERR_INVALID_ARGUMENT ||
              neocortex_last_status() == NEOCORTEX_ERR_CLEAN_SYSTEM);
        CHECK(!check_exists(key));
    }
}

static void creating_twice_is_eexist(void)
{
    neocortex_segment *segment = check_create(8, NULL);

    check_write(segment, 3);
    CHECK_NULL(neocortex_create(neocortex_key(segment), 8, NULL), NEOCORTEX_ERR_CLEAN_SYSTEM);
    CHECK(neocortex_last_os_error() == EEXIST);
    CHECK(check_read(segment) == 3);
    CHECK_OK(neocortex_close(segment));
}

static void attaching_to_nothing_is_enoent(void)
{
    const int32_t key = check_key();
    char key_text[16];

    CHECK_NULL(neocortex_attach(key, 8), NEOCORTEX_ERR_CLEAN_SYSTEM);
    CHECK(neocortex_last_os_error() == ENOENT);
    snprintf(key_text, sizeof key_text, "%ld", (long)key);
    CHECK(strstr(neocortex_last_message(), key_text) != NULL);
    CHECK(!check_exists(key));
}

static void foreign_segments_are_not_touched(void)
{
    static const size_t sizes[] = {1, 8, 64, 4096, 100000};
    neocortex_options adopt = NEOCORTEX_OPTIONS_INIT, replace = NEOCORTEX_OPTIONS_INIT;
    neocortex_options observe = NEOCORTEX_OPTIONS_INIT;

    adopt.flags = NEOCORTEX_FORCE_OWNERSHIP;
    replace.flags = NEOCORTEX_REPLACE_STALE;
    observe.flags = NEOCORTEX_READ_ONLY;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int32_t key = check_key();
        const int id = shmget((key_t)key, sizes[i], IPC_CREAT | IPC_EXCL | 0600);
        unsigned char *memory;

        CHECK(id >= 0);
        memory = shmat(id, NULL, 0);
        CHECK(memory != (void *)-1);
        memset(memory, 0xa5, sizes[i]);
        CHECK_NULL(neocortex_attach(key, 8), NEOCORTEX_ERR_NOT_A_CORTEX);
        CHECK_NULL(neocortex_attach(key, 0), NEOCORTEX_ERR_NOT_A_CORTEX);
        CHECK_NULL(neocortex_attach_with(key, 8, &observe), NEOCORTEX_ERR_NOT_A_CORTEX);
        CHECK(neocortex_create(key, 8, &adopt) == NULL);
        CHECK(neocortex_create(key, 8, &replace) == NULL);
        CHECK(neocortex_remove(key) != NEOCORTEX_OK);
        CHECK(neocortex_reclaim(key) != NEOCORTEX_OK);
        CHECK(shmget((key_t)key, 0, 0) == id);
        for (size_t j = 0; j < sizes[i]; j++) {
            CHECK(memory[j] == 0xa5);
        }
        CHECK(check_stat(key).shm_nattch == 1);
        CHECK(shmdt(memory) == 0);
        CHECK(shmctl(id, IPC_RMID, NULL) == 0);
    }
}

static void another_layout_is_refused(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment, *other;
    int32_t key;
    void *data;

    options.schema = 7;
    segment = check_create(24, &options);
    key = neocortex_key(segment);
    CHECK(neocortex_schema(segment) == 7);
    CHECK_NULL(neocortex_attach(key, 23), NEOCORTEX_ERR_LAYOUT);
    CHECK_NULL(neocortex_attach(key, 25), NEOCORTEX_ERR_LAYOUT);
    CHECK_NULL(neocortex_attach(key, SIZE_MAX), NEOCORTEX_ERR_LAYOUT);
    other = neocortex_attach_with(key, 24, &options);
    CHECK(other != NULL);
    CHECK(neocortex_schema(other) == 7);
    CHECK_OK(neocortex_close(other));
    other = neocortex_attach(key, 24); /* asks for none: takes any */
    CHECK(other != NULL);
    CHECK(neocortex_schema(other) == 7);
    CHECK_OK(neocortex_close(other));
    options.schema = 8;
    CHECK_NULL(neocortex_attach_with(key, 24, &options), NEOCORTEX_ERR_LAYOUT);
    options.schema = UINT64_MAX;
    CHECK_NULL(neocortex_attach_with(key, 24, &options), NEOCORTEX_ERR_LAYOUT);

    /* A segment of default alignment may not be attached to as one of 4096. */
    options.schema = 0;
    options.align = 4096;
    CHECK_NULL(neocortex_attach_with(key, 24, &options), NEOCORTEX_ERR_LAYOUT);
    CHECK(check_stat(key).shm_nattch == 1);
    CHECK_OK(neocortex_close(segment));

    /* 8 bytes lie beside the commit counters, if nothing above 16 is asked for. */
    for (uint32_t align = 16; align <= 8192; align *= 2) {
        const size_t size = align <= 4096 ? 24 : 8;

        options.align = align <= 4096 ? align : 16;
        segment = check_create(size, &options);
        other = neocortex_attach_with(neocortex_key(segment), size, &options);
        CHECK(other != NULL);
        for (int i = 0; i < 4; i++) {
            CHECK_OK(neocortex_write_begin(other, &data));
            CHECK((uintptr_t)data % options.align == 0);
            CHECK_OK(neocortex_write_commit(other));
        }
        CHECK_OK(neocortex_close(other));
        CHECK_OK(neocortex_close(segment));
    }
}

static void another_lock_is_refused(void)
{
    for (int i = 0; i < CHECK_LOCKS; i++) {
        neocortex_options options = NEOCORTEX_OPTIONS_INIT;
        neocortex_segment *segment;

        options.lock = check_lock(i);
        if (options.lock == NULL) {
            continue;
        }
        segment = check_create(8, &options);
        CHECK(strcmp(neocortex_lock_name(segment), options.lock->name) == 0);
        for (int j = 0; j < CHECK_LOCKS; j++) {
            neocortex_segment *other;

            options.lock = check_lock(j);
            if (options.lock == NULL) {
                continue;
            }
            other = neocortex_attach_with(neocortex_key(segment), 8, &options);
            CHECK((other != NULL) == (i == j));
            if (other == NULL) {
                CHECK(neocortex_last_status() == NEOCORTEX_ERR_LOCK);
            } else {
                check_write(other, 4);
                CHECK(check_read(segment) == 4);
            }
            CHECK_OK(neocortex_close(other));
        }
        CHECK_OK(neocortex_close(segment));
    }
}

CHECK_MAIN(
    CHECK_ONCE(null_is_refused_everywhere),
    CHECK_ONCE(key_zero_and_size_zero_are_refused),
    CHECK_ONCE(sizes_that_overflow_are_refused),
    CHECK_ONCE(creating_twice_is_eexist),
    CHECK_ONCE(attaching_to_nothing_is_enoent),
    CHECK_ONCE(foreign_segments_are_not_touched),
    CHECK_ONCE(another_layout_is_refused),
    CHECK_ONCE(another_lock_is_refused))
