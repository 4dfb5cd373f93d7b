/* Locks plugged in through neocortex_lock_ops. */
#include "check.h"

/* ------------------------------------------------------ a lock that counts what it is asked to do */

/* In the segment. Knows its holder, so that a dead one is passed. */
struct shared {
    uint32_t holder; /* participant, 0 = free */
    uint32_t filler[7];
};

/* What the callbacks saw: the table's ctx. */
struct seen {
    int creates, attaches, read_locks, write_locks, releases_read, releases_write, forced, destroyed, destroyed_owner;
    int fail_create, fail_attach, fail_write_lock, fail_release; /* what to return, 0 = do it */
    int32_t key;
    uint32_t mode;
    int64_t timeout_ns;
    bool was_zeroed;
    struct lock *last; /* the one made last */
};

struct lock {
    struct seen *seen;
    const neocortex_lock_site *site;
    struct shared *shared;
};

static int make(struct seen *seen, const neocortex_lock_site *site, void **out)
{
    struct lock *lock = malloc(sizeof *lock);

    CHECK(lock != NULL && site != NULL && out != NULL);
    lock->seen = seen;
    seen->last = lock;
    lock->site = site;
    lock->shared = neocortex_site_memory(site);
    CHECK(lock->shared != NULL);
    CHECK((uintptr_t)lock->shared % 8 == 0);
    seen->key = neocortex_site_key(site);
    seen->mode = neocortex_site_mode(site);
    CHECK(neocortex_site_participant(site) != 0);
    CHECK(neocortex_site_is_alive(site, neocortex_site_participant(site)));
    *out = lock;
    return 0;
}

static int lock_create(void *ctx, const neocortex_lock_site *site, void **out)
{
    static const struct shared zero;
    struct seen *seen = ctx;

    seen->creates += 1;
    if (seen->fail_create != 0) {
        return seen->fail_create;
    }
    seen->was_zeroed = memcmp(neocortex_site_memory(site), &zero, sizeof zero) == 0;
    return make(seen, site, out);
}

static int lock_attach(void *ctx, const neocortex_lock_site *site, void **out)
{
    struct seen *seen = ctx;

    seen->attaches += 1;
    return seen->fail_attach != 0 ? seen->fail_attach : make(seen, site, out);
}

static int take(struct lock *lock, int64_t timeout_ns)
{
    const uint32_t me = neocortex_site_participant(lock->site);
    const int64_t began = check_now();

    lock->seen->timeout_ns = timeout_ns;
    for (;;) {
        uint32_t holder = 0;

        if (__atomic_compare_exchange_n(&lock->shared->holder, &holder, me, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            return 0;
        }
        if (!neocortex_site_is_alive(lock->site, holder) &&
            __atomic_compare_exchange_n(&lock->shared->holder, &holder, me, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            return 0;
        }
        if (timeout_ns >= 0 && check_now() - began >= timeout_ns) {
            return NEOCORTEX_LOCK_TIMED_OUT;
        }
        sched_yield();
    }
}

static int lock_read(void *pointer, int64_t timeout_ns)
{
    struct lock *lock = pointer;

    lock->seen->read_locks += 1;
    return take(lock, timeout_ns);
}

static int lock_write(void *pointer, int64_t timeout_ns)
{
    struct lock *lock = pointer;

    lock->seen->write_locks += 1;
    return lock->seen->fail_write_lock != 0 ? lock->seen->fail_write_lock : take(lock, timeout_ns);
}

static int lock_release(void *pointer, int access)
{
    struct lock *lock = pointer;

    if (access == NEOCORTEX_ACCESS_WRITE) {
        lock->seen->releases_write += 1;
    } else {
        CHECK(access == NEOCORTEX_ACCESS_READ);
        lock->seen->releases_read += 1;
    }
    __atomic_store_n(&lock->shared->holder, 0, __ATOMIC_RELEASE);
    return lock->seen->fail_release;
}

static void lock_force(void *pointer)
{
    ((struct lock *)pointer)->seen->forced += 1;
}

static void lock_destroy(void *pointer, int owner)
{
    struct lock *lock = pointer;

    lock->seen->destroyed += 1;
    lock->seen->destroyed_owner += owner != 0;
    CHECK(neocortex_site_key(lock->site) == lock->seen->key); /* the site lives until we return */
    free(lock);
}

static struct seen seen;

static neocortex_lock_ops table(void)
{
    neocortex_lock_ops ops;

    memset(&ops, 0, sizeof ops);
    memset(&seen, 0, sizeof seen);
    ops.struct_size = sizeof ops;
    ops.name = "test.counting";
    ops.shared_size = sizeof(struct shared);
    ops.ctx = &seen;
    ops.create = lock_create;
    ops.attach = lock_attach;
    ops.read_lock = lock_read;
    ops.write_lock = lock_write;
    ops.release = lock_release;
    ops.force_ownership = lock_force;
    ops.destroy = lock_destroy;
    return ops;
}

static neocortex_options with(const neocortex_lock_ops *ops)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    options.lock = ops;
    return options;
}

/* ---------------------------------------------------------------------------------------- the tests */

static void callbacks_are_called_in_pairs(void)
{
    neocortex_lock_ops ops = table();
    neocortex_options options = with(&ops);
    neocortex_segment *segment, *other;
    const void *read_data;
    void *data;
    int locks;

    options.mode = 0640;
    segment = check_create(8, &options);
    CHECK(seen.creates == 1 && seen.attaches == 0 && seen.was_zeroed);
    CHECK(seen.key == neocortex_key(segment));
    CHECK(seen.mode == 0640);
    CHECK(strcmp(neocortex_lock_name(segment), "test.counting") == 0);
    memset(&ops, 0, sizeof ops); /* the library has its own copy */
    check_write(segment, 5);
    CHECK(seen.write_locks == 1 && seen.releases_write == 1);
    CHECK(seen.timeout_ns < 0);
    CHECK(check_read(segment) == 5);
    CHECK(seen.read_locks == 1 && seen.releases_read == 1); /* no optimistic reads: it did not offer them */

    {
        const neocortex_lock_ops again = {
            sizeof again, "test.counting", sizeof(struct shared), &seen,      lock_create, lock_attach, lock_read,
            lock_write,   lock_release,    lock_force,            lock_destroy};

        options = with(&again);
        other = neocortex_attach_with(neocortex_key(segment), 8, &options);
        CHECK(other != NULL);
    }
    CHECK(seen.creates == 1 && seen.attaches == 1);
    CHECK_OK(neocortex_write_begin(other, &data));
    locks = seen.write_locks;
    *(uint64_t *)data = 6;
    CHECK_OK(neocortex_write_publish(other, &data));
    *(uint64_t *)data = 7;
    CHECK_OK(neocortex_write_commit(other));
    CHECK(seen.write_locks == locks && seen.releases_write == locks);
    CHECK_OK(neocortex_read_begin(segment, &read_data));
    CHECK(*(const uint64_t *)read_data == 7);
    CHECK_OK(neocortex_read_end(segment));
    CHECK(seen.read_locks == seen.releases_read && seen.read_locks == 2);
    CHECK_OK(neocortex_close(other));
    CHECK(seen.destroyed == 1 && seen.destroyed_owner == 0);
    CHECK_OK(neocortex_close(segment));
    CHECK(seen.destroyed == 2 && seen.destroyed_owner == 1);
    CHECK(seen.forced == 0);
}

static void force_ownership_is_passed_on(void)
{
    const neocortex_lock_ops ops = table();
    neocortex_options options = with(&ops);
    neocortex_segment *segment;
    int32_t key;

    options.flags = NEOCORTEX_PERSIST;
    segment = check_create(8, &options);
    key = neocortex_key(segment);
    CHECK_OK(neocortex_close(segment));
    options.flags = NEOCORTEX_FORCE_OWNERSHIP;
    segment = neocortex_create(key, 8, &options);
    CHECK(segment != NULL);
    CHECK(seen.creates == 1 && seen.attaches == 1 && seen.forced == 1);
    CHECK_OK(neocortex_close(segment));
    CHECK(!check_exists(key));
}

static void optional_callbacks_may_be_missing(void)
{
    neocortex_lock_ops ops = table();
    neocortex_options options;
    neocortex_segment *segment;
    int32_t key;

    ops.force_ownership = NULL;
    ops.destroy = NULL; /* so that what is made is freed here */
    options = with(&ops);
    options.flags = NEOCORTEX_PERSIST;
    segment = check_create(8, &options);
    key = neocortex_key(segment);
    CHECK_OK(neocortex_close(segment));
    free(seen.last);
    options.flags = NEOCORTEX_FORCE_OWNERSHIP;
    segment = neocortex_create(key, 8, &options);
    CHECK(segment != NULL);
    check_write(segment, 5);
    CHECK_OK(neocortex_close(segment));
    free(seen.last);
}

static void incomplete_tables_are_refused(void)
{
    const int32_t key = check_key();
    static char long_name[4096];
    struct {
        neocortex_lock_ops ops;
        unsigned char more[16];
    } larger;
    neocortex_segment *segment;

    memset(long_name, 'x', sizeof long_name - 1);
    for (int missing = 0; missing < 9; missing++) {
        neocortex_lock_ops ops = table();
        const neocortex_options options = with(&ops);

        switch (missing) {
        case 0: ops.name = NULL; break;
        case 1: ops.name = ""; break;
        case 2: ops.name = long_name; break;
        case 3: ops.create = NULL; break;
        case 4: ops.attach = NULL; break;
        case 5: ops.read_lock = NULL; break;
        case 6: ops.write_lock = NULL; break;
        case 7: ops.name = "seqlock"; break; /* that of a built-in lock */
        default: ops.release = NULL; break;
        }
        CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_NULL(neocortex_attach_with(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK(seen.creates == 0);
        CHECK(!check_exists(key));
    }
    for (size_t size = 0; size < offsetof(neocortex_lock_ops, destroy); size++) {
        neocortex_lock_ops ops = table();
        const neocortex_options options = with(&ops);

        ops.struct_size = size;
        CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    }
    {
        neocortex_lock_ops ops = table();
        const neocortex_options options = with(&ops);

        ops.shared_size = SIZE_MAX;
        CHECK(neocortex_create(key, 8, &options) == NULL);
        ops.shared_size = SIZE_MAX / 2;
        CHECK(neocortex_create(key, 8, &options) == NULL);
        CHECK(!check_exists(key));
    }
    /* A table from a later version: fine as long as what we do not know is zero. */
    memset(&larger, 0, sizeof larger);
    larger.ops = table();
    larger.ops.struct_size = sizeof larger;
    {
        const neocortex_options options = with(&larger.ops);

        segment = neocortex_create(key, 8, &options);
        CHECK(segment != NULL);
        CHECK_OK(neocortex_close(segment));
        larger.more[sizeof larger.more - 1] = 1;
        CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_UNSUPPORTED);
    }
    CHECK(!check_exists(key));
}

static void failures_are_custom_and_carry_their_code(void)
{
    static const int codes[] = {1, 2, -1, 42, INT32_MAX, INT32_MIN};
    const neocortex_lock_ops ops = table();
    const neocortex_options options = with(&ops);
    const int32_t key = check_key();
    neocortex_segment *segment;
    uint64_t value = 6;
    void *data = &value;

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        seen.fail_create = codes[i];
        CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_CUSTOM);
        CHECK(neocortex_last_custom() == codes[i]);
        CHECK(neocortex_last_os_error() == 0);
        CHECK(!check_exists(key));
    }
    CHECK(seen.destroyed == 0); /* there was nothing to destroy */
    seen.fail_create = 0;
    segment = neocortex_create(key, 8, &options);
    CHECK(segment != NULL);
    check_write(segment, 5);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        seen.fail_attach = codes[i];
        CHECK_NULL(neocortex_attach_with(key, 8, &options), NEOCORTEX_ERR_CUSTOM);
        CHECK(neocortex_last_custom() == codes[i]);
        CHECK(check_exists(key));
        if (codes[i] == NEOCORTEX_LOCK_TIMED_OUT) {
            continue;
        }
        seen.fail_write_lock = codes[i];
        CHECK_STATUS(neocortex_write(segment, &value, 8), NEOCORTEX_ERR_CUSTOM);
        CHECK(neocortex_last_custom() == codes[i]);
        CHECK_STATUS(neocortex_write_begin(segment, &data), NEOCORTEX_ERR_CUSTOM);
        CHECK(data == &value);
        CHECK_STATUS(neocortex_write_commit(segment), NEOCORTEX_ERR_INVALID_ARGUMENT);
        seen.fail_write_lock = 0;
    }
    seen.fail_write_lock = NEOCORTEX_LOCK_TIMED_OUT;
    CHECK_STATUS(neocortex_write(segment, &value, 8), NEOCORTEX_ERR_TIMEOUT);
    seen.fail_write_lock = 0;
    CHECK(check_read(segment) == 5);
    CHECK(neocortex_commit_count(segment) == 1);
    CHECK(seen.releases_write == 1); /* what was not taken is not released */
    seen.fail_release = 42;
    CHECK_STATUS(neocortex_read(segment, &value, 8), NEOCORTEX_ERR_CUSTOM);
    CHECK(value == 6); /* outputs are written on success only */
    seen.fail_release = 0;
    CHECK_OK(neocortex_close(segment));
}

static void timeouts_reach_the_lock(void)
{
    const neocortex_lock_ops ops = table();
    neocortex_options options = with(&ops);
    neocortex_segment *segment = check_create(8, &options), *other;
    uint64_t value = 5;
    void *data;

    options.flags = NEOCORTEX_NEVER_WAIT;
    other = neocortex_attach_with(neocortex_key(segment), 8, &options);
    CHECK(other != NULL);
    CHECK_OK(neocortex_write(other, &value, 8));
    CHECK(seen.timeout_ns == NEOCORTEX_TRY);
    CHECK_OK(neocortex_set_timeout(other, 40 * CHECK_MS));
    CHECK_OK(neocortex_write(other, &value, 8));
    CHECK(seen.timeout_ns > 0 && seen.timeout_ns <= 40 * CHECK_MS);
    CHECK_OK(neocortex_set_timeout(other, NEOCORTEX_FOREVER));
    CHECK_OK(neocortex_write(other, &value, 8));
    CHECK(seen.timeout_ns < 0);

    CHECK_OK(neocortex_write_begin(segment, &data));
    CHECK_OK(neocortex_set_timeout(other, 5 * CHECK_MS));
    CHECK_STATUS(neocortex_write(other, &value, 8), NEOCORTEX_ERR_TIMEOUT);
    CHECK(seen.timeout_ns > 0 && seen.timeout_ns <= 5 * CHECK_MS);
    CHECK_STATUS(neocortex_read(other, &value, 8), NEOCORTEX_ERR_TIMEOUT);
    CHECK(seen.timeout_ns > 0 && seen.timeout_ns <= 5 * CHECK_MS);
    CHECK_OK(neocortex_write_abort(segment));
    CHECK_OK(neocortex_read(other, &value, 8));
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(segment));
}

static void attaching_without_the_table_names_the_lock(void)
{
    const neocortex_lock_ops ops = table();
    neocortex_lock_ops another = ops;
    neocortex_options options = with(&ops);
    neocortex_segment *segment = check_create(8, &options);

    CHECK_NULL(neocortex_attach(neocortex_key(segment), 8), NEOCORTEX_ERR_LOCK);
    CHECK(strstr(neocortex_last_message(), "test.counting") != NULL);
    another.name = "test.another";
    options = with(&another);
    CHECK_NULL(neocortex_attach_with(neocortex_key(segment), 8, &options), NEOCORTEX_ERR_LOCK);
    CHECK(strstr(neocortex_last_message(), "test.counting") != NULL);
    options = with(neocortex_lock_seqlock());
    CHECK_NULL(neocortex_attach_with(neocortex_key(segment), 8, &options), NEOCORTEX_ERR_LOCK);
    /* An observer takes no lock, and needs no table. */
    options = with(NULL);
    options.flags = NEOCORTEX_READ_ONLY;
    {
        neocortex_segment *observer = neocortex_attach_with(neocortex_key(segment), 8, &options);

        CHECK(observer != NULL);
        CHECK(check_read(observer) == 0);
        CHECK_OK(neocortex_close(observer));
    }
    CHECK(seen.attaches == 0);
    CHECK_OK(neocortex_close(segment));
}

static void a_copy_of_a_built_in_table_works(void)
{
    for (int i = 0; i < CHECK_LOCKS; i++) {
        neocortex_lock_ops copy = {0};
        neocortex_options options = with(&copy);
        neocortex_segment *segment, *other;

        if (check_lock(i) == NULL) {
            continue;
        }
        memcpy(&copy, check_lock(i), sizeof copy);
        /* None of its entries is NULL, and none is for a program to call. */
        CHECK(copy.create(copy.ctx, NULL, NULL) == NEOCORTEX_ERR_UNSUPPORTED);
        CHECK(copy.attach(copy.ctx, NULL, NULL) == NEOCORTEX_ERR_UNSUPPORTED);
        CHECK(copy.read_lock(NULL, NEOCORTEX_TRY) == NEOCORTEX_ERR_UNSUPPORTED);
        CHECK(copy.write_lock(NULL, NEOCORTEX_TRY) == NEOCORTEX_ERR_UNSUPPORTED);
        CHECK(copy.release(NULL, NEOCORTEX_ACCESS_READ) == NEOCORTEX_ERR_UNSUPPORTED);
        segment = check_create(8, &options);
        CHECK(strcmp(neocortex_lock_name(segment), check_lock(i)->name) == 0);
        check_write(segment, 5);
        other = check_attach(segment); /* found from the header: it is the built-in one */
        CHECK(check_read(other) == 5);
        CHECK_OK(neocortex_close(other));
        other = neocortex_attach_with(neocortex_key(segment), 8, &options);
        CHECK(other != NULL);
        check_write(other, 6);
        CHECK(check_read(segment) == 6);
        CHECK_OK(neocortex_close(other));
        CHECK_OK(neocortex_close(segment));
    }
}

static void it_excludes_processes_and_passes_the_dead(void)
{
    enum { PROCESSES = 4, TIMES = 500 };
    const neocortex_lock_ops ops = table();
    const neocortex_options options = with(&ops);
    neocortex_segment *segment = check_create(8, &options);
    const struct check_pipe held = check_open_pipe();
    pid_t children[PROCESSES], victim;

    victim = check_fork();
    if (victim == 0) {
        neocortex_segment *mine = neocortex_attach_with(neocortex_key(segment), 8, &options);
        void *data;

        CHECK(mine != NULL);
        CHECK_OK(neocortex_write_begin(mine, &data));
        *(uint64_t *)data = 1000000;
        check_tell(held);
        check_stay();
    }
    check_hear(held);
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = check_fork();
        if (children[i] == 0) {
            /* Half of them through the inherited handle: the lock sees another participant there. */
            neocortex_segment *mine =
                i % 2 == 0 ? segment : neocortex_attach_with(neocortex_key(segment), 8, &options);
            void *data;

            CHECK(mine != NULL);
            for (int j = 0; j < TIMES; j++) {
                CHECK_OK(neocortex_write_begin(mine, &data));
                *(uint64_t *)data += 1;
                CHECK_OK(neocortex_write_commit(mine));
            }
            CHECK_OK(neocortex_close(mine));
            _exit(0);
        }
    }
    check_kill(victim);
    for (int i = 0; i < PROCESSES; i++) {
        CHECK_CHILD(children[i]);
    }
    CHECK(check_read(segment) == PROCESSES * TIMES);
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(held);
}

CHECK_MAIN(
    CHECK_ONCE(callbacks_are_called_in_pairs),
    CHECK_ONCE(force_ownership_is_passed_on),
    CHECK_ONCE(optional_callbacks_may_be_missing),
    CHECK_ONCE(incomplete_tables_are_refused),
    CHECK_ONCE(failures_are_custom_and_carry_their_code),
    CHECK_ONCE(timeouts_reach_the_lock),
    CHECK_ONCE(attaching_without_the_table_names_the_lock),
    CHECK_ONCE(a_copy_of_a_built_in_table_works),
    CHECK_ONCE(it_excludes_processes_and_passes_the_dead))
