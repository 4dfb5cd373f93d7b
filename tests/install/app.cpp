// As app.c, with the C++ layer.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <neocortex.hpp>

namespace {

void change(std::int32_t key)
{
    auto shared = neocortex::cortex<std::uint64_t>::attach(key);
    shared.update([](std::uint64_t &value) { value += 1; });
}

bool share(const char *program)
{
    auto mine = neocortex::cortex<std::uint64_t>::create_with_random_key(41);
    const std::string key = std::to_string(mine.key());
    const pid_t child = fork();
    if (child == 0) {
        execl(program, program, key.c_str(), static_cast<char *>(nullptr));
        _exit(127);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 && mine.read() == 42;
}

} // namespace

int main(int argc, char **argv)
{
    try {
        if (argc > 1) {
            change(static_cast<std::int32_t>(std::strtol(argv[1], nullptr, 10)));
            return EXIT_SUCCESS;
        }
        if (!share(argv[0])) {
            std::cerr << "app: the other process failed\n";
            return EXIT_FAILURE;
        }
        std::cout << "ok app.cpp\n";
    } catch (const neocortex::error &failure) {
        std::cerr << "app: " << failure.what() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
