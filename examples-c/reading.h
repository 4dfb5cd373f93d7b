/* What the examples share. A Rust program shares the same bytes with
 *
 *     #[repr(C)] #[derive(Clone, Copy, bytemuck::NoUninit, bytemuck::AnyBitPattern)]
 *     struct Reading { value: f64, sequence: u64 }
 */
#ifndef READING_H
#define READING_H

#include <stdint.h>

struct reading {
    double value;      /* degrees Celsius */
    uint64_t sequence; /* 1, 2, 3, ... */
};

/* The key of writer, reader, attach and cpp_layer when none is given. */
enum { DEFAULT_KEY = 5461 };

#endif
