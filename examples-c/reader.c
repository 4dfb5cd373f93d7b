/* reader [name] [count]: prints the readings that `writer` shares.
 *
 * Waits until somebody has created the cortex of this name (default example/reading; a minute at most), and prints each
 * change until `count` of them (default 0: no end), until the writer is gone, or until Ctrl-C or SIGTERM. A reader that
 * is slower than the writer sees the newest reading, not every one.
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

#include "reading.h"

static neocortex_segment *segment;
static volatile sig_atomic_t stop;

/* neocortex_interrupt may be called here: it is async-signal-safe. */
static void on_signal(int number)
{
    (void)number;
    stop = 1;
    (void)neocortex_interrupt(segment);
}

static int failed(void)
{
    fprintf(stderr, "reader: %s\n", neocortex_last_message());
    return 1;
}

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
        fprintf(stderr, "usage: reader [name] [count]\n");
        exit(2);
    }
    return number;
}

int main(int argc, char **argv)
{
    const char *const name = argc > 1 ? argv[1] : READING_NAME;
    const long count = argument(argc, argv, 2, 0, 1000000000, 0);
    /* A signal that comes just before the wait begins is seen after this long at the latest. */
    const int64_t second = 1000000000;
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    struct sigaction action;
    struct reading reading;
    uint64_t seen = 0;
    uint64_t newest;
    long printed = 0;
    int outcome = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    options.schema = neocortex_schema_of(READING_TYPE);
    segment = neocortex_attach_named_wait(name, sizeof reading, &options, 60 * second);
    if (segment == NULL) {
        return failed();
    }

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    while (!stop && (count == 0 || printed < count)) {
        /* A new cortex is at count 0, so this also waits for the first reading. */
        const neocortex_status status = neocortex_wait(segment, seen, second, &newest);

        if (status == NEOCORTEX_ERR_TIMEOUT || status == NEOCORTEX_ERR_INTERRUPTED) {
            continue;
        }
        if (status == NEOCORTEX_ERR_REMOVED) {
            printf("reader: the writer is gone\n");
            break;
        }
        /* `seen` is the version of this very reading, so that none is printed twice. */
        if (status != NEOCORTEX_OK || neocortex_read_versioned(segment, &reading, sizeof reading, &seen) != NEOCORTEX_OK) {
            outcome = failed();
            break;
        }
        printf("reader: %llu: %.2f\n", (unsigned long long)reading.sequence, reading.value);
        printed += 1;
    }

    /* The handler uses the segment: from here on signals have their usual effect again. */
    action.sa_handler = SIG_DFL;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (neocortex_close(segment) != NEOCORTEX_OK) {
        outcome = failed();
    }
    return outcome;
}
