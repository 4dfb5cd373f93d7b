// The C++ layer, include/neocortex.hpp.
#include "check.h"

#include <neocortex.hpp>

#include <array>
#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>

#include <sys/resource.h>

using namespace std::chrono_literals;

namespace {

struct point {
    double x, y;
    std::uint64_t tag;
};

struct alignas(256) wide {
    std::uint32_t number;
    std::uint32_t unused[63] = {};
};

// Most of an 8 MiB stack.
struct frame {
    std::array<unsigned char, 6000000> pixels;
};

struct large_no_default {
    explicit large_no_default(int start) : values{start} {}
    int values[10000];
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

    CHECK(mine.version() == 0);
    CHECK(mine.is_owner() && mine.was_created() && !theirs.is_owner());
    CHECK(theirs.read().x == 1 && theirs.read().tag == 3);
    mine.write({4, 5, 6});
    CHECK(theirs.read().y == 5);
    CHECK(theirs.version() == 1);
    CHECK(mine.exchange({7, 8, 9}).tag == 6);
    CHECK(theirs.read().tag == 9);
    point both{10, 11, 12};
    mine.exchange(both, both);
    CHECK(both.tag == 9 && theirs.read().tag == 12 && theirs.version() == 3);
    theirs.read(both);
    CHECK(both.x == 10 && both.tag == 12);
    both = {};
    CHECK(theirs.try_read(both) && both.y == 11);
    mine.write({7, 8, 9});
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
    CHECK(made.exchange(no_default(8)).value == 7 && made.read().value == 8);
    auto large = neocortex::cortex<large_no_default>::create(check_key(), large_no_default(7));
    CHECK(large.read().values[0] == 7 && large.try_read()->values[0] == 7);
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
    CHECK(mine.read().x == 1 && mine.version() == 0);
    {
        auto guard = mine.write_guard();
        guard->x = 2;
        guard.mark(guard->x);
        guard.commit();
        CHECK(!guard);
        thrown(neocortex::status::invalid_argument, [&] { guard.commit(); });
    }
    CHECK(mine.read().x == 2 && mine.read().y == 2 && mine.version() == 1);
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
            CHECK(mine.version() == 2 + i);
        }
        *guard = {0, 0, 77};
    }
    CHECK(mine.read().tag == 4 && mine.version() == 6);
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

// A holder of its own: a thread that holds is refused rather than made to wait for itself.
template <class T, class Work> void while_held(const neocortex::cortex<T> &cortex, Work work)
{
    auto theirs = neocortex::cortex<T>::attach(cortex.key());
    std::atomic<bool> held{false}, over{false};
    std::thread holder([&] {
        auto guard = theirs.write_guard();
        held = true;
        while (!over) {
            std::this_thread::yield();
        }
    });
    while (!held) {
        std::this_thread::yield();
    }
    work();
    over = true;
    holder.join();
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
    while_held(mine, [&] {
        CHECK(!theirs.try_write(4));
        CHECK(!theirs.try_write_guard());
        CHECK(!theirs.try_read_guard());
        CHECK(theirs.try_read() == 3); // optimistic
        // The time-out that was set is in force.
        const auto before = std::chrono::steady_clock::now();
        const auto refused = thrown(neocortex::status::timed_out, [&] { theirs.write(4); });
        CHECK(std::chrono::steady_clock::now() - before >= 5ms);
        CHECK(refused.code() == std::errc::timed_out);
        theirs.set_timeout(-1s);
        thrown(neocortex::status::timed_out, [&] { theirs.write(4); });
    });
    CHECK(mine.read() == 3);
    theirs.set_timeout(neocortex::timeout::forever());
    theirs.write(5);

    auto never = neocortex::cortex<int>::attach(mine.key(), neocortex::options().wait(neocortex::timeout::never()));
    {
        auto held = mine.write_guard();
        thrown(neocortex::status::busy, [&] { static_cast<void>(mine.try_write(4)); });
    }
    while_held(mine, [&] { thrown(neocortex::status::timed_out, [&] { never.write(4); }); });
    never.write(6);
}

void a_time_out_of_one_call_is_of_that_call_alone()
{
    auto mine = neocortex::cortex<int>::create(check_key(), 1);
    auto theirs = neocortex::cortex<int>::attach(mine.key());
    int seen = 0;

    while_held(mine, [&] {
        for (const auto time : {0ms, 2ms}) { // the object waits for ever
            const auto before = std::chrono::steady_clock::now();
            CHECK(!theirs.write_for(2, time));
            CHECK(!theirs.write_guard_for(time));
            CHECK(!theirs.read_guard_for(time));
            CHECK(!theirs.update_for(time, [](int &) { CHECK(false && "not held"); }));
            CHECK(!theirs.update_for(time, [](int &value) { return value; }));
            CHECK(!theirs.bytes().write_for(&seen, sizeof seen, time));
            CHECK(std::chrono::steady_clock::now() - before >= 6 * time);
        }
        CHECK(theirs.read_for(2ms) == 1 && theirs.read_for(seen, 2ms) && seen == 1);
    });
    const auto observer = neocortex::observer<int>::attach(mine.key());
    CHECK(observer.read_for(0ms) == 1 && observer.try_read() == 1 && observer.try_read(seen) && observer.read_for(seen, 1ms));
    theirs.set_timeout(neocortex::timeout::never());
    CHECK(theirs.write_for(2, neocortex::timeout::forever()));
    CHECK(theirs.update_for(1h, [](int &value) { ++value; }));
    CHECK(theirs.update_for(1h, [](int &value) { return ++value; }) == 4);
    CHECK(**theirs.read_guard_for(1h) == 4);
    {
        auto guard = theirs.write_guard_for(1h);
        **guard = 5;
        guard->commit();
    }
    CHECK(mine.read() == 5);

    // In place nothing can be read under a writer, so that these run out as well.
    auto placed = neocortex::cortex<int>::create(check_key(), 1, neocortex::options().in_place());
    const auto looking = neocortex::observer<int>::attach(placed.key());
    while_held(placed, [&] {
        CHECK(!placed.read_for(1ms) && !placed.try_read() && !placed.try_read(seen) && seen == 1);
        CHECK(!looking.read_for(1ms) && !looking.try_read() && !looking.try_read(seen) && seen == 1);
    });
}

void a_value_comes_with_its_version()
{
    auto mine = neocortex::cortex<std::uint64_t>::create(check_key(), 0);
    const auto observer = neocortex::observer<std::uint64_t>::attach(mine.key());
    std::uint64_t value = 99;

    CHECK(mine.read_versioned() == std::pair(std::uint64_t{0}, std::uint64_t{0}));
    for (std::uint64_t number = 1; number < 20; ++number) {
        mine.write(number);
        CHECK(mine.wait_changed(number - 1) == number);
        CHECK(mine.read_versioned() == std::pair(number, number) && observer.read_versioned() == std::pair(number, number));
        CHECK(mine.read_versioned(value) == number && value == number);
        CHECK(observer.read_versioned(value) == number && value == number);
        CHECK(mine.bytes().read_versioned(&value, sizeof value) == number && value == number);
    }
}

void what_is_overwritten_is_not_copied_first()
{
    using value = std::array<std::uint64_t, 100>;
    auto mine = neocortex::cortex<value>::create(check_key(), value{});
    auto theirs = neocortex::cortex<value>::attach(mine.key());
    value all{};

    for (std::uint64_t number = 1; number < 10; ++number) {
        auto guard = mine.overwrite_guard();
        CHECK((*guard)[0] < number); // an older one
        guard->fill(number);
        guard.mark((*guard)[3]); // counts for nothing
        guard.commit();
        all.fill(number);
        CHECK(theirs.read() == all);
        theirs.update([](value &next) { next[0] += 100; });
        CHECK(mine.read()[1] == number && mine.read()[99] == number);
    }
    {
        auto dropped = mine.overwrite_guard();
        dropped->fill(77);
    }
    CHECK(mine.read()[99] == 9);
    while_held(mine, [&] {
        CHECK(!theirs.try_overwrite_guard() && !theirs.overwrite_guard_for(2ms) && !theirs.bytes().try_overwrite_guard());
        theirs.set_timeout(2ms); // the object's is what overwrite_guard() goes by
        thrown(neocortex::status::timed_out, [&] { static_cast<void>(theirs.overwrite_guard()); });
    });
    auto held = theirs.overwrite_guard_for(1h);
    (*held)->fill(5);
    held->commit();
    CHECK(mine.read()[50] == 5);
}

void memory_and_signals_are_asked_for()
{
    const neocortex_options asked = neocortex::options().interruptible().prefault().lock_in_memory().huge_pages(false).raw();
    CHECK(asked.flags == (NEOCORTEX_INTERRUPTIBLE | NEOCORTEX_PREFAULT | NEOCORTEX_LOCK_IN_MEMORY | NEOCORTEX_HUGE_PAGES |
                          NEOCORTEX_PREFER_HUGE_PAGES));
    CHECK(neocortex::options().huge_pages(false).huge_pages().raw().flags == NEOCORTEX_HUGE_PAGES);
    auto mine = neocortex::cortex<int>::create(check_key(), 1, neocortex::options().prefault().huge_pages(false));
    auto theirs = neocortex::cortex<int>::attach(mine.key(), neocortex::options().prefault().interruptible());
    theirs.write(2);
    CHECK(mine.read() == 2);
}

// One object is for all threads: what one tries must not change how long another waits.
void trying_does_not_hurry_other_threads()
{
    auto mine = neocortex::cortex<std::uint64_t>::create(check_key(), 0);
    std::atomic<bool> over{false};
    std::uint64_t tried = 0;
    std::thread trying([&] {
        while (!over) {
            tried += mine.try_write_guard() ? 1U : 0U;
            static_cast<void>(mine.try_read());
            static_cast<void>(mine.try_read_guard());
        }
    });
    std::thread holding([&] {
        while (!over) {
            mine.update([](std::uint64_t &value) {
                std::this_thread::yield(); // held for a while, so that others have to wait
                ++value;
            });
        }
    });
    for (int i = 0; i < 3000; ++i) {
        mine.update([](std::uint64_t &value) { ++value; }); // throws where its time-out was taken from it
    }
    over = true;
    trying.join();
    holding.join();
    CHECK(mine.read() == mine.version());
}

// Each in a function of its own: what a function holds at different times has different places on its stack.
using camera_of_frames = neocortex::cortex<frame>;
using kept_frame = std::unique_ptr<frame>;
[[gnu::noinline]] kept_frame kept(const camera_of_frames &camera) { return std::make_unique<frame>(camera.read()); }
[[gnu::noinline]] kept_frame kept(const neocortex::observer<frame> &camera)
{
    return std::make_unique<frame>(camera.read());
}
[[gnu::noinline]] kept_frame tried(camera_of_frames &camera) { return std::make_unique<frame>(*camera.try_read()); }
[[gnu::noinline]] kept_frame exchanged(camera_of_frames &camera, const frame &next)
{
    return std::make_unique<frame>(camera.exchange(next));
}

// On a thread with the stack that the main thread has by default.
void large_values_fit_the_stack_once()
{
    pthread_attr_t attributes;
    pthread_t thread;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, std::size_t{8} << 20) == 0);
    auto work = [](void *) -> void * {
        auto camera = neocortex::cortex<frame>::create(check_key());
        const auto looking = neocortex::observer<frame>::attach(camera.key());
        auto now = kept(camera);
        now->pixels.back() = 7;
        camera.write(*now);
        now = tried(camera);
        CHECK(now->pixels.back() == 7);
        now->pixels.back() = 8;
        auto before = exchanged(camera, *now);
        CHECK(before->pixels.back() == 7);
        CHECK(kept(looking)->pixels.back() == 8);
        // And those that have none on the stack at all.
        camera.exchange(*before, *now);
        CHECK(now->pixels.back() == 8);
        camera.read(*now);
        CHECK(now->pixels.back() == 7 && camera.try_read(*before) && looking.try_read(*before));
        looking.read(*before);
        return nullptr;
    };
    CHECK(pthread_create(&thread, &attributes, work, nullptr) == 0);
    CHECK(pthread_join(thread, nullptr) == 0);
    pthread_attr_destroy(&attributes);
}

void a_creator_that_dies_leaves_its_value_or_nothing()
{
    const auto key = check_key();
    // Nobody sees anything but 42, however early they look.
    const pid_t child = check_fork();
    if (child == 0) {
        for (;;) {
            try {
                const auto theirs = neocortex::cortex<std::uint64_t>::attach(key);
                CHECK(theirs.read() == 42 && theirs.version() == 0);
                break;
            } catch (const neocortex::error &) {
            }
        }
        _exit(0);
    }
    const auto mine = neocortex::cortex<std::uint64_t>::create(key, 42);
    CHECK_CHILD(child);
    CHECK(mine.version() == 0);
    const auto bytes = neocortex::segment::create_with(check_key(), 5, "hello");
    CHECK(bytes.version() == 0 && bytes.read().back() == std::byte{'o'});
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

void records_have_any_length()
{
    auto mine = neocortex::segment::create(check_key(), 1000, neocortex::options().records().slots(8));
    const auto theirs = neocortex::segment::attach(mine.key(), 1000, neocortex::options().read_only());
    CHECK(mine.has_records() && theirs.has_records() && theirs.read_record().empty());
    const std::string longest(1000, 'x');
    mine.push("hello");
    CHECK(mine.push_for(longest, 1h) && mine.push_for("", neocortex::timeout::never()));
    CHECK(theirs.read_record().empty());
    mine.push(std::string_view("a\0b", 3));
    CHECK(theirs.read_record() == std::string("a\0b", 3));
    std::uint64_t since = 0, missed = 9;
    std::string record;
    CHECK(theirs.next_record(since, record, 1h, missed) && record == "hello" && since == 1 && missed == 0);
    CHECK(theirs.next_record(since, record, 1h, missed) && record == longest && since == 2);
    CHECK(theirs.next_record(since, record, 1h, missed) && record.empty() && since == 3);
    CHECK(mine.next_record(since, record, 1h, missed) && record.size() == 3 && since == 4);
    CHECK(!mine.next_record(since, record, 1ms, missed) && since == 4);
    thrown(neocortex::status::invalid_argument, [&] { mine.push(longest + "x"); });
    thrown(neocortex::status::unsupported, [&] { mine.write("hello", 5); });
    auto value = neocortex::segment::create(check_key(), 8);
    CHECK(!value.has_records());
    thrown(neocortex::status::unsupported, [&] { value.push("hello"); });
    thrown(neocortex::status::unsupported, [&] { static_cast<void>(value.read_record()); });
    thrown(neocortex::status::unsupported, [&] { value.next_record(since, record, 1h, missed); });
}

void any_of_several_is_waited_for()
{
    auto first = neocortex::cortex<std::uint64_t>::create(check_key(), 0);
    auto owner = neocortex::segment::create(check_key(), 8);
    auto bytes = neocortex::segment::attach(owner.key(), 8);
    const auto theirs = neocortex::observer<std::uint64_t>::attach(first.key());
    neocortex::wait_set set;
    set.add(first, first.version(), &first);
    set.add(bytes, bytes.version(), &bytes);
    CHECK(set.wait_for(1ms).empty());
    first.write(5);
    const auto told = set.wait();
    CHECK(told.size() == 1 && told[0].tag == &first && told[0].version == 1 && !told[0].is_removed);
    set.add(theirs, 0);
    CHECK(set.wait(1).size() == 1);
    set.remove(theirs);
    set.remove(first);
    thrown(neocortex::status::invalid_argument, [&] { set.remove(first); });
    owner.close();
    CHECK(set.wait()[0].is_removed && bytes.is_removed());
    set.interrupt();
    thrown(neocortex::status::interrupted, [&] { static_cast<void>(set.wait()); });
    CHECK(set.raw() != nullptr);
}

void commits_are_followed()
{
    auto mine = neocortex::cortex<std::uint64_t>::create(check_key(), 0, neocortex::options().slots(8));
    const auto theirs = neocortex::observer<std::uint64_t>::attach(mine.key());
    auto follower = mine.follow(mine.version());
    CHECK(!follower.try_next() && !follower.next_for(1ms));
    for (std::uint64_t number = 1; number <= 5; ++number) {
        mine.write(number * 10);
    }
    const auto first = follower.next();
    CHECK(first.value == 10 && first.version == 1 && first.missed == 0 && follower.position() == 1);
    std::uint64_t values[3] = {};
    const auto some = follower.next_many(values, 3);
    CHECK(some.count == 3 && some.version == 2 && some.missed == 0 && values[2] == 40);
    CHECK(follower.try_next()->value == 50);
    const auto none = follower.next_many(values, 3);
    CHECK(none.count == 0 && none.version == 0 && none.missed == 0);
    for (std::uint64_t number = 6; number <= 20; ++number) {
        mine.write(number * 10);
    }
    CHECK(mine.kept_since() == 12 && theirs.kept_since() == 12);
    const auto late = follower.next_for(1h);
    CHECK(late && late->value == 130 && late->version == 13 && late->missed == 7);

    // A loop waits for each, and ends when the cortex is removed.
    auto after_twelve = theirs.follow(theirs.kept_since());
    std::thread writer([&] {
        for (std::uint64_t number = 21; number <= 25; ++number) {
            mine.write(number * 10);
        }
        while (theirs.version() != 25) {
        }
        neocortex::remove(mine.key());
    });
    std::uint64_t got = 0, missed = 0;
    for (const auto &commit : after_twelve) {
        CHECK(commit.value == commit.version * 10);
        ++got;
        missed += commit.missed;
    }
    writer.join();
    CHECK(got + missed == 25 - 12);
    thrown(neocortex::status::removed, [&] { static_cast<void>(mine.follow(25).next()); });
    thrown(neocortex::status::invalid_argument, [&] { static_cast<void>(mine.follow(26).try_next()); });
    thrown(neocortex::status::invalid_argument, [&] { mine.follow(0).next_many(values, 0); });

    auto bytes = neocortex::segment::create(check_key(), 4);
    bytes.write("abcd", 4);
    std::uint64_t since = 0;
    std::uint64_t lost = 9;
    char text[9] = {};
    CHECK(bytes.follow(since, text, 8, 1h, lost) == 1 && since == 1 && lost == 0 && text == std::string_view("abcd"));
    CHECK(bytes.follow(since, text, 8, 1ms, lost) == 0 && since == 1 && bytes.kept_since() == 0);
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
    const auto refused = thrown(neocortex::status::interrupted, [&] { mine.wait_changed(0); });
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
    CHECK(neocortex::seqlock() == neocortex_lock_seqlock());
    CHECK(neocortex::rwlock() == neocortex_lock_rwlock());
    CHECK(neocortex::semaphore() == neocortex_lock_semaphore());

    for (int number = 0; number < CHECK_LOCKS; number++) {
        const auto *lock = check_lock(number);
        if (lock == nullptr) {
            continue;
        }
        auto options = neocortex::options().lock(lock).schema(7).participants(5).slots(4).mode(0640);
        CHECK((options.raw().flags & NEOCORTEX_SET_OWNER) == 0);
        options.owner(std::nullopt, getegid());
        CHECK((options.raw().flags & NEOCORTEX_SET_OWNER) != 0);
        CHECK(options.raw().owner_uid == UINT32_MAX && options.raw().owner_gid == getegid());
        auto mine = neocortex::cortex<int>::create(check_key(), 1, options);
        CHECK(mine.lock_name() == lock->name && mine.schema() == 7 && mine.participants().limit == 5);
        shmid_ds found{};
        CHECK(shmctl(shmget(mine.key(), 0, 0), IPC_STAT, &found) == 0);
        CHECK((found.shm_perm.mode & 0777) == 0640);
        CHECK(found.shm_perm.uid == geteuid() && found.shm_perm.gid == getegid());
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
    // It was made to stay: not stale.
    thrown(neocortex::status::busy,
           [&] { static_cast<void>(neocortex::cortex<int>::create(key, 5, neocortex::options().replace_stale())); });
    thrown(neocortex::status::busy, [&] { neocortex::reclaim(key); });
    neocortex::remove(key);
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

    // In the words of this layer.
    const auto only = neocortex::cortex<int>::create(check_key(), 1, neocortex::options().participants(1));
    const auto full =
        thrown(neocortex::status::full, [&] { static_cast<void>(neocortex::cortex<int>::attach(only.key())); });
    CHECK(std::string(full.what()).find("`options::participants`") != std::string::npos);
    CHECK(std::string(full.what()).find("`observer`") != std::string::npos);
    CHECK(std::string(full.what()).find("NEOCORTEX") == std::string::npos);

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

    CHECK(observer.read() == 1 && observer.version() == 0 && observer.schema() == 3 && observer.key() == mine.key());
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

// With assertions, as here; without them: moved.cpp.
void a_guard_ends_on_its_thread()
{
    const auto shared = neocortex::cortex<int>::create(check_key(), 1);
    for (const bool is_write : {false, true}) {
        const pid_t child = check_fork();
        if (child == 0) {
            const struct rlimit none{0, 0};
            setrlimit(RLIMIT_CORE, &none);
            CHECK(freopen("/dev/null", "w", stderr) != nullptr);
            auto mine = neocortex::cortex<int>::attach(shared.key());
            if (is_write) {
                std::thread([guard = mine.write_guard()]() mutable { const auto dropped = std::move(guard); }).join();
            } else {
                std::thread([guard = mine.read_guard()]() mutable { const auto dropped = std::move(guard); }).join();
            }
            _exit(0);
        }
        const int status = check_wait(child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
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

CHECK_MAIN(
    CHECK_ONCE(a_value_is_shared),
    CHECK_ONCE(update_commits_or_rolls_back),
    CHECK_ONCE(guards_roll_back_unless_committed),
    CHECK_ONCE(trying_does_not_wait),
    CHECK_ONCE(a_time_out_of_one_call_is_of_that_call_alone),
    CHECK_ONCE(trying_does_not_hurry_other_threads),
    CHECK_ONCE(a_value_comes_with_its_version),
    CHECK_ONCE(what_is_overwritten_is_not_copied_first),
    CHECK_ONCE(memory_and_signals_are_asked_for),
    CHECK_ONCE(large_values_fit_the_stack_once),
    CHECK_ONCE(a_creator_that_dies_leaves_its_value_or_nothing),
    CHECK_ONCE(changes_are_waited_for),
    CHECK_ONCE(any_of_several_is_waited_for),
    CHECK_ONCE(commits_are_followed),
    CHECK_ONCE(records_have_any_length),
    CHECK_ONCE(an_interrupt_ends_the_wait),
    CHECK_ONCE(bytes_are_shared),
    CHECK_ONCE(options_are_passed_on),
    CHECK_ONCE(in_place_poisons_and_heals),
    CHECK_ONCE(alignment_is_asked_for_and_checked),
    CHECK_ONCE(errors_say_what_and_why),
    CHECK_ONCE(observers_only_look),
    CHECK_ONCE(the_log_is_received),
    CHECK_ONCE(a_guard_ends_on_its_thread),
    CHECK_ONCE(processes_count_together))
