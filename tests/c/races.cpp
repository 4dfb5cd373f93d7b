// Correct guards of several threads, for tools that look for races: `tests/c/programs.rs` runs this under
// ThreadSanitizer, helgrind and DRD. With the argument "race" it has one race of its own, which they must find.
#include "check.h"

#include <neocortex.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

struct totals {
    std::uint64_t count;
    std::uint64_t twice;
};

std::uint64_t beside = 0; // in the process's own memory: what the guards order, they order too
std::uint64_t unguarded = 0;

void take_turns(const neocortex::lock_ops *lock, bool in_place)
{
    auto options = neocortex::options().lock(lock).in_place(in_place);
    auto shared = neocortex::cortex<totals>::create_with_random_key({0, 0}, options);
    std::vector<std::thread> threads;

    beside = 0;
    for (int number = 0; number < 3; ++number) {
        threads.emplace_back([&shared, in_place] {
            for (int turn = 0; turn < 20; ++turn) {
                shared.update([](totals &now) {
                    now.count += 1;
                    now.twice = 2 * now.count;
                    ++beside;
                });
                {
                    auto guard = shared.write_guard();
                    guard->count += 1;
                    guard->twice = 2 * guard->count;
                    ++beside;
                    guard.commit();
                }
                {
                    const auto guard = shared.read_guard();
                    if (guard->twice != 2 * guard->count || beside != guard->count) {
                        std::abort();
                    }
                }
                if (!in_place) { // where what changes nothing poisons
                    auto guard = shared.write_guard();
                    if (beside != guard->count) {
                        std::abort();
                    }
                }
                if (auto guard = shared.try_write_guard()) {
                    (*guard)->count += 1;
                    (*guard)->twice += 2;
                    ++beside;
                    guard->commit();
                }
            }
        });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    if (shared.read().count != beside) {
        std::abort();
    }
}

// Often, for ThreadSanitizer does not see two accesses of the very same moment: it notes each after a look at the other.
void race()
{
    for (int round = 0; round < 50; ++round) {
        std::thread other([] { ++unguarded; });
        ++unguarded;
        other.join();
    }
}

} // namespace

int main(int count, char **words)
{
    try {
        if (count > 1 && std::strcmp(words[1], "race") == 0) {
            race();
        }
        for (int number = 0; number < CHECK_LOCKS; number++) {
            const auto *lock = check_lock(number);
            take_turns(lock, false);
            take_turns(lock, true);
        }
    } catch (const neocortex::error &failure) {
        std::printf("%s\n", failure.what());
        return 1;
    }
    std::printf("ok races\n");
    return 0;
}
