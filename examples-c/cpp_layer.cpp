// cpp_layer [name]: the C++ layer. With a name it follows what `writer` shares; without, it shares with itself.
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>

#include <unistd.h>

#include <neocortex.hpp>

#include "reading.h"

using namespace std::chrono_literals;

namespace {

// Attaches to a writer, which may start later: look, wait for news, look again.
void watch(const char *name)
{
    const auto options = neocortex::options().schema(neocortex::schema_of(READING_TYPE));
    const auto shared = neocortex::observer<reading>::attach_wait(name, 60s, options); // cannot disturb anybody
    const auto [first, seen] = shared.read_versioned();
    std::cout << "cpp_layer: " << first.sequence << ": " << first.value << '\n';
    if (shared.wait_changed_for(seen, 5s)) {
        const reading next = shared.read();
        std::cout << "cpp_layer: " << next.sequence << ": " << next.value << '\n';
    }
}

void share()
{
    // Two objects in one process here; as well two programs, each with its own.
    const std::string name = "example/cpp_layer/" + std::to_string(getpid());
    auto mine = neocortex::cortex<reading>::open_or_create(name, {20.0, 1}, neocortex::options().wait(1s));
    auto theirs = neocortex::cortex<reading>::open_or_create(name, {}); // finds it, with the value that it has
    std::cout << "cpp_layer: created " << mine.was_created() << ", " << theirs.was_created() << '\n';

    theirs.update([](reading &now) {
        now.value += 0.5;
        now.sequence += 1;
    });
    std::cout << "cpp_layer: " << mine.read().sequence << ": " << mine.read().value << '\n';

    // An exception rolls back.
    try {
        mine.update([](reading &now) {
            now.value = -300.0;
            throw std::range_error("colder than absolute zero");
        });
    } catch (const std::range_error &refused) {
        std::cout << "cpp_layer: " << refused.what() << "; still " << theirs.read().value << '\n';
    }

    // A guard holds for several steps; `publish` lets the others see each of them.
    {
        auto guard = mine.write_guard();
        for (std::uint64_t step = 3; step < 6; ++step) {
            *guard = {20.0 + static_cast<double>(step), step};
            guard.publish();
        }
        std::cout << "cpp_layer: published up to " << theirs.read().sequence << '\n';
        // Another process would wait here. A thread does not wait for itself.
        try {
            theirs.write({0.0, 0});
        } catch (const neocortex::error &refused) {
            std::cout << "cpp_layer: " << refused.what() << '\n';
        }
    } // nothing new since the last publish, so nothing is lost here

    // A failure says what to do.
    try {
        static_cast<void>(neocortex::cortex<char>::attach(name));
    } catch (const neocortex::error &refused) {
        std::cout << "cpp_layer: " << refused.what() << '\n';
    }
}

} // namespace

int main(int argc, char **argv)
{
    try {
        if (argc > 1) {
            watch(argv[1]);
        } else {
            share();
        }
    } catch (const std::exception &failure) {
        std::cerr << "cpp_layer: " << failure.what() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
