// cpp_layer [key]: the C++ layer. With a key it attaches to what `writer` shares; without, it shares with itself.
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <stdexcept>

#include <neocortex.hpp>

#include "reading.h"

using namespace std::chrono_literals;

namespace {

// Attaches to a running writer: look, wait for news, look again.
void watch(std::int32_t key)
{
    const auto shared = neocortex::observer<reading>::attach(key); // cannot disturb anybody
    const auto seen = shared.version();
    const reading first = shared.read();
    std::cout << "cpp_layer: " << first.sequence << ": " << first.value << '\n';
    if (shared.wait_changed_for(seen, 5s)) {
        const reading next = shared.read();
        std::cout << "cpp_layer: " << next.sequence << ": " << next.value << '\n';
    }
}

void share()
{
    // Two objects in one process here; as well two programs, each with its own.
    auto mine = neocortex::cortex<reading>::create_with_random_key({20.0, 1}, neocortex::options().wait(1s));
    auto theirs = neocortex::cortex<reading>::attach(mine.key());

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
        if (!theirs.try_write({0.0, 0})) {
            std::cout << "cpp_layer: somebody holds it, at " << theirs.read().sequence << '\n';
        }
    } // nothing new since the last publish, so nothing is lost here

    // A failure says what to do.
    try {
        static_cast<void>(neocortex::cortex<char>::attach(mine.key()));
    } catch (const neocortex::error &refused) {
        std::cout << "cpp_layer: " << refused.what() << '\n';
    }
}

} // namespace

int main(int argc, char **argv)
{
    try {
        if (argc > 1) {
            watch(static_cast<std::int32_t>(std::strtol(argv[1], nullptr, 10)));
        } else {
            share();
        }
    } catch (const std::exception &failure) {
        std::cerr << "cpp_layer: " << failure.what() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
