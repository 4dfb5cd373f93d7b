/* counter [processes] [increments]: several processes count together, and no crash spoils it.
 *
 * Creates a cortex with one 64-bit counter. A copy of itself is killed while it holds the counter, with a number
 * in it that was not committed. Then `processes` (default 4) copies each add one `increments` (default 10000)
 * times, and the sum is checked. The exit status tells: 0 when it is right.
 *
 * A read followed by a write would lose increments: two processes would read the same number. Between
 * neocortex_write_begin and neocortex_write_commit nobody else writes.
 */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <errno.h>
#include <neocortex.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_PROCESSES = 100 };

static int failed(const char *who)
{
    fprintf(stderr, "%s: %s\n", who, neocortex_last_message());
    return 1;
}

static long number(const char *text, long low, long high)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "usage: counter [processes 1..%d] [increments]\n", MOST_PROCESSES);
        exit(2);
    }
    return value;
}

/* counter --count NAME INCREMENTS: what each process that main() starts does. */
static int count(const char *name, long increments)
{
    neocortex_segment *segment = neocortex_attach_named(name, sizeof(uint64_t), NULL);
    int outcome = 0;

    if (segment == NULL) {
        return failed("counting process");
    }
    for (long i = 0; i < increments && outcome == 0; i++) {
        void *value;

        if (neocortex_write_begin(segment, &value) != NEOCORTEX_OK) {
            outcome = failed("counting process");
        } else {
            *(uint64_t *)value += 1;
            if (neocortex_write_commit(segment) != NEOCORTEX_OK) {
                outcome = failed("counting process");
            }
        }
    }
    if (neocortex_close(segment) != NEOCORTEX_OK) {
        outcome = failed("counting process");
    }
    return outcome;
}

/* Forks a child that changes the counter without committing, and kills it there. A forked child may go on using
 * an inherited handle. */
static int kill_one_half_way(neocortex_segment *segment)
{
    int ready[2];
    char byte;
    int status;
    pid_t child;
    ssize_t told;

    if (pipe(ready) != 0 || (child = fork()) < 0) {
        perror("counter");
        return 1;
    }
    if (child == 0) {
        void *value;

        if (neocortex_write_begin(segment, &value) == NEOCORTEX_OK) {
            *(uint64_t *)value = 666;
            if (write(ready[1], "h", 1) == 1) {
                alarm(60); /* should nobody kill it */
                pause();
            }
        }
        _exit(failed("half way"));
    }
    close(ready[1]);
    told = read(ready[0], &byte, 1);
    close(ready[0]);
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return told == 1 ? 0 : 1;
}

int main(int argc, char **argv)
{
    neocortex_segment *segment;
    pid_t started[MOST_PROCESSES];
    char name[64];
    char increments_text[32];
    long processes, increments, running = 0;
    uint64_t total = 0;
    int outcome = 0;

    if (argc == 4 && strcmp(argv[1], "--count") == 0) {
        return count(argv[2], number(argv[3], 0, 1000000000));
    }
    processes = argc > 1 ? number(argv[1], 1, MOST_PROCESSES) : 4;
    increments = argc > 2 ? number(argv[2], 0, 1000000000) : 10000;

    /* "counter", in a program of its own; several of these examples may run at once. */
    snprintf(name, sizeof name, "example/counter/%ld", (long)getpid());
    segment = neocortex_create_named(name, sizeof total, NULL);
    if (segment == NULL) {
        return failed("counter");
    }
    snprintf(increments_text, sizeof increments_text, "%ld", increments);

    if (kill_one_half_way(segment) != 0) {
        neocortex_close(segment);
        return 1;
    }
    printf("counter: a process that held it was killed\n");

    while (running < processes) {
        const pid_t child = fork();

        if (child == 0) {
            execlp(argv[0], argv[0], "--count", name, increments_text, (char *)NULL);
            perror("counter: exec");
            _exit(127);
        }
        if (child < 0) {
            perror("counter: fork");
            outcome = 1;
            break;
        }
        started[running++] = child;
    }
    for (long i = 0; i < running; i++) {
        int status;

        while (waitpid(started[i], &status, 0) < 0 && errno == EINTR) {
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            fprintf(stderr, "counter: process %ld failed\n", (long)started[i]);
            outcome = 1;
        }
    }

    if (neocortex_read(segment, &total, sizeof total) != NEOCORTEX_OK) {
        outcome = failed("counter");
    } else if (total != (uint64_t)processes * (uint64_t)increments) {
        outcome = 1;
    }
    if (neocortex_close(segment) != NEOCORTEX_OK) {
        outcome = failed("counter");
    }
    printf("counter: %ld processes, %ld increments each: %llu %s\n", processes, increments, (unsigned long long)total,
           outcome == 0 ? "(right)" : "(WRONG)");
    return outcome;
}
