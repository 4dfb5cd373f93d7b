// Boost.Interprocess: the loops of peers.c for its two mutexes.

#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <new>

namespace {

struct area {
    alignas(64) boost::interprocess::interprocess_mutex mutex;
    alignas(64) boost::interprocess::interprocess_sharable_mutex sharable;
    alignas(64) volatile double value;
};

struct mutex_work {
    static void lock_read(area &a) { a.mutex.lock(); }
    static void unlock_read(area &a) { a.mutex.unlock(); }
    static void lock(area &a) { a.mutex.lock(); }
    static void unlock(area &a) { a.mutex.unlock(); }
};

struct sharable_work {
    static void lock_read(area &a) { a.sharable.lock_sharable(); }
    static void unlock_read(area &a) { a.sharable.unlock_sharable(); }
    static void lock(area &a) { a.sharable.lock(); }
    static void unlock(area &a) { a.sharable.unlock(); }
};

template <class Work> std::uint64_t read(area &a, std::uint64_t n) {
    std::uint64_t seen = 0;
    for (std::uint64_t i = 0; i < n; i++) {
        Work::lock_read(a);
        double value = a.value;
        Work::unlock_read(a);
        std::uint64_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        seen ^= bits;
    }
    return seen;
}

template <class Work> std::uint64_t write(area &a, std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; i++) {
        Work::lock(a);
        a.value = 1.5;
        Work::unlock(a);
    }
    return 0;
}

template <class Work> std::uint64_t read_until(area &a, const std::atomic<std::uint32_t> &stop) {
    std::uint64_t n = 0;
    for (; !stop.load(std::memory_order_relaxed); n++) {
        Work::lock_read(a);
        (void)a.value;
        Work::unlock_read(a);
    }
    return n;
}

template <class Work> std::uint64_t write_until(area &a, const std::atomic<std::uint32_t> &stop) {
    std::uint64_t n = 0;
    for (; !stop.load(std::memory_order_relaxed); n++) {
        Work::lock(a);
        a.value = double(n);
        Work::unlock(a);
    }
    return n;
}

} // namespace

#define WORK(NAME)                                                                                 \
    std::uint64_t boost_##NAME##_read(area *a, std::uint64_t n) { return read<NAME##_work>(*a, n); }\
    std::uint64_t boost_##NAME##_write(area *a, std::uint64_t n) {                                 \
        return write<NAME##_work>(*a, n);                                                          \
    }                                                                                              \
    std::uint64_t boost_##NAME##_read_until(area *a, const std::atomic<std::uint32_t> *stop) {     \
        return read_until<NAME##_work>(*a, *stop);                                                 \
    }                                                                                              \
    std::uint64_t boost_##NAME##_write_until(area *a, const std::atomic<std::uint32_t> *stop) {    \
        return write_until<NAME##_work>(*a, *stop);                                                \
    }

extern "C" {
std::size_t boost_area_size() { return sizeof(area); }
void boost_init(void *memory) { new (memory) area(); }
WORK(mutex)
WORK(sharable)
}
