// The C++ layer, include/neocortex.hpp.
#include "check.h"

#include <neocortex.hpp>

#include <array>
#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>

using namespace std::chrono_literals;

namespace {

struct point {
    double x, y;
    std::uint64_t tag;
};

struct alignas(256) wide {
    std::uint32_t number;
};

struct no_default {
    explicit no_default(int start) : value(start) {}
    int value;
};

// --- What the compiler promises ---

template <class T> constexpr bool moves_only =
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> && std::is_nothrow_move_constructible_v<T> &&
    std::is_nothrow_move_assignable_v<T> && std::is_nothrow_destructible_v<T>;
static_assert(moves_only<neocortex::segment>);
static_assert(moves_only<neocortex::cortex<point>>);
static_assert(moves_only<neocortex::observer<point>>);
static_assert(moves_only<neocortex::read_guard>);
static_assert(moves_only<neocortex::write_guard>);
static_assert(moves_only<neocortex::value_read_guard<point>>);
static_assert(moves_only<neocortex::value_write_guard<point>>);
static_assert(std::is_nothrow_copy_constructible_v<neocortex::error>);
static_assert(std::is_base_of_v<std::runtime_error, neocortex::error>);
static_assert(std::is_convertible_v<std::chrono::milliseconds, neocortex::timeout>);
static_assert(!std::is_convertible_v<int, neocortex::timeout>);
static_assert(neocortex::timeout(5ms).ns() == 5000000);
static_assert(neocortex::timeout(0ms).ns() == NEOCORTEX_TRY);
static_assert(neocortex::timeout(-5ms).ns() == NEOCORTEX_TRY); // a deadline that has passed is not "for ever"
static_assert(neocortex::timeout(1.5s).ns() == 1500000000);
static_assert(neocortex::timeout((std::chrono::hours::max)()).ns() == INT64_MAX);
static_assert(neocortex::timeout((std::chrono::hours::min)()).ns() == NEOCORTEX_TRY);
static_assert(neocortex::timeout(std::chrono::duration<long long, std::pico>(1)).ns() == 1); // rounded up
static_assert(neocortex::timeout::forever().is_forever());
static_assert(neocortex::timeout::never().ns() == NEOCORTEX_TRY);

// Runs it, and it must throw this.
template <class Call> neocortex::error thrown(neocortex::status wanted, Call call)
{
    try {
        call();
    } catch (const neocortex::error &caught) {
        CHECK(caught.status() == wanted);
        CHECK(caught.code() == wanted);
        CHECK(caught.what() != nullptr && *caught.what() != '\0');
        return caught;
    }
    CHECK(false && "it should have thrown");
    std::abort();
}

// --- Values ---

void a_value_is_shared()
{
    auto mine = neocortex::cortex<point>::create(check_key(), {1, 2, 3});
    const auto theirs = neocortex::cortex<point>::attach(mine.key());

    CHECK(mine.version() == 1);
    CHECK(mine.is_owner() && mine.was_created() && !theirs.is_owner());
    CHECK(theirs.read().x == 1 && theirs.read().tag == 3);
    mine.write({4, 5, 6});
    CHECK(theirs.read().y == 5);
    CHECK(theirs.version() == 2);
    CHECK(mine.exchange({7, 8, 9}).tag == 6);
    CHECK(theirs.read().tag == 9);
    CHECK(theirs.lock_name() == neocortex::seqlock()->name);
    CHECK(mine.participants().limit == 128);
    CHECK(mine.bytes().size() == sizeof(point));
    CHECK(!mine.is_poisoned() && !mine.is_removed());

    const auto zero = neocortex::cortex<point>::create(check_key());
    CHECK(zero.version() == 0 && zero.read().tag == 0);

    auto chosen = neocortex::cortex<int>::create_with_random_key(5);
    CHECK(check_own(chosen.key()) != 0 && chosen.read() == 5);
    auto made = neocortex::cortex<no_default>::create(check_key(), no_default(7));
    CHECK(made.read().value == 7);
    CHECK(made.try_read()->value == 7);
    auto array = neocortex::cortex<std::array<int, 3>>::create(check_key(), {1, 2, 3});
    CHECK(array.read()[2] == 3);
}

void update_commits_or_rolls_back()
{
    auto mine = neocortex::cortex<point>::create(check_key(), {1, 2, 3});

    mine.update([](point &value) { value.x = 10; });
    CHECK(mine.read().x == 10 && mine.read().y == 2);
    CHECK(mine.update([](point &value) { return ++value.tag; }) == 4);
    CHECK(mine.read().tag == 4);
    const auto version = mine.version();
    try {
        mine.update([](point &value) {
            value.x = 99;
            throw std::domain_error("no");
        });
        CHECK(false && "it should have thrown");
    } catch (const std::domain_error &caught) {
        CHECK(std::string(caught.what()) == "no");
    }
    CHECK(mine.read().x == 10 && mine.version() == version);
    mine.write({1, 1, 1}); // the lock is free
}

void guards_roll_back_unless_committed()
{
    auto mine = neocortex::cortex<point>::create(check_key(), {1, 2, 3});

    {
        auto guard = mine.write_guard();
        CHECK(guard && guard->x == 1);
        guard->x = 99;
    }
    CHECK(mine.read().x == 1 && mine.version() == 1);
    {
        auto guard = mine.write_guard();
        guard->x = 2;
        guard.mark(guard->x);
        guard.commit();
        CHECK(!guard);
        thrown(neocortex::status::invalid_argument, [&] { guard.commit(); });
    }
    CHECK(mine.read().x == 2 && mine.read().y == 2 && mine.version() == 2);
    {
        auto guard = mine.write_guard();
        guard->x = 3;
        guard.abort();
        CHECK(!guard);
    }
    CHECK(mine.read().x == 2);
    {
        auto guard = mine.write_guard();
        for (std::uint64_t i = 0; i < 5; ++i) {
            *guard = {0, 0, i};
            guard.publish();
            CHECK(mine.version() == 3 + i);
        }
        *guard = {0, 0, 77};
    }
    CHECK(mine.read().tag == 4 && mine.version() == 7);
    {
        auto guard = mine.write_guard();
        const point elsewhere{};
        thrown(neocortex::status::invalid_argument, [&] { guard.mark(elsewhere); });
        thrown(neocortex::status::invalid_argument, [&] { guard.mark(1, sizeof(point)); });
    }
    {
        auto first = mine.write_guard();
        first->tag = 50;
        auto second = std::move(first);
        CHECK(!first && second); // NOLINT: that it is empty is what is tested
        second.commit();
    }
    CHECK(mine.read().tag == 50);
    {
        auto guard = mine.read_guard();
        CHECK(guard->tag == 50);
        guard.end();
        CHECK(!guard);
        mine.write({0, 0, 51});
        auto again = mine.read_guard();
        CHECK((*again).tag == 51);
        auto moved = std::move(again);
        CHECK(moved->tag == 51);
    }
    mine.write({0, 0, 52});
}

void trying_does_not_wait()
{
    auto mine = neocortex::cortex<int>::create(check_key(), 1);
    auto theirs = neocortex::cortex<int>::attach(mine.key(), neocortex::options().wait(5ms));

    CHECK(theirs.try_write(2));
    CHECK(theirs.try_read() == 2);
    {
        auto guard = theirs.try_write_guard();
        CHECK(guard);
        **guard = 3;
        guard->commit();
    }
    {
        auto guard = theirs.try_read_guard();
        CHECK(guard && **guard == 3);
    }
    {
        auto held = mine.write_guard();
        CHECK(!theirs.try_write(4));
        CHECK(!theirs.try_write_guard());
        // The time-out that was set is in force again.
        const auto before = std::chrono::steady_clock::now();
        const auto refused = thrown(neocortex::status::timed_out, [&] { theirs.write(4); });
        CHECK(std::chrono::steady_clock::now() - before >= 5ms);
        CHECK(refused.code() == std::errc::timed_out);
        theirs.set_timeout(-1s);
        thrown(neocortex::status::timed_out, [&] { theirs.write(4); });
    }
    CHECK(mine.read() == 3);
    theirs.set_timeout(neocortex::timeout::forever());
    theirs.write(5);

    auto never = neocortex::cortex<int>::attach(mine.key(), neocortex::options().wait(neocortex::timeout::never()));
    {
        auto held = mine.write_guard();
        thrown(neocortex::status::timed_out, [&] { never.write(4); });
        thrown(neocortex::status::busy, [&] { static_cast<void>(mine.try_write(4)); });
    }
    never.write(6);
}

void changes_are_waited_for()
{
    auto mine = neocortex::cortex<std::uint64_t>::create(check_key());
    const auto theirs = neocortex::observer<std::uint64_t>::attach(mine.key());

    CHECK(!theirs.wait_changed_for(0, 1ms));
    std::thread writer([&] { mine.write(5); });
    CHECK(theirs.wait_changed(0) == 1);
    writer.join();
    CHECK(theirs.read() == 5);
    CHECK(theirs.wait_changed_for(0, 1h) == 1);
    neocortex::remove(mine.key());
    CHECK(mine.is_removed());
    const auto refused = thrown(neocortex::status::removed, [&] { theirs.wait_changed(1); });
    CHECK(refused.code() == std::errc::identifier_removed);
}

void an_interrupt_ends_the_wait()
{
    auto mine = neocortex::cortex<int>::create(check_key(), 1);
    std::atomic<bool> over{false};
    std::thread interrupting([&] {
        while (!over) {
            mine.interrupt();
            std::this_thread::yield();
        }
    });
    const auto refused = thrown(neocortex::status::interrupted, [&] { mine.wait_changed(1); });
    over = true;
    interrupting.join();
    CHECK(refused.code() == std::errc::interrupted);
}

// --- Bytes, options, errors ---

void bytes_are_shared()
{
    auto mine = neocortex::segment::create(check_key(), 100);
    auto theirs = neocortex::segment::attach(mine.key());

    CHECK(theirs.size() == 100 && theirs.read() == std::vector<std::byte>(100));
    mine.write("hello", 5);
    mine.write_at(50, "world", 5);
    char text[5];
    theirs.read(text, 5);
    CHECK(std::string(text, 5) == "hello");
    theirs.read_at(50, text, 5);
    CHECK(std::string(text, 5) == "world");
    CHECK(theirs.try_write("HELLO", 5) && mine.try_read(text, 5) && std::string(text, 5) == "HELLO");
    {
        auto guard = mine.write_guard();
        CHECK(guard.size() == 100);
        guard.data()[0] = std::byte{'J'};
        guard.mark(0, 1);
        guard.commit();
    }
    {
        const auto guard = theirs.read_guard();
        CHECK(guard.size() == 100 && guard.data()[0] == std::byte{'J'} && guard.data()[1] == std::byte{'E'});
    }
    thrown(neocortex::status::invalid_argument, [&] { mine.write_at(96, "hello", 5); });
    thrown(neocortex::status::invalid_argument, [&] { mine.read(nullptr, 5); });

    auto moved = std::move(mine);
    CHECK(moved.is_owner() && !mine); // NOLINT
    thrown(neocortex::status::invalid_argument, [&] { mine.write("x", 1); }); // NOLINT
    {
        auto guard = moved.write_guard();
        thrown(neocortex::status::busy, [&] { moved.close(); });
    }
    const auto key = moved.key();
    moved.close();
    CHECK(!moved && !check_exists(key));

    auto adopted = neocortex::segment::adopt(neocortex_create(check_key(), 8, nullptr));
    CHECK(adopted.size() == 8);
    const auto adopted_key = adopted.key();
    adopted = std::move(theirs); // closes and so removes what it had
    CHECK(!check_exists(adopted_key));
    thrown(neocortex::status::invalid_argument,
           [] { static_cast<void>(neocortex::segment::adopt(nullptr)); });
}

void options_are_passed_on()
{
    const neocortex::lock_ops *locks[] = {neocortex::seqlock(), neocortex::rwlock(), neocortex::semaphore()};

    for (const auto *lock : locks) {
        if (lock == nullptr) {
            continue;
        }
        auto options = neocortex::options().lock(lock).schema(7).participants(5).slots(4).mode(0640);
        auto mine = neocortex::cortex<int>::create(check_key(), 1, options);
        CHECK(mine.lock_name() == lock->name && mine.schema() == 7 && mine.participants().limit == 5);
        shmid_ds found{};
        CHECK(shmctl(shmget(mine.key(), 0, 0), IPC_STAT, &found) == 0);
        CHECK((found.shm_perm.mode & 0777) == 0640);
        CHECK(neocortex::cortex<int>::attach(mine.key(), neocortex::options().schema(7)).read() == 1);
        thrown(neocortex::status::layout, [&] {
            static_cast<void>(neocortex::cortex<int>::attach(mine.key(), neocortex::options().schema(8)));
        });
    }

    const auto key = check_key();
    {
        auto mine = neocortex::cortex<int>::create(key, 3, neocortex::options().persist());
        thrown(neocortex::status::busy,
               [&] { static_cast<void>(neocortex::cortex<int>::create(key, 4, neocortex::options().replace_stale())); });
    }
    CHECK(check_exists(key));
    {
        // Found, not made: the value that it has stays.
        auto mine = neocortex::cortex<int>::create(key, 4, neocortex::options().force_ownership());
        CHECK(!mine.was_created() && mine.is_owner() && mine.read() == 3);
        mine.persist();
    }
    CHECK(check_exists(key));
    {
        auto mine = neocortex::cortex<int>::create(key, 5, neocortex::options().replace_stale());
        CHECK(mine.was_created() && mine.read() == 5);
        mine.persist();
    }
    neocortex::reclaim(key);
    CHECK(!check_exists(key));
}

void in_place_poisons_and_heals()
{
    auto mine = neocortex::cortex<int>::create(check_key(), 1, neocortex::options().in_place());

    {
        auto guard = mine.write_guard();
        *guard = 2;
        thrown(neocortex::status::unsupported, [&] { guard.publish(); });
    }
    const auto refused = thrown(neocortex::status::poisoned, [&] { static_cast<void>(mine.read()); });
    CHECK(refused.code() == std::errc::state_not_recoverable);
    CHECK(mine.is_poisoned());
    mine.clear_poison();
    CHECK(mine.read() == 2);
    try {
        mine.update([](int &value) {
            value = 3;
            throw std::domain_error("no");
        });
    } catch (const std::domain_error &) {
    }
    thrown(neocortex::status::poisoned, [&] { static_cast<void>(mine.read()); });
    mine.write(4);
    CHECK(mine.read() == 4 && !mine.is_poisoned());
}

void alignment_is_asked_for_and_checked()
{
    auto mine = neocortex::cortex<wide>::create(check_key(), wide{5});

    for (int i = 0; i < 4; ++i) {
        auto guard = mine.write_guard();
        CHECK(reinterpret_cast<std::uintptr_t>(guard.get()) % 256 == 0);
        guard->number += 1;
        guard.commit();
    }
    CHECK(neocortex::cortex<wide>::attach(mine.key()).read().number == 9);
    const auto narrow = neocortex::segment::create(check_key(), sizeof(wide));
    thrown(neocortex::status::layout, [&] { static_cast<void>(neocortex::cortex<wide>::attach(narrow.key())); });
    thrown(neocortex::status::layout, [&] { static_cast<void>(neocortex::cortex<char>::attach(narrow.key())); });
}

void errors_say_what_and_why()
{
    const auto key = check_key();
    const auto missing =
        thrown(neocortex::status::clean_system, [&] { static_cast<void>(neocortex::cortex<int>::attach(key)); });
    CHECK(missing.os_error() == ENOENT);
    CHECK(missing.os_code() == std::errc::no_such_file_or_directory);
    CHECK(std::string(missing.what()) == neocortex_last_message());
    CHECK(std::string(missing.what()).find(std::to_string(key)) != std::string::npos);
    CHECK(missing.code().category() == neocortex::category());
    CHECK(missing.code().message() == neocortex::status_message(neocortex::status::clean_system));

    auto mine = neocortex::cortex<int>::create(key, 1);
    const auto taken =
        thrown(neocortex::status::clean_system, [&] { static_cast<void>(neocortex::cortex<int>::create(key, 1)); });
    CHECK(taken.os_code() == std::errc::file_exists);
    thrown(neocortex::status::invalid_argument, [] { static_cast<void>(neocortex::cortex<int>::create(0, 1)); });
    CHECK(*neocortex::status_message(-12345) != '\0');
    CHECK(!neocortex::version().empty());
}

void observers_only_look()
{
    auto mine = neocortex::cortex<int>::create(check_key(), 1, neocortex::options().participants(1).schema(3));
    const auto observer = neocortex::observer<int>::attach(mine.key());

    CHECK(observer.read() == 1 && observer.version() == 1 && observer.schema() == 3 && observer.key() == mine.key());
    CHECK(mine.participants().alive == 1);
    auto bytes = neocortex::segment::attach(mine.key(), 0, neocortex::options().read_only());
    const auto refused = thrown(neocortex::status::read_only, [&] { bytes.write("x", 1); });
    CHECK(refused.code() == neocortex::status::read_only);
    mine.write(2);
    CHECK(observer.read() == 2);
}

void the_log_is_received()
{
    auto mine = neocortex::cortex<int>::create(check_key(), 1);
    const struct check_pipe held = check_open_pipe();
    int messages = 0;
    {
        neocortex::log_sink sink([&](int, std::string_view message) {
            CHECK(!message.empty());
            ++messages;
            throw std::runtime_error("goes no further");
        });
        const pid_t child = check_fork();
        if (child == 0) {
            auto theirs = neocortex::cortex<int>::attach(mine.key());
            auto guard = theirs.write_guard();
            check_tell(held);
            check_stay();
        }
        check_hear(held);
        check_kill(child);
        mine.write(2);
        CHECK(messages >= 1);
    }
    CHECK(mine.read() == 2);
    check_close_pipe(held);
}

void processes_count_together()
{
    auto mine = neocortex::cortex<std::uint64_t>::create(check_key(), 0);
    pid_t children[4];

    for (auto &child : children) {
        child = check_fork();
        if (child == 0) {
            {
                auto theirs = neocortex::cortex<std::uint64_t>::attach(mine.key());
                for (int i = 0; i < 1000; ++i) {
                    theirs.update([](std::uint64_t &value) { ++value; });
                    mine.update([](std::uint64_t &value) { ++value; }); // the inherited one
                }
                const auto dropped = std::move(mine); // destroying it here removes nothing
            }
            _exit(0);
        }
    }
    for (const auto child : children) {
        CHECK_CHILD(child);
    }
    CHECK(mine.read() == 8000 && !mine.is_removed());
}

} // namespace

int main()
{
    check_start();
    try {
        a_value_is_shared();
        update_commits_or_rolls_back();
        guards_roll_back_unless_committed();
        trying_does_not_wait();
        changes_are_waited_for();
        an_interrupt_ends_the_wait();
        bytes_are_shared();
        options_are_passed_on();
        in_place_poisons_and_heals();
        alignment_is_asked_for_and_checked();
        errors_say_what_and_why();
        observers_only_look();
        the_log_is_received();
        processes_count_together();
    } catch (const std::exception &unexpected) {
        std::printf("unexpected exception: %s\n", unexpected.what());
        CHECK(false && "no exception");
    }
    return check_done("cpp_layer");
}
