/* A program compiled against the header of 4.0.0, which it does not include: it carries what that header said.
 * Whatever becomes of the structures, it goes on running. Then the same from a program of a later version, whose
 * structures are larger.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct neocortex_segment neocortex_segment;
typedef struct neocortex_lock_site neocortex_lock_site;
typedef struct first_lock_ops {
    size_t struct_size;
    const char *name;
    size_t shared_size;
    void *ctx;
    int (*create)(void *ctx, const neocortex_lock_site *site, void **lock);
    int (*attach)(void *ctx, const neocortex_lock_site *site, void **lock);
    int (*read_lock)(void *lock, int64_t timeout_ns);
    int (*write_lock)(void *lock, int64_t timeout_ns);
    int (*release)(void *lock, int access);
    void (*force_ownership)(void *lock);
    void (*destroy)(void *lock, int owner);
} first_lock_ops;
typedef struct first_options {
    size_t struct_size;
    uint32_t mode;
    uint32_t flags;
    uint64_t schema;
    uint32_t participants;
    uint32_t align;
    int64_t timeout_ns;
    const first_lock_ops *lock;
    uint32_t slots;
} first_options;

enum { OK = 0, ERR_INVALID_ARGUMENT = -3, ERR_UNSUPPORTED = -16, RANDOM_KEY = 32 };

extern neocortex_segment *neocortex_create(int32_t key, size_t size, const void *options);
extern neocortex_segment *neocortex_attach_with(int32_t key, size_t size, const void *options);
extern int32_t neocortex_close(neocortex_segment *segment);
extern int32_t neocortex_key(const neocortex_segment *segment);
extern size_t neocortex_size(const neocortex_segment *segment);
extern uint64_t neocortex_schema(const neocortex_segment *segment);
extern const char *neocortex_lock_name(const neocortex_segment *segment);
extern const char *neocortex_last_message(void);
extern int32_t neocortex_last_status(void);
extern int32_t neocortex_write(neocortex_segment *segment, const void *data, size_t length);
extern int32_t neocortex_read(neocortex_segment *segment, void *buffer, size_t length);

static int failures;

static void check(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "first: %s (%s)\n", what, neocortex_last_message());
        failures++;
    }
}

/* A lock for one process at a time, which counts. */
static int taken;
static int destroyed;

static int make(void *ctx, const neocortex_lock_site *site, void **lock)
{
    (void)site;
    *lock = ctx;
    return 0;
}

static int take(void *lock, int64_t timeout_ns)
{
    (void)timeout_ns;
    ++*(int *)lock;
    return 0;
}

static int give(void *lock, int access)
{
    (void)lock;
    (void)access;
    return 0;
}

static void destroy(void *lock, int owner)
{
    (void)lock;
    (void)owner;
    destroyed++;
}

/* Behind the older program's structures lies what a newer library must not take for its fields. */
struct lock_and_more {
    first_lock_ops ops;
    unsigned char more[64];
};
struct options_and_more {
    first_options options;
    unsigned char more[64];
};

static struct lock_and_more lock;
static struct options_and_more options;

/* As that program sets them; bytes behind them, and padding, as given. */
static void fill(int byte, size_t lock_size, size_t options_size)
{
    memset(&lock, byte, sizeof lock);
    memset(&options, byte, sizeof options);
    lock.ops.struct_size = lock_size;
    lock.ops.name = "first";
    lock.ops.shared_size = 8;
    lock.ops.ctx = &taken;
    lock.ops.create = make;
    lock.ops.attach = make;
    lock.ops.read_lock = take;
    lock.ops.write_lock = take;
    lock.ops.release = give;
    lock.ops.force_ownership = NULL;
    lock.ops.destroy = destroy;
    options.options.struct_size = options_size;
    options.options.mode = 0600;
    options.options.flags = RANDOM_KEY;
    options.options.schema = 77;
    options.options.participants = 9;
    options.options.align = 128;
    options.options.timeout_ns = 0;
    options.options.lock = &lock.ops;
    options.options.slots = 3;
}

static void works(const char *what)
{
    uint64_t value = 5;
    neocortex_segment *owner = neocortex_create(0, sizeof value, &options);
    neocortex_segment *other;
    int32_t key;

    check(owner != NULL, what);
    if (owner == NULL) {
        return;
    }
    key = neocortex_key(owner);
    options.options.flags = 0;
    other = neocortex_attach_with(key, 0, &options);
    check(other != NULL, what);
    taken = 0;
    check(neocortex_write(owner, &value, sizeof value) == OK, "write");
    value = 0;
    check(other != NULL && neocortex_read(other, &value, sizeof value) == OK && value == 5, "read");
    check(taken == 2, "the program's lock was taken for each");
    check(neocortex_schema(owner) == 77 && neocortex_size(owner) == 8, "schema and size");
    check(strcmp(neocortex_lock_name(owner), "first") == 0, "the lock's name");
    destroyed = 0;
    check(neocortex_close(other) == OK && neocortex_close(owner) == OK && destroyed == 2, "close");
}

static void is_refused(int32_t status, const char *what)
{
    neocortex_segment *segment = neocortex_create(0, 8, &options);

    check(segment == NULL && neocortex_last_status() == status, what);
    if (segment != NULL) {
        neocortex_close(segment);
    }
}

int main(void)
{
    const size_t whole_lock = sizeof lock.ops, whole = sizeof options.options;

    fill(0, whole_lock, whole);
    works("an older program");
    fill(0xA5, whole_lock, whole);
    works("an older program with other things behind its structures");

    fill(0, sizeof lock, sizeof options);
    works("a newer program that asks for nothing new");
    /* The last byte: fields added since 4.0.0 may have given the first ones a meaning. */
    fill(0, whole_lock, sizeof options);
    options.more[sizeof options.more - 1] = 1;
    is_refused(ERR_UNSUPPORTED, "a newer program's options that mean something");
    fill(0, sizeof lock, whole);
    lock.more[sizeof lock.more - 1] = 1;
    is_refused(ERR_UNSUPPORTED, "a newer program's lock that means something");

    for (size_t size = 0; size < whole; size++) {
        fill(0, whole_lock, size);
        is_refused(ERR_INVALID_ARGUMENT, "options smaller than the first version's");
    }
    for (size_t size = 0; size < whole_lock; size++) {
        fill(0, size, whole);
        is_refused(ERR_INVALID_ARGUMENT, "a lock smaller than the first version's");
    }
    if (failures == 0) {
        printf("ok first\n");
    }
    return failures != 0;
}
