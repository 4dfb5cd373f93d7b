/* Every function of the C interface: what it does, and what it refuses. */
#include "check.h"

static const char untouched[] = "untouched";

/* Attributes of the shared memory under a key, from the kernel. */
static struct shmid_ds stat_of(int32_t key)
{
    struct shmid_ds found;
    const int id = shmget((key_t)key, 0, 0);

    CHECK(id >= 0);
    CHECK(shmctl(id, IPC_STAT, &found) == 0);
    return found;
}

/* --------------------------------------------------------------------------------- life of a segment */

static void create_gives_zeroed_owned_segment(void)
{
    const int32_t key = check_key();
    neocortex_segment *segment = neocortex_create(key, 100, NULL);
    unsigned char bytes[100];
    uint32_t alive = 0, limit = 0;

    CHECK(segment != NULL);
    CHECK(neocortex_key(segment) == key);
    CHECK(neocortex_size(segment) == 100);
    CHECK(neocortex_commit_count(segment) == 0);
    CHECK(neocortex_is_owner(segment));
    CHECK(neocortex_was_created(segment));
    CHECK(!neocortex_is_poisoned(segment));
    CHECK(!neocortex_is_removed(segment));
    CHECK(neocortex_schema(segment) == 0);
    CHECK(neocortex_lock_name(segment) != NULL);
    CHECK(strcmp(neocortex_lock_name(segment), neocortex_lock_seqlock()->name) == 0);
    CHECK_OK(neocortex_participants(segment, &alive, &limit));
    CHECK(alive >= 1);
    CHECK(limit == 128);
    memset(bytes, 1, sizeof bytes);
    CHECK_OK(neocortex_read(segment, bytes, sizeof bytes));
    for (size_t i = 0; i < sizeof bytes; i++) {
        CHECK(bytes[i] == 0);
    }
    CHECK_OK(neocortex_close(segment));
    CHECK(!check_exists(key));
}

static void attach_sees_and_changes_the_same_value(void)
{
    neocortex_segment *owner = check_create(8, NULL);
    neocortex_segment *other = check_attach(owner);
    neocortex_segment *any = neocortex_attach(neocortex_key(owner), 0);

    CHECK(any != NULL);
    CHECK(neocortex_size(any) == 8);
    CHECK(!neocortex_is_owner(other));
    CHECK(!neocortex_was_created(other));
    check_write(owner, 42);
    CHECK(check_read(other) == 42);
    CHECK(neocortex_commit_count(other) == 1);
    check_write(other, 43);
    CHECK(check_read(owner) == 43);
    CHECK(check_read(any) == 43);
    CHECK(neocortex_commit_count(owner) == 2);
    CHECK_OK(neocortex_close(other));
    CHECK(check_exists(neocortex_key(owner)));
    CHECK(check_read(owner) == 43);
    CHECK_OK(neocortex_close(any));
    CHECK_OK(neocortex_close(owner));
}

static void remove_by_key(void)
{
    neocortex_segment *owner = check_create(8, NULL);
    const int32_t key = neocortex_key(owner);

    CHECK_OK(neocortex_remove(key));
    CHECK(!check_exists(key));
    CHECK(neocortex_is_removed(owner));
    CHECK_STATUS(neocortex_remove(key), NEOCORTEX_ERR_CLEAN_SYSTEM);
    CHECK(neocortex_last_os_error() == ENOENT);
    CHECK_OK(neocortex_close(owner));
}

static void persist_keeps_it(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment;
    int32_t key;

    /* By flag. */
    options.flags = NEOCORTEX_PERSIST;
    segment = check_create(8, &options);
    key = neocortex_key(segment);
    check_write(segment, 7);
    CHECK_OK(neocortex_close(segment));
    CHECK(check_exists(key));
    segment = neocortex_attach(key, 8);
    CHECK(segment != NULL);
    CHECK(check_read(segment) == 7);
    CHECK_OK(neocortex_close(segment));
    CHECK(check_exists(key));
    CHECK_OK(neocortex_remove(key));
    CHECK(!check_exists(key));

    /* By call. */
    segment = check_create(8, NULL);
    key = neocortex_key(segment);
    CHECK_OK(neocortex_persist(segment));
    CHECK_OK(neocortex_close(segment));
    CHECK(check_exists(key));
    CHECK_OK(neocortex_remove(key));
}

static void force_ownership_adopts(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment = check_create(8, NULL);
    const int32_t key = neocortex_key(segment);

    CHECK_OK(neocortex_persist(segment));
    check_write(segment, 5);
    CHECK_OK(neocortex_close(segment));
    options.flags = NEOCORTEX_FORCE_OWNERSHIP;
    segment = neocortex_create(key, 8, &options);
    CHECK(segment != NULL);
    CHECK(neocortex_is_owner(segment));
    CHECK(!neocortex_was_created(segment));
    CHECK(check_read(segment) == 5);
    CHECK_OK(neocortex_close(segment));
    CHECK(!check_exists(key));

    /* With nothing there it creates. */
    segment = neocortex_create(key, 8, &options);
    CHECK(segment != NULL);
    CHECK(neocortex_was_created(segment));
    CHECK_OK(neocortex_close(segment));
}

static void replace_stale_replaces_the_dead_only(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment = check_create(8, NULL);
    const int32_t key = neocortex_key(segment);

    options.flags = NEOCORTEX_REPLACE_STALE;
    check_write(segment, 5);
    CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_BUSY);
    CHECK(check_read(segment) == 5);
    CHECK(check_exists(key));
    CHECK_OK(neocortex_persist(segment));
    CHECK_OK(neocortex_close(segment));

    segment = neocortex_create(key, 8, &options);
    CHECK(segment != NULL);
    CHECK(neocortex_was_created(segment));
    CHECK(neocortex_commit_count(segment) == 0);
    CHECK(check_read(segment) == 0);
    CHECK_OK(neocortex_close(segment));
    CHECK(!check_exists(key));
}

static void replace_stale_replaces_what_a_killed_owner_left(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    const struct check_pipe ready = check_open_pipe();
    const int32_t key = check_key();
    const pid_t child = check_fork();
    neocortex_segment *segment;

    if (child == 0) {
        CHECK(neocortex_create(key, 24, NULL) != NULL);
        check_tell(ready);
        check_stay();
    }
    check_hear(ready);
    check_kill(child);
    CHECK(check_exists(key));
    options.flags = NEOCORTEX_REPLACE_STALE;
    segment = neocortex_create(key, 8, &options);
    CHECK(segment != NULL);
    CHECK(neocortex_size(segment) == 8);
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(ready);
}

static void reclaim_removes_what_a_killed_owner_left(void)
{
    const struct check_pipe ready = check_open_pipe();
    const int32_t key = check_key();
    const pid_t child = check_fork();
    neocortex_segment *segment;

    if (child == 0) {
        CHECK(neocortex_create(key, 24, NULL) != NULL);
        check_tell(ready);
        check_stay();
    }
    check_hear(ready);
    CHECK_STATUS(neocortex_reclaim(key), NEOCORTEX_ERR_BUSY);
    CHECK(check_exists(key));
    check_kill(child);
    CHECK_OK(neocortex_reclaim(key));
    CHECK(!check_exists(key));
    check_close_pipe(ready);

    /* Not what is alive. */
    segment = check_create(8, NULL);
    CHECK_STATUS(neocortex_reclaim(neocortex_key(segment)), NEOCORTEX_ERR_BUSY);
    check_write(segment, 1);
    CHECK(check_exists(neocortex_key(segment)));
    CHECK_OK(neocortex_close(segment));
}

static void random_key_is_chosen(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segments[16];

    options.flags = NEOCORTEX_RANDOM_KEY;
    for (int i = 0; i < 16; i++) {
        segments[i] = neocortex_create(0, 8, &options);
        CHECK(segments[i] != NULL);
        check_own(neocortex_key(segments[i]));
        CHECK(neocortex_key(segments[i]) != 0);
        CHECK(check_exists(neocortex_key(segments[i])));
        for (int j = 0; j < i; j++) {
            CHECK(neocortex_key(segments[j]) != neocortex_key(segments[i]));
        }
    }
    for (int i = 0; i < 16; i++) {
        CHECK_OK(neocortex_close(segments[i]));
    }
}

/* ------------------------------------------------------------------------------- reading and writing */

static void partial_reads_and_writes(void)
{
    neocortex_segment *segment = check_create(100, NULL);
    unsigned char model[100] = {0}, bytes[100];

    /* Ranges of every kind: odd offsets, words, edges; each is one commit. */
    for (unsigned i = 0; i < 500; i++) {
        const size_t offset = (size_t)(check_random() % 100);
        const size_t length = 1 + (size_t)(check_random() % (100 - offset));
        unsigned char data[100];

        for (size_t j = 0; j < length; j++) {
            data[j] = (unsigned char)check_random();
        }
        memcpy(model + offset, data, length);
        CHECK_OK(neocortex_write_at(segment, offset, data, length));
        CHECK(neocortex_commit_count(segment) == i + 1);
        CHECK_OK(neocortex_read(segment, bytes, 100));
        CHECK(memcmp(bytes, model, 100) == 0);
        memset(bytes, 0, sizeof bytes);
        CHECK_OK(neocortex_read_at(segment, offset, bytes, length));
        CHECK(memcmp(bytes, model + offset, length) == 0);
    }

    /* A short read or write begins at offset 0 and leaves the rest alone. */
    memset(bytes, 9, sizeof bytes);
    CHECK_OK(neocortex_write(segment, bytes, 10));
    memcpy(model, bytes, 10);
    CHECK_OK(neocortex_read(segment, bytes, 50));
    CHECK(memcmp(bytes, model, 50) == 0);
    CHECK(bytes[50] == 9 && bytes[99] == 9);
    CHECK_OK(neocortex_close(segment));
}

static void zero_length_does_nothing(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    char byte = 'u';

    CHECK_OK(neocortex_read(segment, NULL, 0));
    CHECK_OK(neocortex_write(segment, NULL, 0));
    CHECK_OK(neocortex_read_at(segment, 3, NULL, 0));
    CHECK_OK(neocortex_write_at(segment, 3, NULL, 0));
    CHECK_OK(neocortex_read_at(segment, 8, &byte, 0));
    CHECK_OK(neocortex_write_at(segment, 8, &byte, 0));
    CHECK(byte == 'u');
    CHECK(neocortex_commit_count(segment) == 0);
    CHECK_OK(neocortex_close(segment));
}

static void ranges_beyond_the_end_are_refused(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    static const struct {
        size_t offset, length;
    } beyond[] = {{0, 9},          {1, 8},        {8, 1},        {9, 1},        {SIZE_MAX, 1},     {1, SIZE_MAX},
                  {SIZE_MAX, SIZE_MAX}, {8, SIZE_MAX - 7}, {SIZE_MAX - 7, 8}, {SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1}};
    char buffer[sizeof untouched];
    void *data;

    memcpy(buffer, untouched, sizeof buffer);
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        CHECK_STATUS(neocortex_read_at(segment, beyond[i].offset, buffer, beyond[i].length),
                     NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_STATUS(neocortex_write_at(segment, beyond[i].offset, buffer, beyond[i].length),
                     NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_OK(neocortex_write_begin(segment, &data));
        CHECK_STATUS(neocortex_write_mark(segment, beyond[i].offset, beyond[i].length),
                     NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_OK(neocortex_write_abort(segment));
    }
    CHECK_STATUS(neocortex_read(segment, buffer, 9), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write(segment, buffer, 9), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read(segment, buffer, SIZE_MAX), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write(segment, buffer, SIZE_MAX), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(memcmp(buffer, untouched, sizeof buffer) == 0);
    CHECK(neocortex_commit_count(segment) == 0);
    CHECK_OK(neocortex_close(segment));
}

static void sizes_from_one_byte_to_a_megabyte(void)
{
    static const size_t sizes[] = {1, 7, 8, 9, 63, 64, 65, 4095, 4096, 4097, 1048576};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        neocortex_segment *segment = check_create(sizes[i], NULL);
        neocortex_segment *other = check_attach(segment);
        unsigned char *in = malloc(sizes[i] + 1), *out = malloc(sizes[i] + 1);

        CHECK(in != NULL && out != NULL);
        for (unsigned char round = 1; round < 4; round++) {
            memset(in, round, sizes[i]);
            out[sizes[i]] = 'u';
            CHECK_OK(neocortex_write(segment, in, sizes[i]));
            CHECK_OK(neocortex_read(other, out, sizes[i]));
            CHECK(memcmp(in, out, sizes[i]) == 0);
            CHECK(out[sizes[i]] == 'u');
        }
        free(in);
        free(out);
        CHECK_OK(neocortex_close(other));
        CHECK_OK(neocortex_close(segment));
    }
}

/* -------------------------------------------------------------------------------------- refusals */

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
        CHECK(stat_of(key).shm_nattch == 1);
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
    CHECK(stat_of(key).shm_nattch == 1);
    CHECK_OK(neocortex_close(segment));

    for (uint32_t align = 64; align <= 4096; align *= 2) {
        options.align = align;
        segment = check_create(24, &options);
        other = neocortex_attach_with(neocortex_key(segment), 24, &options);
        CHECK(other != NULL);
        for (int i = 0; i < 4; i++) {
            CHECK_OK(neocortex_write_begin(other, &data));
            CHECK((uintptr_t)data % align == 0);
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

/* ---------------------------------------------------------------------------------------- options */

static void options_are_checked(void)
{
    struct {
        neocortex_options options;
        unsigned char more[16];
    } larger;
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    const neocortex_options initial = NEOCORTEX_OPTIONS_INIT;
    const int32_t key = check_key();
    neocortex_segment *segment;

    for (size_t size = 0; size < offsetof(neocortex_options, slots); size++) {
        options.struct_size = size;
        CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_NULL(neocortex_attach_with(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    }
    options = initial;
    for (int bit = 0; bit < 32; bit++) {
        const uint32_t known = NEOCORTEX_IN_PLACE | NEOCORTEX_FORCE_OWNERSHIP | NEOCORTEX_REPLACE_STALE |
                               NEOCORTEX_PERSIST | NEOCORTEX_READ_ONLY | NEOCORTEX_RANDOM_KEY | NEOCORTEX_NEVER_WAIT;

        options.flags = (uint32_t)1 << bit;
        if ((options.flags & known) == 0) {
            CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_UNSUPPORTED);
            CHECK_NULL(neocortex_attach_with(key, 8, &options), NEOCORTEX_ERR_UNSUPPORTED);
        }
    }

    /* From a program built against a later version: fine as long as it asks for nothing new. */
    memset(&larger, 0, sizeof larger);
    larger.options = initial;
    larger.options.struct_size = sizeof larger;
    segment = neocortex_create(key, 8, &larger.options);
    CHECK(segment != NULL);
    CHECK_OK(neocortex_close(segment));
    for (size_t i = 0; i < sizeof larger.more; i++) {
        memset(larger.more, 0, sizeof larger.more);
        larger.more[i] = 1;
        CHECK_NULL(neocortex_create(key, 8, &larger.options), NEOCORTEX_ERR_UNSUPPORTED);
        CHECK_NULL(neocortex_attach_with(key, 8, &larger.options), NEOCORTEX_ERR_UNSUPPORTED);
    }

    /* What makes no sense. */
    options = initial;
    options.align = 96;
    CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options.align = 8192;
    CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options.align = 48; /* also below the default: not a power of two */
    CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options = initial;
    options.slots = 9;
    CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options = initial;
    options.mode = 01000000;
    CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options = initial;
    options.participants = UINT32_MAX;
    CHECK(neocortex_create(key, 8, &options) == NULL);
    options = initial;
    options.slots = 1; /* in place is asked for by its flag */
    CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options.slots = 2;
    options.flags = NEOCORTEX_IN_PLACE;
    CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options = initial;
    options.flags = NEOCORTEX_RANDOM_KEY | NEOCORTEX_REPLACE_STALE;
    CHECK_NULL(neocortex_create(0, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options.flags = NEOCORTEX_RANDOM_KEY | NEOCORTEX_FORCE_OWNERSHIP;
    CHECK_NULL(neocortex_create(0, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options = initial;
    options.flags = NEOCORTEX_READ_ONLY;
    CHECK(neocortex_create(key, 8, &options) == NULL);
    CHECK(!check_exists(key));
}

static void every_number_of_slots(void)
{
    for (uint32_t slots = 2; slots <= 8; slots++) {
        neocortex_options options = NEOCORTEX_OPTIONS_INIT;
        neocortex_segment *segment, *other;

        options.slots = slots;
        segment = check_create(8, &options);
        other = check_attach(segment);
        for (uint64_t i = 1; i < 30; i++) {
            check_write(segment, i);
            CHECK(check_read(other) == i);
        }
        CHECK_OK(neocortex_close(other));
        CHECK_OK(neocortex_close(segment));
    }
}

static void participants_are_limited(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment;
    uint32_t alive, limit;
    pid_t child;

    options.participants = 1;
    segment = check_create(8, &options);
    CHECK_OK(neocortex_participants(segment, &alive, &limit));
    CHECK(alive == 1 && limit == 1);
    child = check_fork();
    if (child == 0) {
        CHECK_NULL(neocortex_attach(neocortex_key(segment), 8), NEOCORTEX_ERR_FULL);
        _exit(0);
    }
    CHECK_CHILD(child);
    CHECK(stat_of(neocortex_key(segment)).shm_nattch == 1);
    CHECK_OK(neocortex_close(segment));
}

/* The mode of a segment, and (Linux) of the semaphore set that the calling process has just made. */
static void modes_are_exact(void)
{
    static const mode_t masks[] = {0, 022, 077, 0777};
    static const uint32_t modes[] = {0, 0600, 0640, 0660, 0644, 0666};
    const mode_t before = umask(0);

    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        for (size_t j = 0; j < sizeof modes / sizeof *modes; j++) {
            neocortex_options options = NEOCORTEX_OPTIONS_INIT;
            const unsigned wanted = modes[j] == 0 ? 0600 : modes[j];
            static int sets[CHECK_MOST_SETS];
            neocortex_segment *segment;
            int count;

            umask(masks[i]);
            options.mode = modes[j];
            segment = check_create(8, &options);
            CHECK((stat_of(neocortex_key(segment)).shm_perm.mode & 0777) == wanted);
            count = check_list_sets(sets, CHECK_MOST_SETS);
            for (int k = 0; k < count; k++) {
                if (check_set_is_ours(sets[k])) {
                    struct semid_ds found;
                    union {
                        int value;
                        struct semid_ds *buffer;
                    } argument;

                    argument.buffer = &found;
                    CHECK(semctl(sets[k], 0, IPC_STAT, argument) == 0);
                    CHECK((found.sem_perm.mode & 0777) == wanted);
                }
            }
            CHECK_OK(neocortex_close(segment));
        }
    }
    /* Without options: owner only. */
    umask(0);
    {
        neocortex_segment *segment = check_create(8, NULL);

        CHECK((stat_of(neocortex_key(segment)).shm_perm.mode & 0777) == 0600);
        CHECK_OK(neocortex_close(segment));
    }
    umask(before);
}

/* ------------------------------------------------------------------------------- the last failure */

static void *fresh_thread(void *nothing)
{
    (void)nothing;
    CHECK(neocortex_last_status() == NEOCORTEX_OK);
    CHECK(neocortex_last_os_error() == 0);
    CHECK(neocortex_last_message() != NULL);
    CHECK_STATUS(neocortex_read(NULL, NULL, 1), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(neocortex_last_status() == NEOCORTEX_ERR_INVALID_ARGUMENT);
    return NULL;
}

static void the_last_failure_is_kept_by_thread(void)
{
    const int32_t key = check_key();
    neocortex_segment *segment;
    pthread_t thread;
    const char *message;
    char kept[512];

    CHECK_NULL(neocortex_attach(key, 8), NEOCORTEX_ERR_CLEAN_SYSTEM);
    CHECK(neocortex_last_os_error() == ENOENT);
    message = neocortex_last_message();
    CHECK(message != NULL && *message != '\0');
    snprintf(kept, sizeof kept, "%s", message);

    /* Another thread has its own. */
    CHECK(pthread_create(&thread, NULL, fresh_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(neocortex_last_status() == NEOCORTEX_ERR_CLEAN_SYSTEM);
    CHECK(neocortex_last_os_error() == ENOENT);

    /* Success does not clear it, and the text stays where it is. */
    segment = neocortex_create(key, 8, NULL);
    CHECK(segment != NULL);
    check_write(segment, 1);
    CHECK(check_read(segment) == 1);
    CHECK(neocortex_last_status() == NEOCORTEX_ERR_CLEAN_SYSTEM);
    CHECK(neocortex_last_os_error() == ENOENT);
    CHECK(strncmp(message, kept, sizeof kept - 1) == 0);
    CHECK(neocortex_last_message() == message);

    /* The next failure replaces all of it. */
    CHECK_STATUS(neocortex_read(segment, kept, 9), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(neocortex_last_status() == NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(neocortex_last_os_error() == 0);
    CHECK(neocortex_last_message() != NULL && *neocortex_last_message() != '\0');
    CHECK_OK(neocortex_close(segment));
}

static void strerror_knows_every_number(void)
{
    static const int some[] = {INT32_MIN, INT32_MIN + 1, -1000, 1, 2, 1000, INT32_MAX};

    for (int status = -300; status <= 300; status++) {
        CHECK(neocortex_strerror(status) != NULL && *neocortex_strerror(status) != '\0');
    }
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        CHECK(neocortex_strerror(some[i]) != NULL && *neocortex_strerror(some[i]) != '\0');
    }
    for (int status = -20; status <= 0; status++) {
        for (int other = status + 1; other <= 0; other++) {
            CHECK(strcmp(neocortex_strerror(status), neocortex_strerror(other)) != 0);
        }
    }
}

static void numbers_are_fixed_for_ever(void)
{
    char version[64];

    CHECK(NEOCORTEX_OK == 0);
    CHECK(NEOCORTEX_ERR_CLEAN_SYSTEM == -1 && NEOCORTEX_ERR_DIRTY_SYSTEM == -2);
    CHECK(NEOCORTEX_ERR_INVALID_ARGUMENT == -3 && NEOCORTEX_ERR_NOT_A_CORTEX == -4);
    CHECK(NEOCORTEX_ERR_FORMAT == -5 && NEOCORTEX_ERR_LAYOUT == -6 && NEOCORTEX_ERR_LOCK == -7);
    CHECK(NEOCORTEX_ERR_NOT_READY == -8 && NEOCORTEX_ERR_TIMEOUT == -9 && NEOCORTEX_ERR_POISONED == -10);
    CHECK(NEOCORTEX_ERR_INVALID_VALUE == -11 && NEOCORTEX_ERR_READ_ONLY == -12 && NEOCORTEX_ERR_BUSY == -13);
    CHECK(NEOCORTEX_ERR_CORRUPT == -14 && NEOCORTEX_ERR_FULL == -15 && NEOCORTEX_ERR_UNSUPPORTED == -16);
    CHECK(NEOCORTEX_ERR_CUSTOM == -17 && NEOCORTEX_ERR_PANIC == -18 && NEOCORTEX_ERR_REMOVED == -19);
    CHECK(NEOCORTEX_ERR_INTERRUPTED == -20);
    CHECK(NEOCORTEX_FOREVER == -1 && NEOCORTEX_TRY == 0);
    CHECK(NEOCORTEX_LOCK_TIMED_OUT != 0);
    CHECK(NEOCORTEX_ACCESS_READ != NEOCORTEX_ACCESS_WRITE);
    CHECK(sizeof(neocortex_status) == 4);
    snprintf(version, sizeof version, "%d.%d.%d", NEOCORTEX_VERSION_MAJOR, NEOCORTEX_VERSION_MINOR,
             NEOCORTEX_VERSION_PATCH);
    CHECK(strncmp(neocortex_version(), version, strlen(version)) == 0);
}

static void built_in_locks_describe_themselves(void)
{
    for (int i = 0; i < CHECK_LOCKS; i++) {
        const neocortex_lock_ops *lock = check_lock(i);

        if (lock == NULL) {
            continue;
        }
        CHECK(lock == check_lock(i));
        CHECK(lock->struct_size >= offsetof(neocortex_lock_ops, destroy));
        CHECK(lock->name != NULL && *lock->name != '\0');
        for (int j = 0; j < i; j++) {
            CHECK(check_lock(j) == NULL || strcmp(check_lock(j)->name, lock->name) != 0);
        }
    }
}

int main(void)
{
    check_start();
    create_gives_zeroed_owned_segment();
    attach_sees_and_changes_the_same_value();
    remove_by_key();
    persist_keeps_it();
    force_ownership_adopts();
    replace_stale_replaces_the_dead_only();
    replace_stale_replaces_what_a_killed_owner_left();
    reclaim_removes_what_a_killed_owner_left();
    random_key_is_chosen();
    partial_reads_and_writes();
    zero_length_does_nothing();
    ranges_beyond_the_end_are_refused();
    sizes_from_one_byte_to_a_megabyte();
    null_is_refused_everywhere();
    key_zero_and_size_zero_are_refused();
    sizes_that_overflow_are_refused();
    creating_twice_is_eexist();
    attaching_to_nothing_is_enoent();
    foreign_segments_are_not_touched();
    another_layout_is_refused();
    another_lock_is_refused();
    options_are_checked();
    every_number_of_slots();
    participants_are_limited();
    modes_are_exact();
    the_last_failure_is_kept_by_thread();
    strerror_knows_every_number();
    numbers_are_fixed_for_ever();
    built_in_locks_describe_themselves();
    return check_done("api");
}
