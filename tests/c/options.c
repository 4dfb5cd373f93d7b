/* Options: each is checked, and each does what it says. */
#include "check.h"

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
                               NEOCORTEX_PERSIST | NEOCORTEX_READ_ONLY | NEOCORTEX_RANDOM_KEY | NEOCORTEX_NEVER_WAIT |
                               NEOCORTEX_OPEN_OR_CREATE | NEOCORTEX_INTERRUPTIBLE | NEOCORTEX_PREFAULT |
                               NEOCORTEX_LOCK_IN_MEMORY | NEOCORTEX_HUGE_PAGES | NEOCORTEX_PREFER_HUGE_PAGES |
                               NEOCORTEX_SET_OWNER | NEOCORTEX_DUMP | NEOCORTEX_RECORDS | NEOCORTEX_LOSSLESS;

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
    options.slots = 65537;
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
    options.flags = NEOCORTEX_SET_OWNER;
    CHECK_NULL(neocortex_attach_with(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options.struct_size = offsetof(neocortex_options, owner_gid); /* a structure that has no group */
    CHECK_NULL(neocortex_create(key, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(!check_exists(key));
}

static void every_number_of_slots(void)
{
    for (uint32_t slots = 2; slots <= 65536; slots += slots < 10 ? 1 : slots * 3 / 2) {
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
    CHECK(check_stat(neocortex_key(segment)).shm_nattch == 1);
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
            CHECK((check_stat(neocortex_key(segment)).shm_perm.mode & 0777) == wanted);
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

        CHECK((check_stat(neocortex_key(segment)).shm_perm.mode & 0777) == 0600);
        CHECK_OK(neocortex_close(segment));
    }
    umask(before);
}

CHECK_MAIN(
    CHECK_ONCE(options_are_checked),
    CHECK_ONCE(every_number_of_slots),
    CHECK_ONCE(participants_are_limited),
    CHECK_ONCE(modes_are_exact))
