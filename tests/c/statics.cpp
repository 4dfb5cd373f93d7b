// Handles in objects that outlive main: statics, thread_local objects, an object with the last word after both.
#include "check.h"

#include <neocortex.hpp>

#include <optional>
#include <thread>

namespace {

std::int32_t key;

// What the destructors below do, with whatever the C++ layer has.
void use(neocortex::cortex<std::uint64_t> &shared, std::uint64_t number)
{
    shared.write(number);
    CHECK(shared.read() == number);
    {
        auto guard = shared.write_guard();
        *guard = number + 1;
        guard.commit();
    }
    {
        auto guard = shared.write_guard();
        *guard = 0; // rolled back
    }
    CHECK(*shared.read_guard() == number + 1);
    try {
        (void)neocortex::cortex<std::uint32_t>::attach(key);
        CHECK(!"another size was accepted");
    } catch (const neocortex::error &error) {
        CHECK(std::string(error.what()).find("size") != std::string::npos);
    }
}

// Destroyed last, so that it checks what the others left.
struct last_word {
    bool is_told = false;

    ~last_word()
    {
        if (is_told && check_exists(key)) {
            _exit(4);
        }
    }
} last;

// The owner: its destructor removes.
std::optional<neocortex::cortex<std::uint64_t>> owner;

struct user_after_main {
    std::optional<neocortex::cortex<std::uint64_t>> shared;

    ~user_after_main()
    {
        if (shared) {
            CHECK(shared->read() == 11);
            use(*shared, 20);
            CHECK(owner->read() == 21);
        }
    }
} after_main;

struct user_at_thread_end {
    std::optional<neocortex::cortex<std::uint64_t>> shared;

    ~user_at_thread_end()
    {
        if (shared) {
            use(*shared, 10);
        }
    }
};

thread_local user_at_thread_end at_end;

void begin(bool holds_guard)
{
    owner.emplace(neocortex::cortex<std::uint64_t>::create(key, 5));
    after_main.shared.emplace(neocortex::cortex<std::uint64_t>::attach(key));
    std::thread([] {
        // Made before the thread's first guard, so destroyed after the library's own locals.
        at_end.shared.emplace(neocortex::cortex<std::uint64_t>::attach(key));
        CHECK(at_end.shared->read() == 5);
        use(*at_end.shared, 1);
    }).join();
    CHECK(owner->read() == 11);
    use(*after_main.shared, 10);
    if (holds_guard) {
        // Never ended by anybody: rolled back when the main thread's locals go, which is before the statics.
        static neocortex::value_write_guard<std::uint64_t> *held;
        held = new neocortex::value_write_guard<std::uint64_t>(owner->write_guard());
        **held = 99;
    }
    last.is_told = true;
}

} // namespace

int main()
{
    check_start();
    // By a return from main, by exit, and by exit with a guard held.
    for (int round = 0; round < 3; round++) {
        key = check_key();
        const pid_t child = check_fork();
        if (child == 0) {
            begin(round == 2);
            if (round == 0) {
                return 0;
            }
            std::exit(0);
        }
        CHECK_CHILD(child);
        CHECK(!check_exists(key));
    }
    return check_done("statics");
}
