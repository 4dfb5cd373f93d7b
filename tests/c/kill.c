/* SIGKILL at any instruction: nobody hangs, and the last committed value is there. For each built-in lock. */
#include "check.h"

static neocortex_segment *create(size_t size)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;

    options.lock = check_given.lock;
    return check_create(size, &options);
}

/* A child that attaches, begins (to write, or to read), spoils what it can, and waits to be killed. */
static pid_t start_holder(const neocortex_segment *segment, bool writes, struct check_pipe held)
{
    const pid_t child = check_fork();

    if (child == 0) {
        neocortex_segment *mine = check_attach(segment);
        const void *read_data;
        void *data;

        if (writes) {
            CHECK_OK(neocortex_write_begin(mine, &data));
            memset(data, 0xee, neocortex_size(mine));
        } else {
            CHECK_OK(neocortex_read_begin(mine, &read_data));
        }
        check_tell(held);
        check_stay();
    }
    check_hear(held);
    return child;
}

static void writer_killed_mid_write_keeps_last_commit(void)
{
    neocortex_segment *segment = create(8);
    const struct check_pipe held = check_open_pipe();

    for (uint64_t i = 1; i <= 10; i++) {
        check_write(segment, i);
        check_kill(start_holder(segment, true, held));
        CHECK(check_read(segment) == i);
        CHECK(neocortex_commit_count(segment) == i);
        CHECK(!neocortex_is_poisoned(segment));
    }
    /* Without a look in between. */
    check_kill(start_holder(segment, true, held));
    check_write(segment, 100);
    CHECK(check_read(segment) == 100);
    /* What the killed one had, a partial write builds on the last commit. */
    check_kill(start_holder(segment, true, held));
    CHECK_OK(neocortex_write_at(segment, 7, "", 1));
    CHECK(check_read(segment) == 100);
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(held);
}

static void killed_publisher_keeps_last_publish(void)
{
    neocortex_segment *segment = create(8);
    const struct check_pipe held = check_open_pipe();
    const pid_t child = check_fork();

    if (child == 0) {
        neocortex_segment *mine = check_attach(segment);
        void *data;

        CHECK_OK(neocortex_write_begin(mine, &data));
        for (uint64_t i = 1; i <= 7; i++) {
            *(uint64_t *)data = i;
            CHECK_OK(neocortex_write_publish(mine, &data));
        }
        *(uint64_t *)data = 99;
        check_tell(held);
        check_stay();
    }
    check_hear(held);
    check_kill(child);
    CHECK(check_read(segment) == 7);
    check_write(segment, 8);
    CHECK(check_read(segment) == 8);
    CHECK(neocortex_commit_count(segment) == 8);
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(held);
}

static void killed_reader_holds_nobody_up(void)
{
    neocortex_segment *segment = create(8);
    const struct check_pipe held = check_open_pipe();

    for (uint64_t i = 1; i <= 10; i++) {
        check_kill(start_holder(segment, false, held));
        check_write(segment, i);
        CHECK(check_read(segment) == i);
    }
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(held);
}

static void *write_nine(void *segment)
{
    check_write(segment, 9);
    return NULL;
}

/* The others are waiting already, or are about to: both must end. */
static void waiting_writers_go_on_when_the_holder_is_killed(void)
{
    enum { WAITERS = 3 };
    for (int i = 0; i < 10; i++) {
        neocortex_segment *segment = create(8);
        const struct check_pipe held = check_open_pipe();
        const pid_t holder = start_holder(segment, i % 2 == 0, held);
        pthread_t threads[WAITERS];
        pid_t children[WAITERS];

        for (int j = 0; j < WAITERS; j++) {
            children[j] = check_fork();
            if (children[j] == 0) {
                neocortex_segment *mine = check_attach(segment);

                check_tell(held);
                check_write(mine, 9);
                CHECK_OK(neocortex_close(mine));
                _exit(0);
            }
            check_hear(held);
        }
        for (int j = 0; j < WAITERS; j++) {
            CHECK(pthread_create(&threads[j], NULL, write_nine, segment) == 0);
        }
        check_kill(holder);
        for (int j = 0; j < WAITERS; j++) {
            CHECK(pthread_join(threads[j], NULL) == 0);
            CHECK_CHILD(children[j]);
        }
        CHECK(check_read(segment) == 9);
        CHECK(neocortex_commit_count(segment) == 2 * WAITERS);
        CHECK_OK(neocortex_close(segment));
        check_close_pipe(held);
    }
}

/* Words that are all the same number: any mix of two commits shows. */
enum { WORDS = 512 };

static void write_words(neocortex_segment *segment, uint64_t number)
{
    uint64_t words[WORDS];

    for (int i = 0; i < WORDS; i++) {
        words[i] = number;
    }
    CHECK_OK(neocortex_write(segment, words, sizeof words));
}

static uint64_t read_words(neocortex_segment *segment)
{
    uint64_t words[WORDS];

    CHECK_OK(neocortex_read(segment, words, sizeof words));
    for (int i = 1; i < WORDS; i++) {
        CHECK(words[i] == words[0]);
    }
    return words[0];
}

/* Writers that write without pause are killed wherever they happen to be. `done` is what each is known to have
 * committed: the value may be that or the next, never older, never mixed. */
static void kill_storm(void)
{
    enum { ROUNDS = 100 };
    neocortex_segment *segment = create(WORDS * sizeof(uint64_t));
    volatile uint64_t *done = check_shared(sizeof *done);
    uint64_t last = 0;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        const uint64_t first = last + 1;
        const pid_t child = check_fork();

        if (child == 0) {
            neocortex_segment *mine = check_attach(segment);

            for (uint64_t number = first;; number++) {
                write_words(mine, number);
                *done = number;
            }
        }
        /* Until it has written a few, and then at a point that the rest of the machine chooses. */
        while (*done < first + check_random() % 50) {
            CHECK(read_words(segment) >= last);
        }
        check_kill(child);
        last = read_words(segment);
        CHECK(last == *done || last == *done + 1);
        write_words(segment, ++last);
        CHECK(read_words(segment) == last);
        *done = last;
    }
    CHECK(neocortex_commit_count(segment) == last);
    CHECK_OK(neocortex_close(segment));
    munmap((void *)done, sizeof *done);
}

/* Several at once, some killed, some not. */
static void kill_storm_among_many(void)
{
    enum { ROUNDS = 10, VICTIMS = 4, SURVIVORS = 2, TIMES = 300 };
    neocortex_segment *segment = create(WORDS * sizeof(uint64_t));
    volatile uint64_t *victims_done = check_shared(VICTIMS * sizeof *victims_done);

    for (int round = 0; round < ROUNDS; round++) {
        pid_t victims[VICTIMS], survivors[SURVIVORS];

        for (int i = 0; i < VICTIMS; i++) {
            victims_done[i] = 0;
            victims[i] = check_fork();
            if (victims[i] == 0) {
                neocortex_segment *mine = check_attach(segment);

                for (;;) {
                    write_words(mine, check_random());
                    victims_done[i] += 1;
                    read_words(mine);
                }
            }
        }
        for (int i = 0; i < SURVIVORS; i++) {
            survivors[i] = check_fork();
            if (survivors[i] == 0) {
                neocortex_segment *mine = check_attach(segment);

                for (int j = 0; j < TIMES; j++) {
                    write_words(mine, (uint64_t)j);
                    read_words(mine);
                }
                CHECK_OK(neocortex_close(mine));
                _exit(0);
            }
        }
        for (int i = 0; i < VICTIMS; i++) {
            while (victims_done[i] < 5) {
                read_words(segment);
            }
            check_kill(victims[i]);
        }
        for (int i = 0; i < SURVIVORS; i++) {
            CHECK_CHILD(survivors[i]);
        }
        write_words(segment, 1);
        CHECK(read_words(segment) == 1);
    }
    CHECK_OK(neocortex_close(segment));
    munmap((void *)victims_done, VICTIMS * sizeof *victims_done);
}

/* The places of the dead are free again. */
static void the_dead_do_not_use_up_the_participants(void)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    const struct check_pipe held = check_open_pipe();
    neocortex_segment *segment;

    options.lock = check_given.lock;
    options.participants = 3;
    segment = check_create(8, &options);
    for (int i = 0; i < 20; i++) {
        check_kill(start_holder(segment, i % 2 == 0, held));
    }
    check_write(segment, 1);
    CHECK_OK(neocortex_close(segment));
    check_close_pipe(held);
}

CHECK_MAIN(
    CHECK_EACH_LOCK(writer_killed_mid_write_keeps_last_commit),
    CHECK_EACH_LOCK(killed_publisher_keeps_last_publish),
    CHECK_EACH_LOCK(killed_reader_holds_nobody_up),
    CHECK_EACH_LOCK(waiting_writers_go_on_when_the_holder_is_killed),
    CHECK_EACH_LOCK(kill_storm),
    CHECK_EACH_LOCK(kill_storm_among_many),
    CHECK_EACH_LOCK(the_dead_do_not_use_up_the_participants))
