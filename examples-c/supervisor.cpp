// supervisor: kills its workers, again and again, and shows that nothing is lost and nothing done twice.
//
// Three workers (forked; a child may go on using what it inherited) are at work on a list of jobs. One after the
// other is killed with SIGKILL, wherever it is, and another one takes its seat. All that they know is one shared
// value, changed in whole commits: a job is in a seat's hand or its result is counted, never both, never neither.
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <system_error>

#include <sys/wait.h>
#include <unistd.h>

#include <neocortex.hpp>

using namespace std::chrono_literals;

namespace {

constexpr std::size_t seats = 3;
constexpr std::uint64_t jobs = 4000;
constexpr std::uint64_t kills = 20;

struct ledger {
    std::uint64_t taken;                         // the last job that was taken
    std::uint64_t done;
    std::uint64_t sum;                           // of the results of the jobs that are done
    std::array<std::uint64_t, seats> in_hand;    // the job that each seat has; 0 is none
};

// The job itself: any computation.
std::uint64_t result_of(std::uint64_t job)
{
    for (int step = 0; step < 2000; ++step) {
        job = job * 6364136223846793005U + 1442695040888963407U;
    }
    return job;
}

void work(neocortex::cortex<ledger> &shared, std::size_t seat)
{
    for (;;) {
        // One commit takes a job. Who finds one in the seat's hand follows a worker that was killed.
        const std::uint64_t job = shared.update([seat](ledger &now) {
            if (now.in_hand[seat] == 0 && now.taken < jobs) {
                now.in_hand[seat] = ++now.taken;
            }
            return now.in_hand[seat];
        });
        if (job == 0) {
            return;
        }
        const std::uint64_t result = result_of(job);
        // One commit delivers it: killed before, it is still in hand; killed after, it is counted.
        shared.update([seat, result](ledger &now) {
            now.done += 1;
            now.sum += result;
            now.in_hand[seat] = 0;
        });
    }
}

pid_t start(neocortex::cortex<ledger> &shared, std::size_t seat)
{
    const pid_t worker = fork();
    if (worker < 0) {
        throw std::system_error(errno, std::generic_category(), "fork");
    }
    if (worker == 0) {
        int status = EXIT_FAILURE;
        try {
            work(shared, seat);
            status = EXIT_SUCCESS;
        } catch (const std::exception &failure) {
            std::cerr << "worker: " << failure.what() << '\n';
        }
        _exit(status);
    }
    return worker;
}

int status_of(pid_t worker)
{
    int status = 0;
    while (waitpid(worker, &status, 0) < 0) {
        if (errno != EINTR) {
            throw std::system_error(errno, std::generic_category(), "waitpid");
        }
    }
    return status;
}

void supervise()
{
    auto shared = neocortex::cortex<ledger>::create_with_random_key(ledger{});
    std::array<pid_t, seats> workers{};
    for (std::size_t seat = 0; seat < seats; ++seat) {
        workers[seat] = start(shared, seat);
    }
    for (std::uint64_t kill_number = 0; kill_number < kills; ++kill_number) {
        // Let some work be done, and then kill one wherever it is.
        const std::uint64_t goal = (kill_number + 1) * jobs / (kills + 1);
        for (std::uint64_t seen = shared.version(); shared.read().done < goal;) {
            const auto news = shared.wait_changed_for(seen, 60s);
            if (!news) {
                throw std::runtime_error("the workers stand still");
            }
            seen = *news;
        }
        const std::size_t seat = kill_number % seats;
        kill(workers[seat], SIGKILL);
        status_of(workers[seat]);
        workers[seat] = start(shared, seat);
    }
    for (const pid_t worker : workers) {
        if (status_of(worker) != 0) {
            throw std::runtime_error("a worker failed");
        }
    }

    std::uint64_t expected = 0;
    for (std::uint64_t job = 1; job <= jobs; ++job) {
        expected += result_of(job);
    }
    const ledger end = shared.read();
    std::cout << "supervisor: " << kills << " workers killed; " << end.done << " jobs done of " << jobs << '\n';
    if (end.taken != jobs || end.done != jobs || end.sum != expected) {
        throw std::runtime_error("a job was lost, or done twice");
    }
    std::cout << "supervisor: nothing lost, nothing done twice\n";
}

} // namespace

int main()
{
    try {
        supervise();
    } catch (const std::exception &failure) {
        std::cerr << "supervisor: " << failure.what() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
