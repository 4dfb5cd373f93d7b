/* writer [key] [milliseconds] [count]: shares a sensor's reading.
 *
 * Creates a cortex under `key` (default 5461), writes a new reading to it every `milliseconds`
 * (default 500) until Ctrl-C, SIGTERM, or `count` readings (default 0: no end), and removes it. Watch it
 * with `reader` in another terminal. Key 0 asks for a random key; the first line says which it is.
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
        fprintf(stderr, "usage: writer [key] [milliseconds] [count]\n");
        exit(2);
    }
    return number;
}

int main(int argc, char **argv)
{
    const int32_t key = (int32_t)argument(argc, argv, 1, INT32_MIN, INT32_MAX, DEFAULT_KEY);
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

    /* If an earlier writer was killed, what it left behind is replaced; a live one is left alone. */
    options.flags = key == 0 ? NEOCORTEX_RANDOM_KEY : NEOCORTEX_REPLACE_STALE;
    segment = neocortex_create(key, sizeof reading, &options);
    if (segment == NULL) {
        return failed();
    }
    printf("writer: key %ld\n", (long)neocortex_key(segment));

    while (!stop && (count == 0 || reading.sequence < (uint64_t)count)) {
        reading.sequence += 1;
        reading.value += reading.sequence % 2 == 0 ? -0.25 : 0.5;
        if (neocortex_write(segment, &reading, sizeof reading) != NEOCORTEX_OK) {
            outcome = failed();
            break;
        }
        printf("writer: %llu: %.2f\n", (unsigned long long)reading.sequence, reading.value);
        nanosleep(&pause, NULL);
    }

    /* We created it, so closing it removes it; readers are told. */
    if (neocortex_close(segment) != NEOCORTEX_OK) {
        outcome = failed();
    }
    printf("writer: closed\n");
    return outcome;
}
