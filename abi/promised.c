/* The C surface as it was promised, in the compiler's own words. `cargo test --test c abi` compiles it.
 *
 * It compiles against include/neocortex.h only as long as every constant, structure and function below is there
 * as it is here, and links with the library only as long as it exports them. What was released is never changed
 * in here. What is added to the header is added here, under the version that brings it: a field with LATER, which
 * also sees to it that the field lies past the end of the structure as it was before, not in its padding, which
 * older programs leave uninitialised.
 */
#include <neocortex.h>

#define CONSTANT(name, value) _Static_assert((name) == (value), #name)
/* Structures may grow; what they had stays where it was. Offsets are those of 64-bit systems. */
#if UINTPTR_MAX > 0xFFFFFFFFu
#define STRUCTURE(name, size) _Static_assert(sizeof(name) >= (size), #name)
#define AT(name, field, offset) (offsetof(name, field) == (offset))
#define PAST(name, field, size) (offsetof(name, field) >= (size))
#else
#define STRUCTURE(name, size) _Static_assert(sizeof(name) >= sizeof(size_t), #name)
#define AT(name, field, offset) 1
#define PAST(name, field, size) 1
#endif
#define IS(name, field, type) _Generic(((name *)0)->field, type: 1, default: 0)
#define FIELD(name, field, type, offset) \
    _Static_assert(AT(name, field, offset) && IS(name, field, type), #name "." #field)
#define LATER(name, field, type, offset, size_before) \
    FIELD(name, field, type, offset);                 \
    _Static_assert(PAST(name, field, size_before), #name "." #field " lies in what was padding")

/* Declared so, and exported: the linker looks for what the constant holds. */
typedef void any_function(void);
#define FUNCTION(name, type)                                        \
    _Static_assert(_Generic(&name, type: 1, default: 0), #name);    \
    extern any_function *const promised_##name;                     \
    any_function *const promised_##name = (any_function *)name

/* ---- 4.0.0 ---- */

CONSTANT(NEOCORTEX_FOREVER, -1);
CONSTANT(NEOCORTEX_TRY, 0);
CONSTANT(NEOCORTEX_LOCK_TIMED_OUT, -9);
CONSTANT(NEOCORTEX_ACCESS_READ, 0);
CONSTANT(NEOCORTEX_ACCESS_WRITE, 1);
CONSTANT(NEOCORTEX_WORDS_C, 0u);
CONSTANT(NEOCORTEX_WORDS_CPP, 1u);
CONSTANT(NEOCORTEX_WORDS_PYTHON, 2u);
CONSTANT(NEOCORTEX_LOG_ERROR, 1);
CONSTANT(NEOCORTEX_LOG_WARN, 2);
CONSTANT(NEOCORTEX_LOG_INFO, 3);
CONSTANT(NEOCORTEX_LOG_DEBUG, 4);
CONSTANT(NEOCORTEX_LOG_TRACE, 5);
CONSTANT(NEOCORTEX_IN_PLACE, 1u);
CONSTANT(NEOCORTEX_FORCE_OWNERSHIP, 2u);
CONSTANT(NEOCORTEX_REPLACE_STALE, 4u);
CONSTANT(NEOCORTEX_PERSIST, 8u);
CONSTANT(NEOCORTEX_READ_ONLY, 16u);
CONSTANT(NEOCORTEX_RANDOM_KEY, 32u);
CONSTANT(NEOCORTEX_NEVER_WAIT, 64u);
CONSTANT(NEOCORTEX_INTERRUPTIBLE, 256u);
CONSTANT(NEOCORTEX_PREFAULT, 512u);
CONSTANT(NEOCORTEX_LOCK_IN_MEMORY, 1024u);
CONSTANT(NEOCORTEX_HUGE_PAGES, 2048u);
CONSTANT(NEOCORTEX_PREFER_HUGE_PAGES, 65536u);
CONSTANT(NEOCORTEX_SET_OWNER, 16384u);
CONSTANT(NEOCORTEX_OPEN_OR_CREATE, 128u);
CONSTANT(NEOCORTEX_DUMP, 32768u);
CONSTANT(NEOCORTEX_RECORDS, 4096u);
CONSTANT(NEOCORTEX_LOSSLESS, 8192u);
/* Without a sign, as the field that they go into: no warning where ~ and << are used on them. */
_Static_assert(_Generic(NEOCORTEX_IN_PLACE | NEOCORTEX_NEVER_WAIT, uint32_t: 1, default: 0), "flags");
CONSTANT(NEOCORTEX_OK, 0);
CONSTANT(NEOCORTEX_ERR_CLEAN_SYSTEM, -1);
CONSTANT(NEOCORTEX_ERR_DIRTY_SYSTEM, -2);
CONSTANT(NEOCORTEX_ERR_INVALID_ARGUMENT, -3);
CONSTANT(NEOCORTEX_ERR_NOT_A_CORTEX, -4);
CONSTANT(NEOCORTEX_ERR_FORMAT, -5);
CONSTANT(NEOCORTEX_ERR_LAYOUT, -6);
CONSTANT(NEOCORTEX_ERR_LOCK, -7);
CONSTANT(NEOCORTEX_ERR_NOT_READY, -8);
CONSTANT(NEOCORTEX_ERR_TIMEOUT, -9);
CONSTANT(NEOCORTEX_ERR_POISONED, -10);
CONSTANT(NEOCORTEX_ERR_INVALID_VALUE, -11);
CONSTANT(NEOCORTEX_ERR_READ_ONLY, -12);
CONSTANT(NEOCORTEX_ERR_BUSY, -13);
CONSTANT(NEOCORTEX_ERR_CORRUPT, -14);
CONSTANT(NEOCORTEX_ERR_FULL, -15);
CONSTANT(NEOCORTEX_ERR_UNSUPPORTED, -16);
CONSTANT(NEOCORTEX_ERR_CUSTOM, -17);
CONSTANT(NEOCORTEX_ERR_PANIC, -18);
CONSTANT(NEOCORTEX_ERR_REMOVED, -19);
CONSTANT(NEOCORTEX_ERR_INTERRUPTED, -20);
CONSTANT(NEOCORTEX_ERR_NAME, -21);

_Static_assert(_Generic((neocortex_status)0, int32_t: 1, default: 0), "neocortex_status");

STRUCTURE(neocortex_lock_ops, 88);
FIELD(neocortex_lock_ops, struct_size, size_t, 0);
FIELD(neocortex_lock_ops, name, const char *, 8);
FIELD(neocortex_lock_ops, shared_size, size_t, 16);
FIELD(neocortex_lock_ops, ctx, void *, 24);
FIELD(neocortex_lock_ops, create, int (*)(void *, const neocortex_lock_site *, void **), 32);
FIELD(neocortex_lock_ops, attach, int (*)(void *, const neocortex_lock_site *, void **), 40);
FIELD(neocortex_lock_ops, read_lock, int (*)(void *, int64_t), 48);
FIELD(neocortex_lock_ops, write_lock, int (*)(void *, int64_t), 56);
FIELD(neocortex_lock_ops, release, int (*)(void *, int), 64);
FIELD(neocortex_lock_ops, force_ownership, void (*)(void *), 72);
FIELD(neocortex_lock_ops, destroy, void (*)(void *, int), 80);

CONSTANT(NEOCORTEX_CHANGE_REMOVED, 1u);
STRUCTURE(neocortex_change, 24);
FIELD(neocortex_change, tag, void *, 0);
FIELD(neocortex_change, version, uint64_t, 8);
FIELD(neocortex_change, flags, uint32_t, 16);

STRUCTURE(neocortex_options, 64);
FIELD(neocortex_options, struct_size, size_t, 0);
FIELD(neocortex_options, mode, uint32_t, 8);
FIELD(neocortex_options, flags, uint32_t, 12);
FIELD(neocortex_options, schema, uint64_t, 16);
FIELD(neocortex_options, participants, uint32_t, 24);
FIELD(neocortex_options, align, uint32_t, 28);
FIELD(neocortex_options, timeout_ns, int64_t, 32);
FIELD(neocortex_options, lock, const neocortex_lock_ops *, 40);
FIELD(neocortex_options, slots, uint32_t, 48);
/* Read with NEOCORTEX_SET_OWNER only. */
FIELD(neocortex_options, owner_uid, uint32_t, 52);
FIELD(neocortex_options, owner_gid, uint32_t, 56);

FUNCTION(neocortex_read, int32_t (*)(neocortex_segment *, void *, size_t));
FUNCTION(neocortex_read_at, int32_t (*)(neocortex_segment *, size_t, void *, size_t));
FUNCTION(neocortex_write, int32_t (*)(neocortex_segment *, const void *, size_t));
FUNCTION(neocortex_write_at, int32_t (*)(neocortex_segment *, size_t, const void *, size_t));
FUNCTION(neocortex_read_for, int32_t (*)(neocortex_segment *, size_t, void *, size_t, int64_t));
FUNCTION(neocortex_write_for, int32_t (*)(neocortex_segment *, size_t, const void *, size_t, int64_t));
FUNCTION(neocortex_read_versioned, int32_t (*)(neocortex_segment *, void *, size_t, uint64_t *));
FUNCTION(neocortex_read_begin, int32_t (*)(neocortex_segment *, const void **));
FUNCTION(neocortex_read_begin_for, int32_t (*)(neocortex_segment *, int64_t, const void **));
FUNCTION(neocortex_read_end, int32_t (*)(neocortex_segment *));
FUNCTION(neocortex_write_begin, int32_t (*)(neocortex_segment *, void **));
FUNCTION(neocortex_write_begin_for, int32_t (*)(neocortex_segment *, int64_t, void **));
FUNCTION(neocortex_overwrite_begin, int32_t (*)(neocortex_segment *, int64_t, void **));
FUNCTION(neocortex_write_commit, int32_t (*)(neocortex_segment *));
FUNCTION(neocortex_write_abort, int32_t (*)(neocortex_segment *));
FUNCTION(neocortex_write_publish, int32_t (*)(neocortex_segment *, void **));
FUNCTION(neocortex_write_mark, int32_t (*)(neocortex_segment *, size_t, size_t));
FUNCTION(neocortex_create, neocortex_segment *(*)(int32_t, size_t, const neocortex_options *));
FUNCTION(neocortex_create_with, neocortex_segment *(*)(int32_t, size_t, const void *, const neocortex_options *));
FUNCTION(neocortex_create_named, neocortex_segment *(*)(const char *, size_t, const neocortex_options *));
FUNCTION(neocortex_create_named_with, neocortex_segment *(*)(const char *, size_t, const void *, const neocortex_options *));
FUNCTION(neocortex_attach_named, neocortex_segment *(*)(const char *, size_t, const neocortex_options *));
FUNCTION(neocortex_attach_wait, neocortex_segment *(*)(int32_t, size_t, const neocortex_options *, int64_t));
FUNCTION(neocortex_attach_named_wait, neocortex_segment *(*)(const char *, size_t, const neocortex_options *, int64_t));
FUNCTION(neocortex_key_of, neocortex_status (*)(const char *, int32_t *));
FUNCTION(neocortex_schema_of, uint64_t (*)(const char *));
FUNCTION(neocortex_name, const char *(*)(const neocortex_segment *));
FUNCTION(neocortex_attach, neocortex_segment *(*)(int32_t, size_t));
FUNCTION(neocortex_attach_with, neocortex_segment *(*)(int32_t, size_t, const neocortex_options *));
FUNCTION(neocortex_close, int32_t (*)(neocortex_segment *));
FUNCTION(neocortex_remove, int32_t (*)(int32_t));
FUNCTION(neocortex_reclaim, int32_t (*)(int32_t));
FUNCTION(neocortex_key, int32_t (*)(const neocortex_segment *));
FUNCTION(neocortex_size, size_t (*)(const neocortex_segment *));
FUNCTION(neocortex_commit_count, uint64_t (*)(const neocortex_segment *));
FUNCTION(neocortex_wait, int32_t (*)(neocortex_segment *, uint64_t, int64_t, uint64_t *));
FUNCTION(neocortex_follow, int32_t (*)(neocortex_segment *, uint64_t *, void *, size_t, int64_t, size_t *, uint64_t *));
FUNCTION(neocortex_kept_since, uint64_t (*)(const neocortex_segment *));
FUNCTION(neocortex_register_follower, int32_t (*)(neocortex_segment *, uint64_t));
FUNCTION(neocortex_unregister_follower, int32_t (*)(neocortex_segment *));
FUNCTION(neocortex_is_lossless, bool (*)(const neocortex_segment *));
FUNCTION(neocortex_has_records, bool (*)(const neocortex_segment *));
FUNCTION(neocortex_push, int32_t (*)(neocortex_segment *, const void *, size_t, int64_t));
FUNCTION(neocortex_read_record, int32_t (*)(neocortex_segment *, void *, size_t, size_t *));
FUNCTION(neocortex_next_record, int32_t (*)(neocortex_segment *, uint64_t *, void *, size_t, int64_t, size_t *, uint64_t *));
FUNCTION(neocortex_wait_set_open, neocortex_wait_set *(*)(void));
FUNCTION(neocortex_wait_set_close, void (*)(neocortex_wait_set *));
FUNCTION(neocortex_wait_set_add, int32_t (*)(neocortex_wait_set *, neocortex_segment *, uint64_t, void *));
FUNCTION(neocortex_wait_set_remove, int32_t (*)(neocortex_wait_set *, neocortex_segment *));
FUNCTION(neocortex_wait_set_wait, int32_t (*)(neocortex_wait_set *, int64_t, neocortex_change *, size_t, size_t *));
FUNCTION(neocortex_wait_set_fd, int32_t (*)(neocortex_wait_set *, int *));
FUNCTION(neocortex_wait_set_interrupt, int32_t (*)(neocortex_wait_set *));
FUNCTION(neocortex_timeout, int64_t (*)(const neocortex_segment *));
FUNCTION(neocortex_interrupt, int32_t (*)(neocortex_segment *));
FUNCTION(neocortex_stop_waits, int32_t (*)(neocortex_segment *));
FUNCTION(neocortex_resume_waits, int32_t (*)(neocortex_segment *));
FUNCTION(neocortex_clear_poison, int32_t (*)(neocortex_segment *));
FUNCTION(neocortex_persist, int32_t (*)(neocortex_segment *));
FUNCTION(neocortex_take_ownership, int32_t (*)(neocortex_segment *));
FUNCTION(neocortex_set_timeout, int32_t (*)(neocortex_segment *, int64_t));
FUNCTION(neocortex_is_owner, bool (*)(const neocortex_segment *));
FUNCTION(neocortex_was_created, bool (*)(const neocortex_segment *));
FUNCTION(neocortex_is_poisoned, bool (*)(const neocortex_segment *));
FUNCTION(neocortex_is_removed, bool (*)(const neocortex_segment *));
FUNCTION(neocortex_lock_name, const char *(*)(const neocortex_segment *));
FUNCTION(neocortex_schema, uint64_t (*)(const neocortex_segment *));
FUNCTION(neocortex_participants, int32_t (*)(neocortex_segment *, uint32_t *, uint32_t *));
FUNCTION(neocortex_lock_seqlock, const neocortex_lock_ops *(*)(void));
FUNCTION(neocortex_lock_rwlock, const neocortex_lock_ops *(*)(void));
FUNCTION(neocortex_lock_semaphore, const neocortex_lock_ops *(*)(void));
FUNCTION(neocortex_site_key, int32_t (*)(const neocortex_lock_site *));
FUNCTION(neocortex_site_memory, void *(*)(const neocortex_lock_site *));
FUNCTION(neocortex_site_mode, uint32_t (*)(const neocortex_lock_site *));
FUNCTION(neocortex_site_participant, uint32_t (*)(const neocortex_lock_site *));
FUNCTION(neocortex_site_is_alive, int (*)(const neocortex_lock_site *, uint32_t));
FUNCTION(neocortex_set_log, void (*)(void (*)(void *, int, const char *), void *));
FUNCTION(neocortex_strerror, const char *(*)(int));
FUNCTION(neocortex_last_status, int32_t (*)(void));
FUNCTION(neocortex_last_os_error, int (*)(void));
FUNCTION(neocortex_last_custom, int (*)(void));
FUNCTION(neocortex_last_message, const char *(*)(void));
FUNCTION(neocortex_last_message_as, const char *(*)(uint32_t));
FUNCTION(neocortex_version, const char *(*)(void));

int main(void)
{
    const neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    return options.struct_size == sizeof options ? 0 : 1;
}
