/* The last failure, its message, and the numbers that never change. */
#include "check.h"

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

/* In the words of C: each of the words is there, and no name in backticks, which would be Rust's. */
static void check_message(const char *word, const char *other)
{
    CHECK(strstr(neocortex_last_message(), word) != NULL);
    CHECK(strstr(neocortex_last_message(), other) != NULL);
    CHECK(strchr(neocortex_last_message(), '`') == NULL);
}

static void refused(neocortex_options options, neocortex_status status, const char *word, const char *other)
{
    CHECK_NULL(neocortex_create(check_key(), 8, &options), status);
    check_message(word, other);
}

static void messages_name_what_the_header_names(void)
{
    const neocortex_status invalid = NEOCORTEX_ERR_INVALID_ARGUMENT;
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment, *reader;
    char key_text[24];
    uint64_t count;
    void *data;

    options.flags = NEOCORTEX_RANDOM_KEY | NEOCORTEX_REPLACE_STALE;
    refused(options, invalid, "NEOCORTEX_RANDOM_KEY", "NEOCORTEX_REPLACE_STALE");
    options.flags = NEOCORTEX_IN_PLACE;
    options.slots = 2;
    refused(options, invalid, "NEOCORTEX_IN_PLACE", "options.slots");
    options.flags = 0;
    options.slots = 1;
    refused(options, invalid, "NEOCORTEX_IN_PLACE", "options.slots is 1");
    options.slots = 0;
    options.mode = 01777;
    refused(options, invalid, "options.mode", "0o1777");
    options.mode = 0;
    options.flags = NEOCORTEX_READ_ONLY;
    refused(options, invalid, "options.flags has NEOCORTEX_READ_ONLY (0x10)", "attaching only");
    options.flags = 0;
    options.struct_size = 8;
    refused(options, invalid, "struct_size is 8", "sizeof");
    options.struct_size = 4097;
    refused(options, invalid, "struct_size is 4097", "sizeof");

    /* Room for one, by a handle that knows its key. */
    options.struct_size = sizeof options;
    options.participants = 1;
    segment = check_create(8, &options);
    snprintf(key_text, sizeof key_text, "key %ld:", (long)neocortex_key(segment));
    CHECK_NULL(neocortex_attach(neocortex_key(segment), 8), NEOCORTEX_ERR_FULL);
    check_message("options.participants", "NEOCORTEX_READ_ONLY");
    CHECK(strstr(neocortex_last_message_as(NEOCORTEX_WORDS_CPP), "`options::participants`") != NULL);
    CHECK(strstr(neocortex_last_message_as(NEOCORTEX_WORDS_PYTHON), "`participants=`") != NULL);
    CHECK(neocortex_last_message_as(NEOCORTEX_WORDS_C) == neocortex_last_message());
    CHECK(neocortex_last_message_as(99) == neocortex_last_message());
    CHECK_STATUS(neocortex_read(segment, NULL, 8), invalid);
    check_message("buffer is NULL", key_text);
    CHECK_STATUS(neocortex_write_commit(segment), invalid);
    check_message("neocortex_write_begin", key_text);
    CHECK_STATUS(neocortex_read_end(segment), invalid);
    check_message("neocortex_read_begin", key_text);

    /* Of no key: none is made up. */
    CHECK_STATUS(neocortex_read(NULL, &data, 8), invalid);
    check_message("segment is NULL", "closed");
    CHECK(strstr(neocortex_last_message(), "key") == NULL);
    CHECK_NULL(neocortex_create(0, 8, NULL), invalid);
    CHECK(strstr(neocortex_last_message(), "key 0: key 0") == NULL);

    options.flags = NEOCORTEX_READ_ONLY;
    options.participants = 0;
    reader = neocortex_attach_with(neocortex_key(segment), 8, &options);
    CHECK(reader != NULL);
    CHECK_STATUS(neocortex_write(reader, key_text, 8), NEOCORTEX_ERR_READ_ONLY);
    check_message("NEOCORTEX_READ_ONLY", key_text);
    CHECK_OK(neocortex_close(reader));

    /* A wait that times out says that nothing was committed, not that another process holds anything. */
    CHECK_STATUS(neocortex_wait(segment, 0, 1000, &count), NEOCORTEX_ERR_TIMEOUT);
    CHECK(strstr(neocortex_last_message(), "nothing was committed") != NULL);
    CHECK(strstr(neocortex_last_message(), "held") == NULL);
    CHECK_OK(neocortex_close(segment));

    /* Held by this very thread, through a second handle. */
    segment = check_create(8, NULL);
    reader = neocortex_attach(neocortex_key(segment), 8);
    CHECK(reader != NULL);
    CHECK_OK(neocortex_write_begin(segment, &data));
    CHECK_STATUS(neocortex_write_for(reader, 0, key_text, 8, NEOCORTEX_TRY), NEOCORTEX_ERR_BUSY);
    CHECK(strstr(neocortex_last_message(), "through this handle or another") != NULL);
    CHECK_OK(neocortex_write_abort(segment));
    CHECK_OK(neocortex_close(reader));
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
    for (int status = -21; status <= 0; status++) {
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
    CHECK(NEOCORTEX_ERR_INTERRUPTED == -20 && NEOCORTEX_ERR_NAME == -21);
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

CHECK_MAIN(
    CHECK_ONCE(the_last_failure_is_kept_by_thread),
    CHECK_ONCE(messages_name_what_the_header_names),
    CHECK_ONCE(strerror_knows_every_number),
    CHECK_ONCE(numbers_are_fixed_for_ever),
    CHECK_ONCE(built_in_locks_describe_themselves))
