/* The log: who receives, when, and that it may be changed at any time from anywhere. */
#include "check.h"

/* Makes the library say something (a dead holder was recovered from): a child takes the lock and is killed, and we
 * take it over. */
static void provoke(neocortex_segment *segment)
{
    const struct check_pipe held = check_open_pipe();
    const pid_t child = check_fork();

    if (child == 0) {
        neocortex_segment *mine = check_attach(segment);
        void *data;

        CHECK_OK(neocortex_write_begin(mine, &data));
        check_tell(held);
        check_stay();
    }
    check_hear(held);
    check_kill(child);
    check_write(segment, 1);
    check_close_pipe(held);
}

struct receiver {
    int messages, lowest, highest;
    int running;
    int retired; /* after set_log has returned */
    neocortex_segment *segment;
};

static void receive(void *ctx, int level, const char *message)
{
    struct receiver *receiver = ctx;

    __atomic_fetch_add(&receiver->running, 1, __ATOMIC_SEQ_CST);
    CHECK(!__atomic_load_n(&receiver->retired, __ATOMIC_SEQ_CST));
    CHECK(message != NULL && *message != '\0');
    if (receiver->messages == 0 || level < receiver->lowest) {
        receiver->lowest = level;
    }
    if (receiver->messages == 0 || level > receiver->highest) {
        receiver->highest = level;
    }
    __atomic_fetch_add(&receiver->messages, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_sub(&receiver->running, 1, __ATOMIC_SEQ_CST);
}

static void a_recovered_holder_is_a_warning(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    struct receiver first, second;

    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    neocortex_set_log(receive, &first);
    provoke(segment);
    CHECK(first.messages >= 1);
    CHECK(first.lowest >= 1 && first.highest <= 5); /* error 1, warn 2, info 3, debug 4, trace 5 */
    CHECK(first.lowest <= 2);

    /* The newest receives, with its own ctx. */
    neocortex_set_log(receive, &second);
    first.retired = 1;
    provoke(segment);
    CHECK(second.messages >= 1);

    /* Nobody. */
    neocortex_set_log(NULL, NULL);
    second.retired = 1;
    provoke(segment);
    CHECK_OK(neocortex_close(segment));
}

static void keep(void *ctx, int level, const char *message)
{
    char *last = ctx;

    (void)level;
    snprintf(last, 1024, "%s", message);
}

static void a_message_has_the_key_and_the_name_of_its_cortex(void)
{
    char last[1024] = "", name[64], fields[160];
    neocortex_segment *segment;
    int32_t key = 0;

    do {
        snprintf(name, sizeof name, "test/c/log \"%llx\"", (unsigned long long)check_random());
        CHECK_OK(neocortex_key_of(name, &key));
    } while (check_exists(key));
    check_own(key);
    segment = neocortex_create_named(name, 8, NULL);
    CHECK(segment != NULL);
    neocortex_set_log(keep, last);
    provoke(segment);
    neocortex_set_log(NULL, NULL);
    /* Quoted, so that a name cannot be taken for a field. */
    snprintf(fields, sizeof fields, "key=%d name=\"test/c/log \\\"", (int)key);
    CHECK(strstr(last, fields) != NULL);
    CHECK_OK(neocortex_close(segment));

    segment = check_create(8, NULL);
    neocortex_set_log(keep, last);
    provoke(segment);
    neocortex_set_log(NULL, NULL);
    CHECK(strstr(last, "key=") != NULL && strstr(last, "name=") == NULL);
    CHECK_OK(neocortex_close(segment));
}

/* "Never called with a lock held": the callback may use the library, the very segment included. */
static void receive_and_use(void *ctx, int level, const char *message)
{
    struct receiver *receiver = ctx;
    neocortex_segment *mine;
    uint64_t value = 0;

    (void)level;
    CHECK(message != NULL);
    receiver->messages += 1;
    if (receiver->messages > 1) {
        return; /* what we do here may say something itself */
    }
    mine = neocortex_attach(neocortex_key(receiver->segment), 8);
    CHECK(mine != NULL);
    CHECK_OK(neocortex_read(mine, &value, 8));
    CHECK_OK(neocortex_close(mine));
    CHECK(neocortex_read(NULL, NULL, 1) == NEOCORTEX_ERR_INVALID_ARGUMENT);
}

static void the_callback_may_use_the_library(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    struct receiver receiver;

    memset(&receiver, 0, sizeof receiver);
    receiver.segment = segment;
    neocortex_set_log(receive_and_use, &receiver);
    provoke(segment);
    CHECK(receiver.messages >= 1);
    neocortex_set_log(NULL, NULL);
    CHECK_OK(neocortex_close(segment));
}

static struct receiver replaced, replacing;

static void receive_and_replace(void *ctx, int level, const char *message)
{
    (void)level;
    (void)message;
    CHECK(ctx == &replaced);
    replaced.messages += 1;
    neocortex_set_log(receive, &replacing); /* we are still running: this must not wait for us */
}

static void receive_and_clear(void *ctx, int level, const char *message)
{
    (void)level;
    (void)message;
    ((struct receiver *)ctx)->messages += 1;
    neocortex_set_log(NULL, NULL);
}

static void the_callback_may_set_the_log(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    struct receiver cleared;

    neocortex_set_log(receive_and_replace, &replaced);
    provoke(segment);
    CHECK(replaced.messages == 1);
    provoke(segment);
    CHECK(replaced.messages == 1);
    CHECK(replacing.messages >= 1);

    memset(&cleared, 0, sizeof cleared);
    neocortex_set_log(receive_and_clear, &cleared);
    provoke(segment);
    provoke(segment);
    CHECK(cleared.messages == 1);
    CHECK_OK(neocortex_close(segment));
}

/* ------------------------------------------------------------------------------------- many threads */

static int over;

static void *set_again_and_again(void *pointer)
{
    static struct receiver common; /* for ever valid: which thread's is in force, nobody knows */

    (void)pointer;
    while (!__atomic_load_n(&over, __ATOMIC_SEQ_CST)) {
        neocortex_set_log(receive, &common);
        sched_yield();
        neocortex_set_log(NULL, NULL);
    }
    return NULL;
}

static void any_thread_may_set_the_log_at_any_time(void)
{
    enum { THREADS = 4, ROUNDS = 20 };
    neocortex_segment *segment = check_create(8, NULL);
    pthread_t threads[THREADS];

    over = 0;
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, set_again_and_again, NULL) == 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        provoke(segment);
    }
    __atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    neocortex_set_log(NULL, NULL);
    CHECK_OK(neocortex_close(segment));
}

/* One thread changes the receiver; what has been replaced is never called again and not running. */
static void *retire_again_and_again(void *pointer)
{
    int *rounds = pointer;

    while (!__atomic_load_n(&over, __ATOMIC_SEQ_CST)) {
        struct receiver *receiver = calloc(1, sizeof *receiver);

        CHECK(receiver != NULL);
        neocortex_set_log(receive, receiver);
        sched_yield();
        neocortex_set_log(NULL, NULL);
        CHECK(__atomic_load_n(&receiver->running, __ATOMIC_SEQ_CST) == 0);
        __atomic_store_n(&receiver->retired, 1, __ATOMIC_SEQ_CST);
        free(receiver); /* valgrind and sanitizers see a late call */
        *rounds += 1;
    }
    return NULL;
}

static void a_replaced_callback_is_not_running(void)
{
    enum { ROUNDS = 50 };
    neocortex_segment *segment = check_create(8, NULL);
    pthread_t thread;
    int rounds = 0;

    over = 0;
    CHECK(pthread_create(&thread, NULL, retire_again_and_again, &rounds) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        provoke(segment);
    }
    __atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(rounds > 0);
    CHECK_OK(neocortex_close(segment));
}

CHECK_MAIN(
    CHECK_ONCE(a_recovered_holder_is_a_warning),
    CHECK_ONCE(a_message_has_the_key_and_the_name_of_its_cortex),
    CHECK_ONCE(the_callback_may_use_the_library),
    CHECK_ONCE(the_callback_may_set_the_log),
    CHECK_ONCE(any_thread_may_set_the_log_at_any_time),
    CHECK_ONCE(a_replaced_callback_is_not_running))
