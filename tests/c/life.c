/* The life of a segment: creating, attaching, adopting, replacing, removing. */
#include "check.h"

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

static void create_with_begins_with_a_value(void)
{
    const int32_t key = check_key();
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    const char initial[] = "the first value";
    char seen[sizeof initial];
    neocortex_segment *segment, *other;

    segment = neocortex_create_with(key, sizeof initial, initial, NULL);
    CHECK(segment != NULL && neocortex_was_created(segment));
    CHECK(neocortex_commit_count(segment) == 0);
    other = neocortex_attach(key, sizeof initial);
    CHECK(other != NULL);
    CHECK_OK(neocortex_read(other, seen, sizeof seen));
    CHECK(memcmp(seen, initial, sizeof seen) == 0);
    CHECK_OK(neocortex_write(other, "another value!!", sizeof seen));
    CHECK(neocortex_commit_count(segment) == 1);
    CHECK_OK(neocortex_persist(segment));
    CHECK_OK(neocortex_close(segment));
    CHECK_OK(neocortex_close(other));

    /* What is found keeps the value that it has. */
    options.flags = NEOCORTEX_FORCE_OWNERSHIP;
    segment = neocortex_create_with(key, sizeof initial, initial, &options);
    CHECK(segment != NULL && !neocortex_was_created(segment));
    CHECK_OK(neocortex_read(segment, seen, sizeof seen));
    CHECK(memcmp(seen, "another value!!", sizeof seen) == 0);
    CHECK_OK(neocortex_close(segment));

    /* NULL is zeros; every lock and layout; a size beyond memory is refused before anything is copied. */
    segment = neocortex_create_with(check_key(), 3, NULL, NULL);
    CHECK(segment != NULL);
    CHECK_OK(neocortex_read(segment, seen, 3));
    CHECK(seen[0] == 0 && seen[1] == 0 && seen[2] == 0);
    CHECK_OK(neocortex_close(segment));
    options.flags = NEOCORTEX_RANDOM_KEY | NEOCORTEX_IN_PLACE;
    options.lock = neocortex_lock_rwlock();
    segment = neocortex_create_with(0, sizeof initial, initial, &options);
    CHECK(segment != NULL);
    CHECK_OK(neocortex_read(segment, seen, sizeof seen));
    CHECK(memcmp(seen, initial, sizeof seen) == 0 && neocortex_commit_count(segment) == 0);
    CHECK_OK(neocortex_close(segment));
    CHECK(neocortex_create_with(check_key(), SIZE_MAX, initial, NULL) == NULL);
    CHECK(neocortex_last_status() == NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(neocortex_create_with(check_key(), 0, initial, NULL) == NULL);
    CHECK(neocortex_last_status() == NEOCORTEX_ERR_INVALID_ARGUMENT);
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

    /* Nobody uses it, but it was made to stay: only a call that says so takes it away. */
    CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_BUSY);
    CHECK(strstr(neocortex_last_message(), "made to stay") != NULL);
    CHECK_STATUS(neocortex_reclaim(key), NEOCORTEX_ERR_BUSY);
    CHECK(check_exists(key));
    options.flags = NEOCORTEX_FORCE_OWNERSHIP;
    segment = neocortex_create(key, 8, &options);
    CHECK(segment != NULL);
    CHECK(!neocortex_was_created(segment));
    CHECK(check_read(segment) == 5);
    CHECK_OK(neocortex_close(segment));
    CHECK(!check_exists(key));
}

/* Another program's: zeros where a header would be. */
static void foreign_zeros_are_not_replaced(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    const int32_t key = check_key();
    const int id = shmget(key, 1 << 20, IPC_CREAT | IPC_EXCL | 0600);
    unsigned char *bytes;

    CHECK(id != -1);
    bytes = shmat(id, NULL, 0);
    CHECK(bytes != (void *)-1);
    bytes[4096] = 7;
    options.flags = NEOCORTEX_REPLACE_STALE;
    CHECK_STATUS(neocortex_reclaim(key), NEOCORTEX_ERR_NOT_A_CORTEX);
    CHECK_STATUS(neocortex_remove(key), NEOCORTEX_ERR_NOT_A_CORTEX);
    CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_NOT_A_CORTEX);
    CHECK(bytes[0] == 0 && bytes[4096] == 7);
    CHECK(shmdt(bytes) == 0);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
}

/* A process that owns a cortex of 24 bytes until it is killed. */
static pid_t owner(int32_t key, struct check_pipe ready)
{
    const pid_t child = check_fork();

    if (child == 0) {
        CHECK(neocortex_create(key, 24, NULL) != NULL);
        check_tell(ready);
        check_stay();
    }
    check_hear(ready);
    return child;
}

static void replace_stale_replaces_what_a_killed_owner_left(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    const struct check_pipe ready = check_open_pipe();
    const int32_t key = check_key();
    const pid_t child = owner(key, ready);
    neocortex_segment *segment;

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
    const pid_t child = owner(key, ready);
    neocortex_segment *segment;

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

CHECK_MAIN(
    CHECK_ONCE(create_gives_zeroed_owned_segment),
    CHECK_ONCE(create_with_begins_with_a_value),
    CHECK_ONCE(attach_sees_and_changes_the_same_value),
    CHECK_ONCE(remove_by_key),
    CHECK_ONCE(persist_keeps_it),
    CHECK_ONCE(force_ownership_adopts),
    CHECK_ONCE(replace_stale_replaces_the_dead_only),
    CHECK_ONCE(foreign_zeros_are_not_replaced),
    CHECK_ONCE(replace_stale_replaces_what_a_killed_owner_left),
    CHECK_ONCE(reclaim_removes_what_a_killed_owner_left),
    CHECK_ONCE(random_key_is_chosen))
