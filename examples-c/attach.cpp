// attach [name]: the C interface from C++: reads the value that `writer` shares, and writes one of its own.
//
// See cpp_layer.cpp for the same with the C++ layer.
#include <cstdlib>
#include <iostream>
#include <memory>

#include <neocortex.h>

#include "reading.h"

namespace {

struct close_segment {
    void operator()(neocortex_segment *segment) const noexcept { static_cast<void>(neocortex_close(segment)); }
};
using segment_pointer = std::unique_ptr<neocortex_segment, close_segment>;

int failed()
{
    std::cerr << "attach: " << neocortex_last_message() << '\n';
    return EXIT_FAILURE;
}

} // namespace

int main(int argc, char **argv)
{
    const char *const name = argc > 1 ? argv[1] : READING_NAME;
    neocortex_options options = NEOCORTEX_OPTIONS_INIT;
    options.schema = neocortex_schema_of(READING_TYPE);

    const segment_pointer segment(neocortex_attach_named(name, sizeof(reading), &options));
    if (!segment) {
        return failed();
    }
    std::cout << "attach: lock " << neocortex_lock_name(segment.get()) << ", " << neocortex_commit_count(segment.get())
              << " commits so far\n";

    // One look, one change: between begin and commit nobody else writes.
    void *data = nullptr;
    if (neocortex_write_begin(segment.get(), &data) != NEOCORTEX_OK) {
        return failed();
    }
    auto *shared = static_cast<reading *>(data);
    const double before = shared->value;
    shared->value += 100.0;
    if (neocortex_write_commit(segment.get()) != NEOCORTEX_OK) {
        return failed();
    }

    reading now{};
    if (neocortex_read(segment.get(), &now, sizeof now) != NEOCORTEX_OK) {
        return failed();
    }
    std::cout << "attach: was " << before << ", wrote " << before + 100.0 << ", now " << now.sequence << ": "
              << now.value << '\n';
    return EXIT_SUCCESS;
}
