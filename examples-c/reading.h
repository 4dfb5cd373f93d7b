/* What the examples share, and the programs on README's page. A Rust program shares the same bytes with
 *
 *     #[repr(C)] #[derive(Clone, Copy, neocortex::Shared)]
 *     struct Reading { value: f64, sequence: u64 }
 */
#ifndef READING_H
#define READING_H

#include <stdint.h>

struct reading {
    double value;      /* degrees Celsius */
    uint64_t sequence; /* 1, 2, 3, ... */
};

/* The name under which writer, reader, attach and cpp_layer meet when none is given. Its key follows from it
 * (neocortex_key_of), so nobody has to choose a number. */
#define READING_NAME "example/reading"

/* For neocortex_schema_of. Size, alignment and lock are compared when a program attaches, and the type is not: so all say
 * in the same words what it is. */
#define READING_TYPE "reading 1: value f64 in degrees Celsius, sequence u64"

#endif
