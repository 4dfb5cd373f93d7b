/* What the C tests share: CHECK, keys, children, and leaving the kernel's tables as they were.
 *
 * Each file is a program. It includes this file first and ends with CHECK_MAIN and its tests, which is its main: it runs them
 * and prints `ok FILE`, or `FAIL file:line expression` and the test's name, and exits with 1.
 *
 * - check_key() gives random keys that are not in use; what is made under them is removed at the end, also
 *   after a failure, also when the watchdog (120 s for each test), SIGTERM or SIGINT ends the program.
 * - check_fork() starts children that the end of the test, however it comes, does not leave behind.
 * - check_tell/check_hear pass a byte through a pipe: tests wait for one another, they do not sleep.
 * - check_done() fails if anything is left under a key, or (Linux) if a semaphore set is left that one of
 *   the test's processes used.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* -std=c99 hides MAP_ANON and more */
#endif
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <neocortex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __cplusplus
#include <exception>
#endif

#if defined(__GNUC__)
#define CHECK_UNUSED __attribute__((unused))
#else
#define CHECK_UNUSED
#endif

enum { CHECK_MOST_KEYS = 512, CHECK_MOST_CHILDREN = 4096, CHECK_MOST_SETS = 4096, CHECK_WATCHDOG = 120 };

/* ------------------------------------------------------------------------------------- failures */

static const char *check_running = "no test"; /* its name */

CHECK_UNUSED static void check_failed(const char *file, int line, const char *expression)
{
    const char *message = neocortex_last_message();

    printf("FAIL %s:%d %s (%s)\n", file, line, expression, check_running);
    printf("     last status %d, OS error %d, custom %d: %s\n", (int)neocortex_last_status(),
           neocortex_last_os_error(), neocortex_last_custom(), message == NULL ? "(null)" : message);
    fflush(stdout);
    exit(1); /* in a child of check_fork: its atexit handler does nothing, the parent sees the status */
}

#define CHECK(expression) ((expression) ? (void)0 : check_failed(__FILE__, __LINE__, #expression))

/* CHECK_STATUS(call, NEOCORTEX_ERR_X) also says what it was instead. */
#define CHECK_STATUS(call, wanted) check_status(__FILE__, __LINE__, #call, (call), (wanted), #wanted)
#define CHECK_OK(call) CHECK_STATUS(call, NEOCORTEX_OK)

CHECK_UNUSED static void check_status(const char *file, int line, const char *call, int got, int wanted,
                                      const char *wanted_text)
{
    if (got != wanted) {
        char text[512];

        snprintf(text, sizeof text, "%s: is %d (%s), not %s", call, got, neocortex_strerror(got), wanted_text);
        check_failed(file, line, text);
    }
}

/* CHECK_NULL(handle, NEOCORTEX_ERR_X): a call that returns a handle failed, and why. */
#define CHECK_NULL(call, wanted) \
    do { \
        CHECK((call) == NULL); \
        check_status(__FILE__, __LINE__, #call, neocortex_last_status(), (wanted), #wanted); \
    } while (0)

/* ------------------------------------------------------------------- what the test must clean up */

static int32_t check_keys[CHECK_MOST_KEYS];
static int check_key_count;
static pid_t check_children[CHECK_MOST_CHILDREN]; /* negative once waited for */
static int check_child_count;
static int check_sets_before[CHECK_MOST_SETS];
static int check_set_count;
static pid_t check_main; /* the process that cleans up */

/* The ids of all semaphore sets, Linux only (else none). */
CHECK_UNUSED static int check_list_sets(int *ids, int most)
{
    FILE *table = fopen("/proc/sysvipc/sem", "r");
    char line[512];
    int count = 0;

    if (table == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, table) != NULL && count < most) {
        if (sscanf(line, "%*d %d", &ids[count]) == 1) {
            count += 1;
        }
    }
    fclose(table);
    return count;
}

/* Whether the last to act on one of a set's semaphores was this test or a child of it. */
CHECK_UNUSED static bool check_set_is_ours(int id)
{
    /* Semaphores beyond a set's end answer EINVAL. */
    for (int number = 0; number < 40000; number++) {
        const int pid = semctl(id, number, GETPID);

        if (pid < 0) {
            return false;
        }
        if (pid == check_main) {
            return true;
        }
        for (int i = 0; i < check_child_count; i++) {
            if (pid != 0 && (pid == check_children[i] || pid == -check_children[i])) {
                return true;
            }
        }
    }
    return false;
}

/* Sets that are there now, were not at the start, and are ours. Removes them if asked. */
CHECK_UNUSED static int check_sets_left(bool remove)
{
    static int now[CHECK_MOST_SETS];
    const int count = check_list_sets(now, CHECK_MOST_SETS);
    int left = 0;

    for (int i = 0; i < count; i++) {
        bool before = false;

        for (int j = 0; j < check_set_count && !before; j++) {
            before = check_sets_before[j] == now[i];
        }
        if (!before && check_set_is_ours(now[i])) {
            left += 1;
            if (remove) {
                semctl(now[i], 0, IPC_RMID);
            }
        }
    }
    return left;
}

/* Async-signal-safe. */
CHECK_UNUSED static void check_end_children(void)
{
    for (int i = 0; i < check_child_count; i++) {
        if (check_children[i] > 0) {
            kill(check_children[i], SIGKILL);
            while (waitpid(check_children[i], NULL, 0) < 0 && errno == EINTR) {
            }
            check_children[i] = -check_children[i];
        }
    }
}

CHECK_UNUSED static void check_remove_keys(void)
{
    for (int i = 0; i < check_key_count; i++) {
        const int id = shmget((key_t)check_keys[i], 0, 0);

        if (id >= 0) {
            shmctl(id, IPC_RMID, NULL);
        }
    }
}

CHECK_UNUSED static void check_at_exit(void)
{
    if (getpid() == check_main) {
        check_end_children();
        check_remove_keys();
        check_sets_left(true);
    }
}

CHECK_UNUSED static void check_watchdog(int number)
{
    static const char late[] = "FAIL watchdog: the test did not end in time\n";
    static const char told[] = "FAIL told to end\n";
    const bool is_late = number == SIGALRM;

    if (write(STDOUT_FILENO, is_late ? late : told, is_late ? sizeof late - 1 : sizeof told - 1) < 0) {
        /* nothing to be done */
    }
    if (getpid() == check_main) {
        check_end_children();
        check_remove_keys();
        check_sets_left(true); /* not async-signal-safe, and the last thing that this process does */
    }
    _exit(124);
}

/* First in a main() of its own. */
CHECK_UNUSED static void check_start(void)
{
    struct sigaction action;

    check_main = getpid();
    setvbuf(stdout, NULL, _IOLBF, 0);
    memset(&action, 0, sizeof action);
    action.sa_handler = check_watchdog;
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    alarm(CHECK_WATCHDOG);
    signal(SIGPIPE, SIG_IGN);
    check_set_count = check_list_sets(check_sets_before, CHECK_MOST_SETS);
    atexit(check_at_exit);
}

CHECK_UNUSED static bool check_exists(int32_t key)
{
    return shmget((key_t)key, 0, 0) >= 0 || errno != ENOENT;
}

/* Last in a main() of its own: `return check_done("name");` */
CHECK_UNUSED static int check_done(const char *name)
{
    for (int i = 0; i < check_child_count; i++) {
        CHECK(check_children[i] < 0 && "every child was waited for");
    }
    for (int i = 0; i < check_key_count; i++) {
        CHECK(!check_exists(check_keys[i]) && "nothing is left under the key");
    }
    CHECK(check_sets_left(false) == 0 && "no semaphore set is left");
    printf("ok %s\n", name);
    return 0;
}

/* ----------------------------------------------------------------------------------------- keys */

CHECK_UNUSED static uint64_t check_random(void)
{
    static int source = -1;
    uint64_t number = 0;

    if (source < 0) {
        source = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    }
    CHECK(source >= 0 && read(source, &number, sizeof number) == (ssize_t)sizeof number);
    return number;
}

/* Adds a key to those that the end of the test removes. */
CHECK_UNUSED static int32_t check_own(int32_t key)
{
    CHECK(check_key_count < CHECK_MOST_KEYS);
    check_keys[check_key_count++] = key;
    return key;
}

/* A random key, not 0, under which there is nothing. */
CHECK_UNUSED static int32_t check_key(void)
{
    for (;;) {
        const int32_t key = (int32_t)(check_random() & 0x7fffffff);

        if (key != 0 && !check_exists(key)) {
            return check_own(key);
        }
    }
}

/* ------------------------------------------------------------------------------------- children */

CHECK_UNUSED static pid_t check_fork(void)
{
    pid_t child;

    CHECK(check_child_count < CHECK_MOST_CHILDREN);
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(CHECK_WATCHDOG); /* is not inherited */
    } else {
        check_children[check_child_count++] = child;
    }
    return child;
}

/* Waits for the child's end, and returns the status as waitpid(2) gives it. */
CHECK_UNUSED static int check_wait(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0) {
        CHECK(errno == EINTR);
    }
    for (int i = 0; i < check_child_count; i++) {
        if (check_children[i] == child) {
            check_children[i] = -child;
        }
    }
    return status;
}

/* The child must end with status 0. */
#define CHECK_CHILD(child) \
    do { \
        const int check_ended = check_wait(child); \
        CHECK(WIFEXITED(check_ended) && WEXITSTATUS(check_ended) == 0); \
    } while (0)

/* Kills the child by SIGKILL and waits until it is gone. */
CHECK_UNUSED static void check_kill(pid_t child)
{
    int status;

    CHECK(kill(child, SIGKILL) == 0);
    status = check_wait(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

struct check_pipe {
    int out; /* read here */
    int in;  /* write here */
};

CHECK_UNUSED static struct check_pipe check_open_pipe(void)
{
    struct check_pipe made;
    int ends[2];

    CHECK(pipe(ends) == 0);
    made.out = ends[0];
    made.in = ends[1];
    return made;
}

CHECK_UNUSED static void check_close_pipe(struct check_pipe pipe)
{
    close(pipe.in);
    close(pipe.out);
}

CHECK_UNUSED static void check_tell(struct check_pipe pipe)
{
    CHECK(write(pipe.in, "x", 1) == 1);
}

CHECK_UNUSED static void check_hear(struct check_pipe pipe)
{
    char byte;
    ssize_t got;

    do {
        got = read(pipe.out, &byte, 1);
    } while (got < 0 && errno == EINTR);
    CHECK(got == 1);
}

/* Until somebody kills us. */
CHECK_UNUSED static void check_stay(void)
{
    for (;;) {
        pause();
    }
}

/* Memory that children share with this process, zeroed. */
CHECK_UNUSED static void *check_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);

    CHECK(memory != MAP_FAILED);
    return memory;
}

CHECK_UNUSED static int64_t check_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#define CHECK_MS ((int64_t)1000000)

/* ----------------------------------------------------------------------------------- short forms */

/* Creates under a new random key; the options may be NULL. */
CHECK_UNUSED static neocortex_segment *check_create(size_t size, const neocortex_options *options)
{
    neocortex_segment *made = neocortex_create(check_key(), size, options);

    CHECK(made != NULL);
    return made;
}

CHECK_UNUSED static neocortex_segment *check_attach(const neocortex_segment *other)
{
    neocortex_segment *made = neocortex_attach(neocortex_key(other), neocortex_size(other));

    CHECK(made != NULL);
    return made;
}

/* A child that holds a write guard until somebody kills it. */
CHECK_UNUSED static pid_t check_holder(const neocortex_segment *segment, struct check_pipe held)
{
    const pid_t holder = check_fork();

    if (holder == 0) {
        neocortex_segment *mine = check_attach(segment);
        void *data;

        CHECK_OK(neocortex_write_begin(mine, &data));
        check_tell(held);
        check_stay();
    }
    check_hear(held);
    return holder;
}

/* The value as a number: of 8 bytes, which is what most tests share. */
CHECK_UNUSED static uint64_t check_read(neocortex_segment *segment)
{
    uint64_t value = 0;

    CHECK_OK(neocortex_read(segment, &value, sizeof value));
    return value;
}

CHECK_UNUSED static void check_write(neocortex_segment *segment, uint64_t value)
{
    CHECK_OK(neocortex_write(segment, &value, sizeof value));
}

/* In a new process that attaches by key and does not wait: what writing `value` gives. */
CHECK_UNUSED static int check_stranger_writes(int32_t key, uint64_t value)
{
    const pid_t child = check_fork();
    int status;

    if (child == 0) {
        neocortex_options options = NEOCORTEX_OPTIONS_INIT;
        neocortex_segment *segment;
        int outcome;

        options.flags = NEOCORTEX_NEVER_WAIT;
        segment = neocortex_attach_with(key, 0, &options);
        CHECK(segment != NULL);
        outcome = neocortex_write(segment, &value, sizeof value);
        CHECK_OK(neocortex_close(segment));
        _exit(-outcome + 100); /* apart from 1, which is a failed CHECK */
    }
    status = check_wait(child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) >= 100);
    return 100 - WEXITSTATUS(status);
}

/* The built-in locks, by number; a table that this build does not have is NULL. `tests/header.rs` holds the list to that of
 * the library. */
CHECK_UNUSED static const neocortex_lock_ops *(*const check_locks[])(void) = {
    neocortex_lock_seqlock,
    neocortex_lock_rwlock,
    neocortex_lock_semaphore,
};

enum { CHECK_LOCKS = sizeof check_locks / sizeof *check_locks };

CHECK_UNUSED static const neocortex_lock_ops *check_lock(int number)
{
    return check_locks[number]();
}

/* Attributes of the shared memory under a key, from the kernel. */
CHECK_UNUSED static struct shmid_ds check_stat(int32_t key)
{
    struct shmid_ds found;
    const int id = shmget((key_t)key, 0, 0);

    CHECK(id >= 0);
    CHECK(shmctl(id, IPC_STAT, &found) == 0);
    return found;
}

/* ----------------------------------------------------------------------------------------- main */

/* What a test of CHECK_EACH_LOCK or CHECK_EACH_LAYOUT is to make its segments with. */
static struct {
    const neocortex_lock_ops *lock;
    uint32_t flags; /* 0 or NEOCORTEX_IN_PLACE */
} check_given CHECK_UNUSED;

enum check_how { CHECK_HOW_ONCE, CHECK_HOW_LOCK, CHECK_HOW_LAYOUT };

struct check_test {
    const char *name;
    void (*run)(void);
    enum check_how how;
};

/* A test that runs once; with each lock that this build has; with each lock, in both layouts. */
#define CHECK_ONCE(test) {#test, test, CHECK_HOW_ONCE}
#define CHECK_EACH_LOCK(test) {#test, test, CHECK_HOW_LOCK}
#define CHECK_EACH_LAYOUT(test) {#test, test, CHECK_HOW_LAYOUT}

/* The main of a program: runs its tests, those that run more than once with everything given before the next one. */
#define CHECK_MAIN(...) \
    int main(void) \
    { \
        static const struct check_test tests[] = {__VA_ARGS__}; \
        return check_run(__FILE__, tests, sizeof tests / sizeof *tests); \
    }

CHECK_UNUSED static void check_run_test(const struct check_test *test)
{
    check_running = test->name;
    alarm(CHECK_WATCHDOG); /* anew for each: the machine may be busy */
#ifdef __cplusplus
    try {
        test->run();
    } catch (const std::exception &unexpected) {
        printf("unexpected exception: %s\n", unexpected.what());
        CHECK(false && "no exception");
    }
#else
    test->run();
#endif
}

CHECK_UNUSED static int check_run(const char *file, const struct check_test *tests, size_t count)
{
    const char *slash = strrchr(file, '/');
    char name[64];

    check_start();
    snprintf(name, sizeof name, "%s", slash == NULL ? file : slash + 1);
    *strrchr(name, '.') = '\0';
    for (int round = 0; round < 2 * CHECK_LOCKS; round++) {
        check_given.lock = check_lock(round / 2);
        check_given.flags = round % 2 == 0 ? 0 : NEOCORTEX_IN_PLACE;
        for (size_t i = 0; i < count; i++) {
            const bool is_due = tests[i].how == CHECK_HOW_ONCE   ? round == 0
                                : tests[i].how == CHECK_HOW_LOCK ? round % 2 == 0
                                                                 : true;

            if (is_due && (tests[i].how == CHECK_HOW_ONCE || check_given.lock != NULL)) {
                check_run_test(&tests[i]);
            }
        }
    }
    check_running = "the end";
    return check_done(name);
}

#endif
