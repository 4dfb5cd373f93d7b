/* Names in place of keys, creating or attaching, waiting for the creator. */
#include "check.h"

struct vector {
    const char *text;
    int32_t key;
    uint64_t schema;
};

/* Of tests/vectors/names.txt, which another program has computed. */
static const struct vector vectors[] = {
    {"a", 1768042688, UINT64_C(0xaf63dc4c8601ec8c)},
    {"arm/pose", 1772166907, UINT64_C(0xfbd80c78d2791283)},
    {"foobar", 1923950233, UINT64_C(0x85944171f73967e8)},
    {"gr\303\266\303\237e", 1120161476, UINT64_C(0xb7450e1ef58140da)},
    {"a b", 1656529291, UINT64_C(0xe63f991904833892)},
    {"robot/3263", 1251317990, UINT64_C(0xb07d0044fae898a2)},
    {"robot/38498", 1251317990, UINT64_C(0x7bf6e4e2f1637c04)},
};

/* A random name, whose key the test cleans up. */
static const char *fresh_name(void)
{
    static char name[64];
    int32_t key;

    do {
        snprintf(name, sizeof name, "test/c/%llx", (unsigned long long)check_random());
        CHECK_OK(neocortex_key_of(name, &key));
    } while (check_exists(key));
    check_own(key);
    return name;
}

static void a_name_has_the_key_of_the_published_vectors(void)
{
    static const char zero[] = "\325\153\271\123\102\207\010\066";

    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        int32_t key = 0;

        CHECK_OK(neocortex_key_of(vectors[i].text, &key));
        CHECK(key == vectors[i].key);
        CHECK(neocortex_schema_of(vectors[i].text) == vectors[i].schema);
    }
    CHECK(neocortex_schema_of(zero) == 1 && "its hash is 0");
    CHECK(neocortex_schema_of("") != 0);
    CHECK(neocortex_schema_of(NULL) == 0);
}

static void what_is_no_name_is_refused_with_the_rule(void)
{
    char longest[257];
    const char *none[] = {"", NULL, "a\nb", "\033[2J", "\377\376", "123", "-7", "0x1F", "99999999999999999999"};

    memset(longest, 'x', sizeof longest - 1);
    longest[256] = '\0';
    none[1] = longest;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        int32_t key = 7;

        CHECK_STATUS(neocortex_key_of(none[i], &key), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK(key == 7);
        CHECK(strstr(neocortex_last_message(), "a name is 1 to 255 bytes of UTF-8") != NULL);
        CHECK_NULL(neocortex_create_named(none[i], 8, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_NULL(neocortex_create_named_with(none[i], 8, NULL, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_NULL(neocortex_attach_named(none[i], 8, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_NULL(neocortex_attach_named_wait(none[i], 8, NULL, NEOCORTEX_FOREVER), NEOCORTEX_ERR_INVALID_ARGUMENT);
    }
    CHECK_STATUS(neocortex_key_of(NULL, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_key_of("a", NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_NULL(neocortex_create_named(NULL, 8, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_NULL(neocortex_attach_named(NULL, 8, NULL), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(neocortex_name(NULL) == NULL);
}

static void a_name_is_found_by_everybody_who_knows_it(void)
{
    const char *name = fresh_name();
    const uint64_t first = 41;
    uint64_t value = 0;
    int32_t key = 0;
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *mine = neocortex_create_named_with(name, 8, &first, NULL);

    CHECK(mine != NULL);
    CHECK(strcmp(neocortex_name(mine), name) == 0);
    CHECK_OK(neocortex_key_of(name, &key));
    CHECK(neocortex_key(mine) == key && neocortex_commit_count(mine) == 0);

    neocortex_segment *by_name = neocortex_attach_named(name, 8, NULL);
    neocortex_segment *by_number = neocortex_attach(key, 8);

    options.flags = NEOCORTEX_READ_ONLY;
    neocortex_segment *observer = neocortex_attach_named(name, 0, &options);

    CHECK(by_name != NULL && by_number != NULL && observer != NULL);
    CHECK(strcmp(neocortex_name(by_number), name) == 0 && strcmp(neocortex_name(observer), name) == 0);
    CHECK_OK(neocortex_read(by_name, &value, 8));
    CHECK(value == 41);
    CHECK_OK(neocortex_close(by_name));
    CHECK_OK(neocortex_close(by_number));
    CHECK_OK(neocortex_close(observer));
    CHECK_OK(neocortex_close(mine));
    CHECK_NULL(neocortex_attach_named(name, 8, NULL), NEOCORTEX_ERR_CLEAN_SYSTEM);
    CHECK(strstr(neocortex_last_message(), name) != NULL);

    key = check_key();
    mine = neocortex_create(key, 8, NULL);
    CHECK(mine != NULL && *neocortex_name(mine) == '\0');
    CHECK_OK(neocortex_close(mine));
}

static void another_name_of_the_same_key_is_told_apart(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *mine;

    check_own(vectors[5].key);
    mine = neocortex_create_named("robot/3263", 8, NULL);
    CHECK(mine != NULL);
    CHECK_NULL(neocortex_attach_named("robot/38498", 8, NULL), NEOCORTEX_ERR_NAME);
    CHECK(strstr(neocortex_last_message(), "robot/3263") != NULL);
    CHECK(strstr(neocortex_last_message(), "robot/38498") != NULL);
    CHECK_NULL(neocortex_attach_named_wait("robot/38498", 8, NULL, NEOCORTEX_FOREVER), NEOCORTEX_ERR_NAME);
    CHECK_NULL(neocortex_create_named("robot/38498", 8, NULL), NEOCORTEX_ERR_NAME);
    options.flags = NEOCORTEX_OPEN_OR_CREATE;
    CHECK_NULL(neocortex_create_named("robot/38498", 8, &options), NEOCORTEX_ERR_NAME);
    options.flags = NEOCORTEX_REPLACE_STALE;
    CHECK_NULL(neocortex_create_named("robot/38498", 8, &options), NEOCORTEX_ERR_NAME);
    options.flags = NEOCORTEX_FORCE_OWNERSHIP;
    CHECK_NULL(neocortex_create_named("robot/38498", 8, &options), NEOCORTEX_ERR_NAME);
    CHECK_OK(neocortex_close(mine));
}

static void one_creates_and_the_others_attach(void)
{
    const char *name = fresh_name();
    const uint64_t first = 1, second = 2;
    uint64_t value = 0;
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *one, *two;

    options.flags = NEOCORTEX_OPEN_OR_CREATE;
    one = neocortex_create_named_with(name, 8, &first, &options);
    two = neocortex_create_named_with(name, 8, &second, &options);
    CHECK(one != NULL && two != NULL);
    CHECK(neocortex_was_created(one) && neocortex_is_owner(one));
    CHECK(!neocortex_was_created(two) && !neocortex_is_owner(two));
    CHECK_OK(neocortex_read(two, &value, 8));
    CHECK(value == 1);
    CHECK_OK(neocortex_close(two));
    CHECK_OK(neocortex_close(one));
    one = neocortex_create_named(name, 8, NULL);
    CHECK(one != NULL);
    options.flags = NEOCORTEX_OPEN_OR_CREATE | NEOCORTEX_RECORDS;
    CHECK_NULL(neocortex_create_named(name, 8, &options), NEOCORTEX_ERR_LAYOUT);
    options.flags = NEOCORTEX_OPEN_OR_CREATE | NEOCORTEX_LOSSLESS;
    CHECK_NULL(neocortex_create_named(name, 8, &options), NEOCORTEX_ERR_LAYOUT);
    CHECK(strstr(neocortex_last_message(), "NEOCORTEX_LOSSLESS") != NULL);
    options.flags = NEOCORTEX_OPEN_OR_CREATE | NEOCORTEX_IN_PLACE;
    CHECK_NULL(neocortex_create_named(name, 8, &options), NEOCORTEX_ERR_LAYOUT);
    options.flags = NEOCORTEX_OPEN_OR_CREATE;
    options.slots = 5;
    two = neocortex_create_named(name, 8, &options);
    CHECK(two != NULL && !neocortex_was_created(two));
    options.slots = 0;
    CHECK_OK(neocortex_close(two));
    CHECK_OK(neocortex_close(one));
    options.flags = NEOCORTEX_OPEN_OR_CREATE | NEOCORTEX_FORCE_OWNERSHIP;
    CHECK_NULL(neocortex_create_named(name, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options.flags = NEOCORTEX_OPEN_OR_CREATE | NEOCORTEX_RANDOM_KEY;
    CHECK_NULL(neocortex_create(0, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options.flags = NEOCORTEX_RANDOM_KEY;
    CHECK_NULL(neocortex_create_named(name, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
    options.flags = NEOCORTEX_OPEN_OR_CREATE;
    CHECK_NULL(neocortex_attach_named(name, 8, &options), NEOCORTEX_ERR_INVALID_ARGUMENT);
}

static void who_comes_first_waits_for_the_creator(void)
{
    const char *name = fresh_name();
    const uint64_t first = 77;
    int32_t key = check_key();
    pid_t child;
    neocortex_segment *mine, *other;

    CHECK_NULL(neocortex_attach_named_wait(name, 8, NULL, 1000000), NEOCORTEX_ERR_TIMEOUT);
    CHECK(strstr(neocortex_last_message(), "nobody has created it") != NULL);
    CHECK_NULL(neocortex_attach_wait(key, 8, NULL, NEOCORTEX_TRY), NEOCORTEX_ERR_TIMEOUT);
    child = check_fork();
    if (child == 0) {
        uint64_t value = 0;
        neocortex_segment *found = neocortex_attach_named_wait(name, 8, NULL, NEOCORTEX_FOREVER);

        CHECK(found != NULL);
        CHECK_OK(neocortex_read(found, &value, 8));
        CHECK(value == 77);
        CHECK_OK(neocortex_close(found));
        _exit(0);
    }
    mine = neocortex_create_named_with(name, 8, &first, NULL);
    CHECK(mine != NULL);
    CHECK_CHILD(child);
    other = neocortex_create(key, 8, NULL);
    CHECK(other != NULL);
    CHECK_OK(neocortex_close(other));
    CHECK_OK(neocortex_close(mine));
}

CHECK_MAIN(
    CHECK_ONCE(a_name_has_the_key_of_the_published_vectors),
    CHECK_ONCE(what_is_no_name_is_refused_with_the_rule),
    CHECK_ONCE(a_name_is_found_by_everybody_who_knows_it),
    CHECK_ONCE(another_name_of_the_same_key_is_told_apart),
    CHECK_ONCE(one_creates_and_the_others_attach),
    CHECK_ONCE(who_comes_first_waits_for_the_creator))
