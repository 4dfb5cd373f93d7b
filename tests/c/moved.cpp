// Guards that are destroyed on another thread than began them, in a program without assertions: logged, and not held
// for ever. With assertions they end the program (`cpp_layer.cpp`).
#define NDEBUG
#include "check.h"

#include <neocortex.hpp>

#include <atomic>
#include <thread>

namespace {

using namespace std::chrono_literals;
using cortex = neocortex::cortex<std::uint64_t>;

// The errors that are logged while it lives.
struct errors {
    std::atomic<int> count{0};
    neocortex::log_sink sink{[this](int level, std::string_view message) {
        if (level == NEOCORTEX_LOG_ERROR) {
            CHECK(!message.empty());
            ++count;
        }
    }};
};

template <class Guard> void drop_elsewhere(Guard &&guard)
{
    std::thread other([moved = std::move(guard)]() mutable { const auto dropped = std::move(moved); });
    other.join();
}

bool is_free(const cortex &shared)
{
    return check_stranger_writes(shared.key(), 5) == NEOCORTEX_OK;
}

void a_write_guard_is_rolled_back_when_its_thread_comes_again()
{
    errors logged;
    auto shared = cortex::create(check_key(), 1, neocortex::options().lock(check_given.lock));

    for (int how = 0; how < 5; ++how) {
        const int before = logged.count;
        auto guard = shared.write_guard();
        *guard = 99;
        drop_elsewhere(std::move(guard));
        CHECK(logged.count == before + 1);
        CHECK(shared.read_for(0ms).value_or(1) != 99);
        switch (how) { // whatever comes next
        case 0: shared.update([](std::uint64_t &value) { CHECK(value != 99); }); break;
        case 1: shared.write(2); break;
        case 2: shared.read_guard().end(); break;
        case 3: CHECK(shared.try_write(2)); break;
        default: shared.clear_poison(); break;
        }
        CHECK(is_free(shared));
    }
}

void a_read_guard_is_given_back_when_its_thread_comes_again()
{
    errors logged;
    auto shared = cortex::create(check_key(), 1, neocortex::options().lock(check_given.lock));

    for (int how = 0; how < 3; ++how) {
        const int before = logged.count;
        drop_elsewhere(shared.read_guard());
        CHECK(logged.count == before + 1);
        switch (how) {
        case 0: shared.update([](std::uint64_t &value) { ++value; }); break;
        case 1: shared.write(2); break;
        default: shared.write_guard().abort(); break;
        }
        CHECK(is_free(shared));
    }
}

void a_guard_is_rolled_back_when_its_thread_ends()
{
    errors logged;
    auto shared = cortex::create(check_key(), 1, neocortex::options().lock(check_given.lock));
    std::optional<neocortex::value_write_guard<std::uint64_t>> writing;
    std::optional<neocortex::value_read_guard<std::uint64_t>> reading;
    std::atomic<int> step{0};
    const auto await = [&step](int wanted) {
        while (step != wanted) {
            std::this_thread::yield();
        }
    };

    std::thread writer([&] {
        writing = shared.write_guard();
        step = 1;
        await(2);
    });
    await(1);
    writing.reset();
    CHECK(logged.count == 1 && !is_free(shared));
    step = 2;
    writer.join();
    CHECK(is_free(shared));
    std::thread reader([&] {
        reading = shared.read_guard();
        step = 3;
        await(4);
    });
    await(3);
    reading.reset();
    CHECK(logged.count == 2 && !is_free(shared));
    step = 4;
    reader.join();
    CHECK(is_free(shared));
}

// An abort on the wrong thread is logged and does not take the guard from the thread that has it.
void the_thread_that_has_the_guard_keeps_it()
{
    errors logged;
    auto shared = cortex::create(check_key(), 1, neocortex::options().lock(check_given.lock));
    neocortex_segment *raw = shared.bytes().raw();
    const auto elsewhere = [](neocortex_status (*call)(neocortex_segment *), neocortex_segment *on) {
        std::thread other([=] { CHECK_STATUS(call(on), NEOCORTEX_ERR_INVALID_ARGUMENT); });
        other.join();
    };

    for (int round = 0; round < 2; ++round) {
        auto guard = shared.write_guard();
        *guard = 7;
        elsewhere(neocortex_write_abort, raw);
        elsewhere(neocortex_write_commit, raw);
        CHECK(shared.version() == 0 + std::uint64_t(2 * round));
        guard.mark(0, 8);
        guard.publish();
        *guard = 8;
        guard.commit();
        CHECK(shared.read() == 8 && logged.count == 2 * (round + 1));
    }
    {
        auto guard = shared.read_guard();
        elsewhere(neocortex_read_end, raw);
        CHECK(!is_free(shared) && *guard == 8 && logged.count == 5);
        guard.end();
    }
    CHECK(is_free(shared));
    // What nobody has begun is nobody's to log.
    elsewhere(neocortex_write_abort, raw);
    elsewhere(neocortex_read_end, raw);
    CHECK(logged.count == 5);
}

void a_busy_close_is_logged()
{
    errors logged;
    auto shared = cortex::create(check_key(), 1);
    auto guard = shared.write_guard();

    CHECK_STATUS(neocortex_close(shared.bytes().raw()), NEOCORTEX_ERR_BUSY);
    CHECK(logged.count == 1);
}

} // namespace

CHECK_MAIN(
    CHECK_EACH_LOCK(a_write_guard_is_rolled_back_when_its_thread_comes_again),
    CHECK_EACH_LOCK(a_read_guard_is_given_back_when_its_thread_comes_again),
    CHECK_EACH_LOCK(a_guard_is_rolled_back_when_its_thread_ends),
    CHECK_EACH_LOCK(the_thread_that_has_the_guard_keeps_it),
    CHECK_ONCE(a_busy_close_is_logged))
