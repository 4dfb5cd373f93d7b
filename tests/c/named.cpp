// Names in place of keys in the C++ layer: overloads that take a std::string_view.
#include "check.h"

#include <neocortex.hpp>

#include <string>
#include <string_view>

namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using cortex = neocortex::cortex<std::uint64_t>;
using observer = neocortex::observer<std::uint64_t>;

// Computed while it is compiled; 'foobar' is of tests/vectors/names.txt.
static_assert(neocortex::schema_of("foobar") == 0x85944171f73967e8);
static_assert(neocortex::schema_of("") != 0);
static_assert(neocortex::schema_of("\xd5\x6b\xb9\x53\x42\x87\x08\x36"sv) == 1, "its hash is 0");

std::string fresh_name() {
  for (;;) {
    std::string name = "test/cpp/" + std::to_string(check_random());
    const std::int32_t key = neocortex::key_of(name);
    if (!check_exists(key)) {
      check_own(key);
      return name;
    }
  }
}

template <class Call> neocortex::status failure_of(Call &&call) {
  try {
    call();
  } catch (const neocortex::error &error) {
    CHECK(*error.what() != '\0');
    return static_cast<neocortex::status>(error.code().value());
  }
  return neocortex::status::ok;
}

void a_name_has_the_key_of_the_published_vectors() {
  CHECK(neocortex::key_of("arm/pose") == 1772166907);
  CHECK(neocortex::key_of("gr\303\266\303\237e") == 1120161476);
  CHECK(neocortex::key_of(std::string(255, 'x')) == 1399824269);
  // Not ended by a 0.
  CHECK(neocortex::key_of(std::string_view("arm/pose and more").substr(0, 8)) == 1772166907);
}

void what_is_no_name_is_refused() {
  for (const auto name : {""sv, "123"sv, "-7"sv, "0x1F"sv, "a\nb"sv, "a\0b"sv, "\xff"sv}) {
    const auto refused = neocortex::status::invalid_argument;
    CHECK(failure_of([&] { (void)neocortex::key_of(name); }) == refused);
    CHECK(failure_of([&] { (void)cortex::create(name, 1); }) == refused);
    CHECK(failure_of([&] { (void)cortex::open_or_create(name, 1); }) == refused);
    CHECK(failure_of([&] { (void)cortex::attach(name); }) == refused);
    CHECK(failure_of([&] { (void)cortex::attach_wait(name, 1s); }) == refused);
    CHECK(failure_of([&] { (void)observer::attach(name); }) == refused);
    CHECK(failure_of([&] { (void)neocortex::segment::create(name, 8); }) == refused);
    CHECK(failure_of([&] { (void)neocortex::segment::attach(name); }) == refused);
  }
}

void a_name_is_found_by_everybody_who_knows_it() {
  const std::string name = fresh_name();
  {
    auto mine = cortex::create(name, 41);
    CHECK(mine.name() == name && mine.key() == neocortex::key_of(name));
    CHECK(cortex::attach(name).read() == 41);
    CHECK(cortex::attach(mine.key()).name() == name);
    CHECK(observer::attach(name).read() == 41);
    CHECK(observer::attach_wait(name, 1s).name() == name);
    CHECK(cortex::attach_wait(name, 1s).read() == 41);
    CHECK(neocortex::segment::attach(name, 8).name() == name);
  }
  CHECK(cortex::create(check_key(), 1).name().empty());
  CHECK(failure_of([&] { (void)cortex::attach_wait(name, 1ms); }) == neocortex::status::timed_out);
  CHECK(failure_of([&] { (void)observer::attach_wait(name, 0ms); }) == neocortex::status::timed_out);
}

void another_name_of_the_same_key_is_told_apart() {
  CHECK(neocortex::key_of("abxx") == neocortex::key_of("ascu"));
  check_own(neocortex::key_of("abxx"));
  auto mine = cortex::create("abxx", 1);
  CHECK(failure_of([] { (void)cortex::attach("ascu"); }) == neocortex::status::name);
  CHECK(failure_of([] { (void)cortex::open_or_create("ascu", 2); }) == neocortex::status::name);
  CHECK(mine.read() == 1);
}

void one_creates_and_the_others_attach() {
  const std::string name = fresh_name();
  auto one = cortex::open_or_create(name, 1);
  auto two = cortex::open_or_create(name, 2);
  CHECK(one.was_created() && one.is_owner());
  CHECK(!two.was_created() && !two.is_owner());
  CHECK(two.read() == 1);
  const std::int32_t key = check_key();
  auto three = cortex::open_or_create(key, 3);
  CHECK(cortex::open_or_create(key, 4).read() == 3);
  // What a program relies on is as it asked for.
  for (neocortex::options other : {neocortex::options().lossless(), neocortex::options().in_place()}) {
    CHECK(failure_of([&] { (void)cortex::open_or_create(key, 4, other); }) == neocortex::status::layout);
  }
  CHECK(cortex::open_or_create(key, 4, neocortex::options().slots(5)).read() == 3);
}

} // namespace

CHECK_MAIN(
    CHECK_ONCE(a_name_has_the_key_of_the_published_vectors),
    CHECK_ONCE(what_is_no_name_is_refused),
    CHECK_ONCE(a_name_is_found_by_everybody_who_knows_it),
    CHECK_ONCE(another_name_of_the_same_key_is_told_apart),
    CHECK_ONCE(one_creates_and_the_others_attach))
