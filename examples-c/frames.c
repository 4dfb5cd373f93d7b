/* frames [count]: a frame buffer like a camera's, drawn in place by one process and looked at by another.
 *
 * Creates a buffer of one frame, starts a camera (itself, run again) that draws frame after frame in it, and looks
 * at `count` (default 100) of them, without copying. Then it kills the camera in the middle of a frame: in place
 * that cannot be taken back, so it is reported as NEOCORTEX_ERR_POISONED, and a whole write heals it.
 * The exit status tells: 0 when all of that was seen.
 */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <errno.h>
#include <neocortex.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 240, BAND = 16 };

/* A bright band moves down the picture; `number` says where it must be. */
struct frame {
    uint64_t number;
    unsigned char pixels[HEIGHT][WIDTH];
};

static const int64_t MINUTE = INT64_C(60000000000);
/* In which the camera, if it could draw, would draw thousands of frames. */
static const struct timespec BLINK = {0, 20000000};

static int failed(const char *who)
{
    fprintf(stderr, "%s: %s\n", who, neocortex_last_message());
    return 1;
}

static size_t band_of(uint64_t number)
{
    return (size_t)(number * 3 % (HEIGHT - BAND));
}

static void paint(struct frame *frame, int shade)
{
    memset(frame->pixels[band_of(frame->number)], shade, (size_t)BAND * WIDTH);
}

static int is_whole(const struct frame *frame)
{
    const size_t band = band_of(frame->number);

    for (size_t row = 0; row < HEIGHT; row++) {
        const unsigned char shade = row >= band && row < band + BAND ? 255 : 0;

        for (size_t column = 0; column < WIDTH; column++) {
            if (frame->pixels[row][column] != shade) {
                return 0;
            }
        }
    }
    return 1;
}

static long number(const char *text, long low, long high)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "usage: frames [count]\n");
        exit(2);
    }
    return value;
}

/* frames --camera NAME: what the other process does. Standard input is a pipe from the first. */
static int camera(const char *name)
{
    neocortex_segment *segment = neocortex_attach_named(name, sizeof(struct frame), NULL);
    struct pollfd request = {STDIN_FILENO, POLLIN, 0};
    void *data;
    char byte;

    if (segment == NULL) {
        return failed("camera");
    }
    /* Frame after frame, each as soon as nobody looks at the one before, until a word comes. */
    for (uint64_t i = 1; poll(&request, 1, 0) == 0; i++) {
        struct frame *frame;

        if (neocortex_write_begin(segment, &data) != NEOCORTEX_OK) {
            return failed("camera");
        }
        frame = data;
        paint(frame, 0);
        frame->number = i;
        paint(frame, 255);
        if (neocortex_write_commit(segment) != NEOCORTEX_OK) {
            return failed("camera");
        }
    }
    /* Half a frame, and then nothing more. */
    if (read(STDIN_FILENO, &byte, 1) != 1 || neocortex_write_begin(segment, &data) != NEOCORTEX_OK) {
        return failed("camera");
    }
    paint(data, 0);
    if (write(STDOUT_FILENO, "h", 1) != 1 || read(STDIN_FILENO, &byte, 1) != 0) { /* killed in this read */
        perror("camera");
    }
    return 1;
}

/* Looks at so many frames; the number of the last one, or 0. */
static uint64_t look(neocortex_segment *segment, long count)
{
    uint64_t seen = 0;
    uint64_t shown = 0;

    for (long i = 0; i < count; i++) {
        const void *data;
        uint64_t count_shown;
        int whole;

        /* Sleeps until there is a frame that this loop has not seen; those in between are skipped. */
        if (neocortex_wait(segment, seen, MINUTE, &seen) != NEOCORTEX_OK ||
            neocortex_read_begin(segment, &data) != NEOCORTEX_OK) {
            failed("frames");
            return 0;
        }
        /* Nothing is drawn while it is looked at, however long that takes. */
        count_shown = neocortex_commit_count(segment);
        if (i == 0) {
            nanosleep(&BLINK, NULL);
        }
        if (neocortex_commit_count(segment) != count_shown) {
            fprintf(stderr, "frames: a frame was drawn over the one that is looked at\n");
            neocortex_read_end(segment);
            return 0;
        }
        shown = ((const struct frame *)data)->number;
        whole = is_whole(data);
        if (neocortex_read_end(segment) != NEOCORTEX_OK || !whole) {
            fprintf(stderr, "frames: frame %llu is torn\n", (unsigned long long)shown);
            return 0;
        }
    }
    return shown;
}

int main(int argc, char **argv)
{
    static struct frame blank;
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    neocortex_segment *segment;
    int to_camera[2], from_camera[2], status, outcome = 0;
    char name[64], byte;
    const void *data;
    long count;
    uint64_t last;
    pid_t child;

    if (argc == 3 && strcmp(argv[1], "--camera") == 0) {
        return camera(argv[2]);
    }
    count = argc > 1 ? number(argv[1], 1, 1000000) : 100;

    /* "frames", in a program of its own; several of these examples may run at once. */
    snprintf(name, sizeof name, "example/frames/%ld", (long)getpid());
    options.flags = NEOCORTEX_IN_PLACE;
    options.lock = neocortex_lock_rwlock(); /* many may look at a time, without copying */
    options.timeout_ns = MINUTE;
    segment = neocortex_create_named(name, sizeof blank, &options);
    if (segment == NULL) {
        return failed("frames");
    }

    signal(SIGPIPE, SIG_IGN); /* a camera that is gone is an answer of write() */
    if (pipe(to_camera) != 0 || pipe(from_camera) != 0 || (child = fork()) < 0) {
        perror("frames");
        neocortex_close(segment);
        return 1;
    }
    if (child == 0) {
        dup2(to_camera[0], STDIN_FILENO);
        dup2(from_camera[1], STDOUT_FILENO);
        close(to_camera[0]);
        close(to_camera[1]);
        close(from_camera[0]);
        close(from_camera[1]);
        execlp(argv[0], argv[0], "--camera", name, (char *)NULL);
        perror("frames: exec");
        _exit(127);
    }
    close(to_camera[0]);
    close(from_camera[1]);

    last = look(segment, count);
    if (last == 0 || write(to_camera[1], "h", 1) != 1 || read(from_camera[0], &byte, 1) != 1) {
        outcome = 1;
    }
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (outcome == 0) {
        printf("frames: looked at %ld of %llu, all whole; the camera was killed while it drew\n", count,
               (unsigned long long)last);
        if (neocortex_read_begin(segment, &data) != NEOCORTEX_ERR_POISONED) {
            fprintf(stderr, "frames: half a frame passed for a whole one\n");
            outcome = 1;
        } else if (neocortex_write(segment, &blank, sizeof blank) != NEOCORTEX_OK ||
                   neocortex_read_begin(segment, &data) != NEOCORTEX_OK ||
                   neocortex_read_end(segment) != NEOCORTEX_OK) {
            outcome = failed("frames");
        } else {
            printf("frames: half a frame was reported as poisoned, and a whole one healed it\n");
        }
    }
    if (neocortex_close(segment) != NEOCORTEX_OK) {
        outcome = failed("frames");
    }
    return outcome;
}
