/* Reading and writing without a guard: ranges and sizes. */
#include "check.h"

static const char untouched[] = "untouched";

static void partial_reads_and_writes(void)
{
    neocortex_segment *segment = check_create(100, NULL);
    unsigned char model[100] = {0}, bytes[100];

    /* Ranges of every kind: odd offsets, words, edges; each is one commit. */
    for (unsigned i = 0; i < 500; i++) {
        const size_t offset = (size_t)(check_random() % 100);
        const size_t length = 1 + (size_t)(check_random() % (100 - offset));
        unsigned char data[100];

        for (size_t j = 0; j < length; j++) {
            data[j] = (unsigned char)check_random();
        }
        memcpy(model + offset, data, length);
        CHECK_OK(neocortex_write_at(segment, offset, data, length));
        CHECK(neocortex_commit_count(segment) == i + 1);
        CHECK_OK(neocortex_read(segment, bytes, 100));
        CHECK(memcmp(bytes, model, 100) == 0);
        memset(bytes, 0, sizeof bytes);
        CHECK_OK(neocortex_read_at(segment, offset, bytes, length));
        CHECK(memcmp(bytes, model + offset, length) == 0);
    }

    /* A short read or write begins at offset 0 and leaves the rest alone. */
    memset(bytes, 9, sizeof bytes);
    CHECK_OK(neocortex_write(segment, bytes, 10));
    memcpy(model, bytes, 10);
    CHECK_OK(neocortex_read(segment, bytes, 50));
    CHECK(memcmp(bytes, model, 50) == 0);
    CHECK(bytes[50] == 9 && bytes[99] == 9);
    CHECK_OK(neocortex_close(segment));
}

static void zero_length_does_nothing(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    char byte = 'u';

    CHECK_OK(neocortex_read(segment, NULL, 0));
    CHECK_OK(neocortex_write(segment, NULL, 0));
    CHECK_OK(neocortex_read_at(segment, 3, NULL, 0));
    CHECK_OK(neocortex_write_at(segment, 3, NULL, 0));
    CHECK_OK(neocortex_read_at(segment, 8, &byte, 0));
    CHECK_OK(neocortex_write_at(segment, 8, &byte, 0));
    CHECK(byte == 'u');
    CHECK(neocortex_commit_count(segment) == 0);
    CHECK_OK(neocortex_close(segment));
}

static void ranges_beyond_the_end_are_refused(void)
{
    neocortex_segment *segment = check_create(8, NULL);
    static const struct {
        size_t offset, length;
    } beyond[] = {{0, 9},          {1, 8},        {8, 1},        {9, 1},        {SIZE_MAX, 1},     {1, SIZE_MAX},
                  {SIZE_MAX, SIZE_MAX}, {8, SIZE_MAX - 7}, {SIZE_MAX - 7, 8}, {SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1}};
    char buffer[sizeof untouched];
    void *data;

    memcpy(buffer, untouched, sizeof buffer);
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        CHECK_STATUS(neocortex_read_at(segment, beyond[i].offset, buffer, beyond[i].length),
                     NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_STATUS(neocortex_write_at(segment, beyond[i].offset, buffer, beyond[i].length),
                     NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_OK(neocortex_write_begin(segment, &data));
        CHECK_STATUS(neocortex_write_mark(segment, beyond[i].offset, beyond[i].length),
                     NEOCORTEX_ERR_INVALID_ARGUMENT);
        CHECK_OK(neocortex_write_abort(segment));
    }
    CHECK_STATUS(neocortex_read(segment, buffer, 9), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write(segment, buffer, 9), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_read(segment, buffer, SIZE_MAX), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(neocortex_write(segment, buffer, SIZE_MAX), NEOCORTEX_ERR_INVALID_ARGUMENT);
    CHECK(memcmp(buffer, untouched, sizeof buffer) == 0);
    CHECK(neocortex_commit_count(segment) == 0);
    CHECK_OK(neocortex_close(segment));
}

static void sizes_from_one_byte_to_a_megabyte(void)
{
    static const size_t sizes[] = {1, 7, 8, 9, 63, 64, 65, 4095, 4096, 4097, 1048576};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        neocortex_segment *segment = check_create(sizes[i], NULL);
        neocortex_segment *other = check_attach(segment);
        unsigned char *in = malloc(sizes[i] + 1), *out = malloc(sizes[i] + 1);

        CHECK(in != NULL && out != NULL);
        for (unsigned char round = 1; round < 4; round++) {
            memset(in, round, sizes[i]);
            out[sizes[i]] = 'u';
            CHECK_OK(neocortex_write(segment, in, sizes[i]));
            CHECK_OK(neocortex_read(other, out, sizes[i]));
            CHECK(memcmp(in, out, sizes[i]) == 0);
            CHECK(out[sizes[i]] == 'u');
        }
        free(in);
        free(out);
        CHECK_OK(neocortex_close(other));
        CHECK_OK(neocortex_close(segment));
    }
}

CHECK_MAIN(
    CHECK_ONCE(partial_reads_and_writes),
    CHECK_ONCE(zero_length_does_nothing),
    CHECK_ONCE(ranges_beyond_the_end_are_refused),
    CHECK_ONCE(sizes_from_one_byte_to_a_megabyte))
