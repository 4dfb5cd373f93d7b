/* reader [key] [count]: prints the readings that `writer` shares.
 *
 * Attaches to the cortex under `key` (default 5461) and prints each change until `count` of them (default
 * 0: no end), until the writer is gone, or until Ctrl-C or SIGTERM. A reader that is slower than the writer
 * sees the newest reading, not every one.
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
        fprintf(stderr, "usage: reader [key] [count]\n");
        exit(2);
    }
    return number;
}

int main(int argc, char **argv)
{
    const int32_t key = (int32_t)argument(argc, argv, 1, INT32_MIN, INT32_MAX, DEFAULT_KEY);
    const long count = argument(argc, argv, 2, 0, 1000000000, 0);
    /* A signal that comes just before the wait begins is seen after this long at the latest. */
    const int64_t second = 1000000000;
    struct sigaction action;
    struct reading reading;
    uint64_t seen = 0;
    long printed = 0;
    int outcome = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    segment = neocortex_attach(key, sizeof reading);
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
        const neocortex_status status = neocortex_wait(segment, seen, second, &seen);

        if (status == NEOCORTEX_ERR_TIMEOUT || status == NEOCORTEX_ERR_INTERRUPTED) {
            continue;
        }
        if (status == NEOCORTEX_ERR_REMOVED) {
            printf("reader: the writer is gone\n");
            break;
        }
        if (status != NEOCORTEX_OK || neocortex_read(segment, &reading, sizeof reading) != NEOCORTEX_OK) {
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
