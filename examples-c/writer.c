/* writer [name] [milliseconds] [count]: shares a sensor's reading.
 *
 * Creates the cortex of this name (default example/reading), or attaches to it where it exists, and writes a new reading
 * every `milliseconds` (default 500) until Ctrl-C, SIGTERM, or `count` readings (default 0: no end). Watch it with `reader`
 * in another terminal, which may be started first.
 *
 * Several writers may run at once: each goes on from the last reading, whoever wrote it. The one that created the cortex
 * removes it when it ends. If that one is killed, the others go on; a writer that starts when none of them is left
 * begins anew.
 */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <errno.h>
#include <neocortex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reading.h"

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static int failed(void)
{
    fprintf(stderr, "writer: %s\n", neocortex_last_message());
    return 1;
}

/* A number in [low, high] from argv, or `otherwise` when it is not there. */
static long argument(int argc, char **argv, int index, long low, long high, long otherwise)
{
    char *end;
    long number;

    if (index >= argc) {
        return otherwise;
    }
    errno = 0;
    number = strtol(argv[index], &end, 10);
    if (errno != 0 || end == argv[index] || *end != '\0' || number < low || number > high) {
        fprintf(stderr, "usage: writer [name] [milliseconds] [count]\n");
        exit(2);
    }
    return number;
}

/* The next reading, after whatever the last one is: nobody writes in between. */
static neocortex_status measure(neocortex_segment *segment, struct reading *reading)
{
    void *data;
    const neocortex_status status = neocortex_write_begin(segment, &data);

    if (status != NEOCORTEX_OK) {
        return status;
    }
    *reading = *(struct reading *)data;
    reading->sequence += 1;
    reading->value += reading->sequence % 2 == 0 ? -0.25 : 0.5;
    *(struct reading *)data = *reading;
    return neocortex_write_commit(segment);
}

int main(int argc, char **argv)
{
    const char *const name = argc > 1 ? argv[1] : READING_NAME;
    const long milliseconds = argument(argc, argv, 2, 0, 3600000, 500);
    const long count = argument(argc, argv, 3, 0, 1000000000, 0);
    const struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    struct reading reading = {20.0, 0};
    struct sigaction action;
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment;
    int outcome = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal; /* no SA_RESTART: nanosleep ends at once */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    /* Exactly one of the writers that start at once creates it; the others attach. What was left behind where nobody
     * lives is replaced. */
    options.flags = NEOCORTEX_OPEN_OR_CREATE | NEOCORTEX_REPLACE_STALE;
    options.schema = neocortex_schema_of(READING_TYPE);
    segment = neocortex_create_named_with(name, sizeof reading, &reading, &options); /* readers see it, or nothing */
    if (segment == NULL) {
        return failed();
    }
    printf("writer: %s %s\n", neocortex_was_created(segment) ? "created" : "found", name);

    for (long done = 0; !stop && (count == 0 || done < count); done++) {
        const neocortex_status status = measure(segment, &reading);

        if (status == NEOCORTEX_ERR_REMOVED) {
            printf("writer: the one that created it has ended\n");
            break;
        }
        if (status != NEOCORTEX_OK) {
            outcome = failed();
            break;
        }
        printf("writer: %llu: %.2f\n", (unsigned long long)reading.sequence, reading.value);
        nanosleep(&pause, NULL);
    }

    /* Where we created it, closing it removes it; readers are told. */
    if (neocortex_close(segment) != NEOCORTEX_OK) {
        outcome = failed();
    }
    printf("writer: closed\n");
    return outcome;
}
