/* A program as a user of an installed neocortex writes it: two processes share a value.
 *
 * Without an argument it creates a cortex and runs itself again with the key; that one changes the value.
 */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <neocortex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed(void)
{
    fprintf(stderr, "app: %s\n", neocortex_last_message());
    return 1;
}

/* The other process. */
static int change(int32_t key)
{
    uint64_t value = 0;
    neocortex_segment *segment = neocortex_attach(key, sizeof value);

    if (segment == NULL || neocortex_read(segment, &value, sizeof value) != NEOCORTEX_OK) {
        return failed();
    }
    value += 1;
    if (neocortex_write(segment, &value, sizeof value) != NEOCORTEX_OK || neocortex_close(segment) != NEOCORTEX_OK) {
        return failed();
    }
    return 0;
}

int main(int argc, char **argv)
{
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    uint64_t value = 41;
    neocortex_segment *segment;
    char key[16];
    int status;
    pid_t child;

    if (argc > 1) {
        return change((int32_t)strtol(argv[1], NULL, 10));
    }
    if (strncmp(neocortex_version(), "4.", 2) != 0 || NEOCORTEX_VERSION_MAJOR != 4) {
        fprintf(stderr, "app: library %s, header %d\n", neocortex_version(), NEOCORTEX_VERSION_MAJOR);
        return 1;
    }
    options.flags = NEOCORTEX_RANDOM_KEY;
    segment = neocortex_create_with(0, sizeof value, &value, &options);
    if (segment == NULL) {
        return failed();
    }
    snprintf(key, sizeof key, "%ld", (long)neocortex_key(segment));
    child = fork();
    if (child == 0) {
        execl(argv[0], argv[0], key, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "app: the other process failed\n");
        neocortex_close(segment);
        return 1;
    }
    if (neocortex_read(segment, &value, sizeof value) != NEOCORTEX_OK || neocortex_close(segment) != NEOCORTEX_OK) {
        return failed();
    }
    if (value != 42) {
        fprintf(stderr, "app: %llu\n", (unsigned long long)value);
        return 1;
    }
    printf("ok app.c\n");
    return 0;
}
