// asio: several values in an asio program, beside a timer of its own.
//
// Built by `make asio`, for it needs asio (on Debian libasio-dev). A child writes three values; the program sleeps in
// asio's loop and is told of each change by the descriptor of a wait set. It ends when the last values have come.
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <asio.hpp>
#include <neocortex.hpp>

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t rounds = 20000;

using value = neocortex::cortex<std::uint64_t>;

// The changes of a wait set, as they come in asio's loop.
class changes {
public:
    explicit changes(asio::io_context &context) : descriptor_(context, set_.fd()) {}
    changes(const changes &) = delete;
    changes &operator=(const changes &) = delete;
    // The set closes its descriptor itself.
    ~changes() { descriptor_.release(); }

    void add(const value &what, std::uint64_t since, void *tag) { set_.add(what, since, tag); }

    // Calls `told` with each change, until it returns false.
    template <class Told> void follow(Told told)
    {
        descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, [this, told](const asio::error_code &failure) {
            if (failure) {
                throw std::system_error(failure);
            }
            // Takes them, which makes the descriptor unreadable. Now and then there is none.
            for (const neocortex::change &now : set_.wait_for(neocortex::timeout::never())) {
                if (!told(now)) {
                    return;
                }
            }
            follow(told);
        });
    }

private:
    neocortex::wait_set set_;
    asio::posix::stream_descriptor descriptor_;
};

pid_t start_writer(std::vector<value> &values)
{
    const pid_t child = fork();
    if (child < 0) {
        throw std::system_error(errno, std::generic_category(), "fork");
    }
    if (child == 0) {
        try {
            for (std::uint64_t round = 1; round <= rounds; ++round) {
                for (value &one : values) {
                    one.write(round);
                }
            }
        } catch (const std::exception &failure) {
            std::cerr << "asio: the writer: " << failure.what() << '\n';
            _exit(EXIT_FAILURE);
        }
        _exit(EXIT_SUCCESS);
    }
    return child;
}

void run()
{
    std::vector<value> values;
    for (int count = 0; count < 3; ++count) {
        values.push_back(value::create_with_random_key(0));
    }
    // Before the library and asio have threads and descriptors of their own.
    const pid_t writer = start_writer(values);

    asio::io_context context;
    changes watched(context);
    for (value &one : values) {
        watched.add(one, 0, &one);
    }
    asio::steady_timer watchdog(context, 60s);
    watchdog.async_wait([](const asio::error_code &failure) {
        if (!failure) {
            throw std::runtime_error("the last values did not come within a minute");
        }
    });
    std::uint64_t told = 0;
    std::size_t ended = 0;
    watched.follow([&](const neocortex::change &now) {
        const std::uint64_t read = static_cast<value *>(now.tag)->read();
        told += 1;
        ended += now.version == rounds ? 1 : 0;
        if (read < now.version) {
            throw std::runtime_error("an older value than the one that was told of");
        }
        if (ended == values.size()) {
            watchdog.cancel();
            return false;
        }
        return true;
    });
    context.run();

    int status = 0;
    while (waitpid(writer, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        throw std::runtime_error("the writer failed");
    }
    std::cout << "asio: told " << told << " times of " << rounds * values.size() << " commits, and of the last of each\n";
}

} // namespace

int main()
{
    try {
        run();
    } catch (const std::exception &failure) {
        std::cerr << "asio: " << failure.what() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
