// Boost.Interprocess: the loops of peers.c for its two mutexes; those of ring.c for its message queue.

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

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

using boost::interprocess::message_queue;

std::uint64_t sum(const std::vector<char> &bytes) {
    std::uint64_t first, last;
    std::memcpy(&first, bytes.data(), sizeof first);
    std::memcpy(&last, bytes.data() + bytes.size() - sizeof last, sizeof last);
    return first ^ last;
}

void receive(message_queue &queue, std::vector<char> &bytes) {
    message_queue::size_type length;
    unsigned priority;
    queue.receive(bytes.data(), bytes.size(), length, priority);
}

bool try_receive(message_queue &queue, std::vector<char> &bytes) {
    message_queue::size_type length;
    unsigned priority;
    return queue.try_receive(bytes.data(), bytes.size(), length, priority);
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

message_queue *boost_queue(const char *name, bool is_new, std::size_t depth, std::size_t size) {
    using namespace boost::interprocess;
    return is_new ? new message_queue(create_only, name, depth, size) : new message_queue(open_only, name);
}
void boost_queue_remove(const char *name) { message_queue::remove(name); }
void boost_queue_close(message_queue *queue) { delete queue; }

std::uint64_t boost_queue_run(message_queue *queue, std::size_t burst, std::uint64_t n) {
    std::vector<char> value(queue->get_max_msg_size()), buffer(value.size());
    std::uint64_t seen = 0;
    for (std::uint64_t done = 0; done < n;) {
        std::uint64_t length = n - done < burst ? n - done : burst;
        for (std::uint64_t i = 0; i < length; i++, done++) {
            std::memcpy(value.data(), &done, sizeof done);
            queue->send(value.data(), value.size(), 0);
        }
        for (std::uint64_t i = 0; i < length; i++) {
            receive(*queue, buffer);
            seen ^= sum(buffer);
        }
    }
    return seen;
}

// What does not fit, or is not there, is tried again.
std::uint64_t boost_queue_push_until(message_queue *queue, const std::atomic<std::uint32_t> *stop) {
    std::vector<char> value(queue->get_max_msg_size());
    std::uint64_t n = 0;
    while (!stop->load(std::memory_order_relaxed)) {
        std::memcpy(value.data(), &n, sizeof n);
        n += queue->try_send(value.data(), value.size(), 0);
    }
    return n;
}

std::uint64_t boost_queue_take_until(message_queue *queue, const std::atomic<std::uint32_t> *stop) {
    std::vector<char> buffer(queue->get_max_msg_size());
    std::uint64_t n = 0;
    while (!stop->load(std::memory_order_relaxed)) n += try_receive(*queue, buffer);
    return n;
}

// One that pushes, where nobody takes anything: it takes one as well.
std::uint64_t boost_queue_both_until(message_queue *queue, const std::atomic<std::uint32_t> *stop) {
    std::vector<char> value(queue->get_max_msg_size());
    std::uint64_t n = 0;
    while (!stop->load(std::memory_order_relaxed)) {
        n += queue->try_send(value.data(), value.size(), 0);
        try_receive(*queue, value);
    }
    return n;
}
}
