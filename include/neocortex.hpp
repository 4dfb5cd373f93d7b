/// \file neocortex.hpp
/// \brief Share a value between processes: the C++17 layer over `neocortex.h`.
///
/// It is header only; link `-lneocortex`. What each call means to *other* processes is said in
/// `neocortex.h`; this file says what C++ adds:
///
/// - neocortex::cortex "cortex<T>" shares one value of plain data (neocortex::is_plain), neocortex::segment
///   shares bytes, neocortex::observer "observer<T>" reads through a read-only mapping;
/// - guards are move-only and roll back: one that is destroyed without `commit()`, by an exception
///   or otherwise, changed nothing (in-place layout: the value is poisoned, it cannot be undone);
/// - failures are neocortex::error, a `std::system_error` that carries the status, the operating
///   system's error and the library's message;
/// - time-outs are `std::chrono` durations, see neocortex::timeout: of the handle (options::wait(),
///   `set_timeout`), and of one call (`read_for`, `write_for`, …; `try_` is a call that does not wait).
///
/// \code{.cpp}
/// auto writer = neocortex::cortex<double>::create(123, 42.0);
/// auto reader = neocortex::cortex<double>::attach(123);       // in another process, usually
/// writer.update([](double &value) { value += 1.0; });
/// assert(reader.read() == 43.0);
/// \endcode
///
/// **Threads.** One object may be used by several threads at once, except against its destruction and
/// moves; `set_timeout` applies to all of them. A guard ends on the thread that began it and must not outlive its
/// segment. One that is destroyed on another thread fails an assertion where assertions are on, and is logged; it is
/// rolled back when the thread that began it next begins one through this object, or ends. ThreadSanitizer, helgrind
/// and DRD are told what guards order (`NVALGRIND` leaves out the last two; `neocortex.supp` covers what they see
/// within the library itself).
///
/// **Fork.** A child may go on using an inherited object; destroying it there removes nothing.
///
/// **Exceptions.** No destructor throws. A moved-from object may be destroyed or assigned to; any
/// other use of it throws neocortex::error with status::invalid_argument.

#ifndef NEOCORTEX_HPP
#define NEOCORTEX_HPP

#if defined(__cplusplus) && __cplusplus < 201703L
#error "neocortex.hpp needs C++17 or later: compile with -std=c++17, or include neocortex.h"
#elif defined(__cplusplus) && !defined(__cpp_exceptions)
#error "neocortex.hpp throws exceptions: compile without -fno-exceptions, or include neocortex.h"
#else

#include "neocortex.h"

#include <array>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#if __has_include(<span>)
#include <span>
#endif
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

// Other headers may have made macros of these names. The macros are restored at the end of this file.
#pragma push_macro("abort")
#undef abort
#pragma push_macro("add")
#undef add
#pragma push_macro("addressof")
#undef addressof
#pragma push_macro("adopt")
#undef adopt
#pragma push_macro("align")
#undef align
#pragma push_macro("aligned")
#undef aligned
#pragma push_macro("any_members")
#undef any_members
#pragma push_macro("ask_valgrind")
#undef ask_valgrind
#pragma push_macro("attach")
#undef attach
#pragma push_macro("attach_wait")
#undef attach_wait
#pragma push_macro("begin")
#undef begin
#pragma push_macro("bytes")
#undef bytes
#pragma push_macro("c_str")
#undef c_str
#pragma push_macro("call")
#undef call
#pragma push_macro("capacity")
#undef capacity
#pragma push_macro("category")
#undef category
#pragma push_macro("change")
#undef change
#pragma push_macro("changed")
#undef changed
#pragma push_macro("changes_the_value")
#undef changes_the_value
#pragma push_macro("check")
#undef check
#pragma push_macro("clear_poison")
#undef clear_poison
#pragma push_macro("close")
#undef close
#pragma push_macro("code")
#undef code
#pragma push_macro("commit")
#undef commit
#pragma push_macro("convert")
#undef convert
#pragma push_macro("converts_to_a_union")
#undef converts_to_a_union
#pragma push_macro("converts_to_anything")
#undef converts_to_anything
#pragma push_macro("copied")
#undef copied
#pragma push_macro("copy")
#undef copy
#pragma push_macro("copy_begins")
#undef copy_begins
#pragma push_macro("cortex")
#undef cortex
#pragma push_macro("count")
#undef count
#pragma push_macro("count_members")
#undef count_members
#pragma push_macro("create")
#undef create
#pragma push_macro("create_with")
#undef create_with
#pragma push_macro("create_with_random_key")
#undef create_with_random_key
#pragma push_macro("custom")
#undef custom
#pragma push_macro("data")
#undef data
#pragma push_macro("default_error_condition")
#undef default_error_condition
#pragma push_macro("done")
#undef done
#pragma push_macro("dump")
#undef dump
#pragma push_macro("end")
#undef end
#pragma push_macro("end_quietly")
#undef end_quietly
#pragma push_macro("error")
#undef error
#pragma push_macro("exchange")
#undef exchange
#pragma push_macro("fd")
#undef fd
#pragma push_macro("fill")
#undef fill
#pragma push_macro("filled")
#undef filled
#pragma push_macro("filled_if")
#undef filled_if
#pragma push_macro("find_fault")
#undef find_fault
#pragma push_macro("flag")
#undef flag
#pragma push_macro("follow")
#undef follow
#pragma push_macro("follower")
#undef follower
#pragma push_macro("force_ownership")
#undef force_ownership
#pragma push_macro("forever")
#undef forever
#pragma push_macro("generic_category")
#undef generic_category
#pragma push_macro("get")
#undef get
#pragma push_macro("grown")
#undef grown
#pragma push_macro("guard_begins")
#undef guard_begins
#pragma push_macro("guard_ends")
#undef guard_ends
#pragma push_macro("has_records")
#undef has_records
#pragma push_macro("has_value")
#undef has_value
#pragma push_macro("huge_pages")
#undef huge_pages
#pragma push_macro("in_place")
#undef in_place
#pragma push_macro("in_time")
#undef in_time
#pragma push_macro("interrupt")
#undef interrupt
#pragma push_macro("interruptible")
#undef interruptible
#pragma push_macro("invoke")
#undef invoke
#pragma push_macro("is_forever")
#undef is_forever
#pragma push_macro("is_lossless")
#undef is_lossless
#pragma push_macro("is_owner")
#undef is_owner
#pragma push_macro("is_poisoned")
#undef is_poisoned
#pragma push_macro("is_removed")
#undef is_removed
#pragma push_macro("iterator")
#undef iterator
#pragma push_macro("judge")
#undef judge
#pragma push_macro("judge_member")
#undef judge_member
#pragma push_macro("judge_members")
#undef judge_members
#pragma push_macro("kept_since")
#undef kept_since
#pragma push_macro("key")
#undef key
#pragma push_macro("key_of")
#undef key_of
#pragma push_macro("last")
#undef last
#pragma push_macro("list_members")
#undef list_members
#pragma push_macro("lock")
#undef lock
#pragma push_macro("lock_in_memory")
#undef lock_in_memory
#pragma push_macro("lock_name")
#undef lock_name
#pragma push_macro("log_sink")
#undef log_sink
#pragma push_macro("lossless")
#undef lossless
#pragma push_macro("make_error_code")
#undef make_error_code
#pragma push_macro("mark")
#undef mark
#pragma push_macro("memcpy")
#undef memcpy
#pragma push_macro("message")
#undef message
#pragma push_macro("mode")
#undef mode
#pragma push_macro("move")
#undef move
#pragma push_macro("name")
#undef name
#pragma push_macro("never")
#undef never
#pragma push_macro("next")
#undef next
#pragma push_macro("next_for")
#undef next_for
#pragma push_macro("next_many")
#undef next_many
#pragma push_macro("next_record")
#undef next_record
#pragma push_macro("next_until_removed")
#undef next_until_removed
#pragma push_macro("none")
#undef none
#pragma push_macro("ns")
#undef ns
#pragma push_macro("observer")
#undef observer
#pragma push_macro("open_or_create")
#undef open_or_create
#pragma push_macro("options")
#undef options
#pragma push_macro("os_code")
#undef os_code
#pragma push_macro("os_error")
#undef os_error
#pragma push_macro("overwrite_guard")
#undef overwrite_guard
#pragma push_macro("overwrite_guard_for")
#undef overwrite_guard_for
#pragma push_macro("own")
#undef own
#pragma push_macro("owner")
#undef owner
#pragma push_macro("parameter_of")
#undef parameter_of
#pragma push_macro("participants")
#undef participants
#pragma push_macro("persist")
#undef persist
#pragma push_macro("position")
#undef position
#pragma push_macro("prefault")
#undef prefault
#pragma push_macro("publish")
#undef publish
#pragma push_macro("push")
#undef push
#pragma push_macro("push_back")
#undef push_back
#pragma push_macro("push_for")
#undef push_for
#pragma push_macro("random_key")
#undef random_key
#pragma push_macro("raw")
#undef raw
#pragma push_macro("read")
#undef read
#pragma push_macro("read_at")
#undef read_at
#pragma push_macro("read_for")
#undef read_for
#pragma push_macro("read_guard")
#undef read_guard
#pragma push_macro("read_guard_for")
#undef read_guard_for
#pragma push_macro("read_only")
#undef read_only
#pragma push_macro("read_record")
#undef read_record
#pragma push_macro("read_versioned")
#undef read_versioned
#pragma push_macro("receive")
#undef receive
#pragma push_macro("reclaim")
#undef reclaim
#pragma push_macro("records")
#undef records
#pragma push_macro("register_follower")
#undef register_follower
#pragma push_macro("release")
#undef release
#pragma push_macro("remove")
#undef remove
#pragma push_macro("replace_stale")
#undef replace_stale
#pragma push_macro("reserve")
#undef reserve
#pragma push_macro("reset")
#undef reset
#pragma push_macro("resize")
#undef resize
#pragma push_macro("resume_waits")
#undef resume_waits
#pragma push_macro("roll_back")
#undef roll_back
#pragma push_macro("room")
#undef room
#pragma push_macro("rwlock")
#undef rwlock
#pragma push_macro("schema")
#undef schema
#pragma push_macro("schema_of")
#undef schema_of
#pragma push_macro("see_parameter")
#undef see_parameter
#pragma push_macro("segment")
#undef segment
#pragma push_macro("semaphore")
#undef semaphore
#pragma push_macro("seqlock")
#undef seqlock
#pragma push_macro("set_timeout")
#undef set_timeout
#pragma push_macro("size")
#undef size
#pragma push_macro("size_of")
#undef size_of
#pragma push_macro("slots")
#undef slots
#pragma push_macro("status")
#undef status
#pragma push_macro("status_message")
#undef status_message
#pragma push_macro("stop_waits")
#undef stop_waits
#pragma push_macro("storage")
#undef storage
#pragma push_macro("string_view")
#undef string_view
#pragma push_macro("system_error")
#undef system_error
#pragma push_macro("tag")
#undef tag
#pragma push_macro("take")
#undef take
#pragma push_macro("take_ownership")
#undef take_ownership
#pragma push_macro("terminated")
#undef terminated
#pragma push_macro("timeout")
#undef timeout
#pragma push_macro("try_next")
#undef try_next
#pragma push_macro("try_overwrite_guard")
#undef try_overwrite_guard
#pragma push_macro("try_read")
#undef try_read
#pragma push_macro("try_read_guard")
#undef try_read_guard
#pragma push_macro("try_write")
#undef try_write
#pragma push_macro("try_write_guard")
#undef try_write_guard
#pragma push_macro("unregister_follower")
#undef unregister_follower
#pragma push_macro("unseen")
#undef unseen
#pragma push_macro("update")
#undef update
#pragma push_macro("update_for")
#undef update_for
#pragma push_macro("value")
#undef value
#pragma push_macro("value_or")
#undef value_or
#pragma push_macro("value_read_guard")
#undef value_read_guard
#pragma push_macro("value_write_guard")
#undef value_write_guard
#pragma push_macro("version")
#undef version
#pragma push_macro("visible_members")
#undef visible_members
#pragma push_macro("wait")
#undef wait
#pragma push_macro("wait_changed")
#undef wait_changed
#pragma push_macro("wait_changed_for")
#undef wait_changed_for
#pragma push_macro("wait_for")
#undef wait_for
#pragma push_macro("wait_set")
#undef wait_set
#pragma push_macro("was_created")
#undef was_created
#pragma push_macro("what")
#undef what
#pragma push_macro("whole_members")
#undef whole_members
#pragma push_macro("write")
#undef write
#pragma push_macro("write_at")
#undef write_at
#pragma push_macro("write_for")
#undef write_for
#pragma push_macro("write_guard")
#undef write_guard
#pragma push_macro("write_guard_for")
#undef write_guard_for
namespace neocortex {

// ---------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------

/// The statuses of `neocortex.h`. The values never change; a newer library may return further ones.
enum class status : std::int32_t {
  ok = NEOCORTEX_OK,
  clean_system = NEOCORTEX_ERR_CLEAN_SYSTEM,         ///< A system call failed; nothing is left behind.
  dirty_system = NEOCORTEX_ERR_DIRTY_SYSTEM,         ///< A system call failed; the message names what is left.
  invalid_argument = NEOCORTEX_ERR_INVALID_ARGUMENT,
  not_a_cortex = NEOCORTEX_ERR_NOT_A_CORTEX,
  format = NEOCORTEX_ERR_FORMAT,
  layout = NEOCORTEX_ERR_LAYOUT,                     ///< Another size, alignment or schema.
  lock = NEOCORTEX_ERR_LOCK,                         ///< Made with another lock.
  not_ready = NEOCORTEX_ERR_NOT_READY,
  timed_out = NEOCORTEX_ERR_TIMEOUT,
  poisoned = NEOCORTEX_ERR_POISONED,
  invalid_value = NEOCORTEX_ERR_INVALID_VALUE,
  read_only = NEOCORTEX_ERR_READ_ONLY,
  busy = NEOCORTEX_ERR_BUSY,
  corrupt = NEOCORTEX_ERR_CORRUPT,
  full = NEOCORTEX_ERR_FULL,
  unsupported = NEOCORTEX_ERR_UNSUPPORTED,
  custom = NEOCORTEX_ERR_CUSTOM,                     ///< A lock's callback failed; see error::custom().
  panic = NEOCORTEX_ERR_PANIC,
  removed = NEOCORTEX_ERR_REMOVED,
  interrupted = NEOCORTEX_ERR_INTERRUPTED,
  name = NEOCORTEX_ERR_NAME,                         ///< Another name has the key of this one.
};

/// Returns what a status means, in English. The result is never null, whatever the number.
[[nodiscard]] inline const char *status_message(int value) noexcept { return neocortex_strerror(value); }
/// Returns what a status means, in English.
[[nodiscard]] inline const char *status_message(status value) noexcept {
  return neocortex_strerror(static_cast<int>(value));
}

namespace detail {

class status_category final : public std::error_category {
public:
  [[nodiscard]] const char *name() const noexcept override { return "neocortex"; }

  [[nodiscard]] std::string message(int value) const override { return neocortex_strerror(value); }

  // With this, `e.code() == std::errc::timed_out` is true for a status that means so.
  [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<status>(value)) {
    case status::timed_out: return std::errc::timed_out;
    case status::busy: return std::errc::device_or_resource_busy;
    case status::invalid_argument: return std::errc::invalid_argument;
    case status::interrupted: return std::errc::interrupted;
    case status::unsupported: return std::errc::not_supported;
    case status::poisoned: return std::errc::state_not_recoverable;
    case status::removed: return std::errc::identifier_removed;
    case status::read_only: return std::errc::operation_not_permitted;
    default: return {value, *this};
    }
  }
};

} // namespace detail

/// Returns the category of every neocortex::status as a `std::error_code`.
[[nodiscard]] inline const std::error_category &category() noexcept {
  static const detail::status_category instance;
  return instance;
}

/// Makes a `std::error_code` of a neocortex::status.
[[nodiscard]] inline std::error_code make_error_code(status value) noexcept {
  return {static_cast<int>(value), category()};
}

/// A call that failed: what was tried, on which key, what the system answered, what to do next.
///
/// Copying it does not throw.
class error : public std::system_error {
public:
  /// Takes what the library has kept of this thread's last failure.
  ///
  /// \param value  The status that the failed call returned.
  [[nodiscard]] static error last(neocortex_status value) {
    // These are asked for first, because a call in between could fail and replace them.
    const bool kept = neocortex_last_status() == value;
    const char *message = kept ? neocortex_last_message_as(NEOCORTEX_WORDS_CPP) : nullptr;
    const int os_error = kept ? neocortex_last_os_error() : 0;
    const int custom = value == NEOCORTEX_ERR_CUSTOM ? neocortex_last_custom() : 0;
    const bool has_text = message != nullptr && *message != '\0';
    return {static_cast<neocortex::status>(value), has_text ? message : neocortex_strerror(value), os_error, custom};
  }

  /// Makes the error of a failure that was found in this layer, without a call of the library.
  error(neocortex::status value, const std::string &message, int os_error = 0, int custom = 0)
      : std::system_error(make_error_code(value)), text_(message), os_error_(os_error), custom_(custom) {}

  /// Returns which refusal or failure it was.
  [[nodiscard]] neocortex::status status() const noexcept {
    return static_cast<neocortex::status>(code().value());
  }

  /// Returns `errno` of the system call that failed; 0 if it was none.
  [[nodiscard]] int os_error() const noexcept { return os_error_; }

  /// Returns os_error() as a code, to compare with `std::errc`: `e.os_code() == std::errc::file_exists`.
  [[nodiscard]] std::error_code os_code() const noexcept { return {os_error_, std::generic_category()}; }

  /// Returns what a lock made of callbacks returned; 0 unless status() is status::custom.
  [[nodiscard]] int custom() const noexcept { return custom_; }

  /// Returns the library's message.
  [[nodiscard]] const char *what() const noexcept override { return text_.what(); }

private:
  std::runtime_error text_; // a string whose copies do not throw
  int os_error_;
  int custom_;
};

namespace detail {

inline void check(neocortex_status value) {
  if (value != NEOCORTEX_OK) {
    throw error::last(value);
  }
}

inline neocortex_segment *check(neocortex_segment *handle) {
  if (handle == nullptr) {
    throw error::last(neocortex_last_status());
  }
  return handle;
}

/// Returns a name as the C functions take it, ended by a 0. A 0 within it, which no name has, is replaced by another
/// control character, which no name has either.
inline std::string terminated(std::string_view name) {
  std::string own(name);
  for (char &letter : own) {
    letter = letter == '\0' ? '\1' : letter;
  }
  return own;
}

} // namespace detail

/// Returns the key that follows from a name. It is the same in every program and language.
///
/// \throws error  invalid_argument for a text that is not a name. A name is 1 to 255 bytes of UTF-8, without control
///                characters, that do not look like a number.
[[nodiscard]] inline std::int32_t key_of(std::string_view name) {
  std::int32_t key = 0;
  detail::check(neocortex_key_of(detail::terminated(name).c_str(), &key));
  return key;
}

/// Returns a number for options::schema() that follows from a description of the type. It is the same in every
/// language, and never 0.
[[nodiscard]] constexpr std::uint64_t schema_of(std::string_view description) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char letter : description) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3U;
  }
  return hash == 0 ? 1 : hash;
}

// ---------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------

/// How long to wait: any `std::chrono` duration, or timeout::forever().
///
/// A duration that is zero, negative or not a number means "do not wait", so the time that is left until a
/// deadline may be passed as it is. A duration longer than 292 years is cut to that. Fractions of a
/// nanosecond are rounded up.
class timeout {
public:
  /// \param duration  The longest time to wait.
  template <class Rep, class Period>
  constexpr timeout(std::chrono::duration<Rep, Period> duration) noexcept // NOLINT: implicit on purpose
      : ns_(convert(duration)) {}

  /// Waits for ever.
  [[nodiscard]] static constexpr timeout forever() noexcept { return timeout(std::int64_t{NEOCORTEX_FOREVER}); }

  /// Does not wait at all.
  [[nodiscard]] static constexpr timeout never() noexcept { return timeout(std::int64_t{NEOCORTEX_TRY}); }

  /// Returns the time-out as the C functions take it.
  [[nodiscard]] constexpr std::int64_t ns() const noexcept { return ns_; }

  [[nodiscard]] constexpr bool is_forever() const noexcept { return ns_ < 0; }

private:
  explicit constexpr timeout(std::int64_t value) noexcept : ns_(value) {}

  template <class Rep, class Period>
  static constexpr std::int64_t convert(std::chrono::duration<Rep, Period> duration) noexcept {
    using seconds = std::chrono::duration<long double>;
    constexpr long double limit = 9.2e9L; // seconds; int64_t holds 9.22e9 of them as nanoseconds
    const long double wanted = std::chrono::duration_cast<seconds>(duration).count();
    if (!(wanted > 0.0L)) {
      return NEOCORTEX_TRY;
    }
    if (wanted >= limit) {
      return (std::numeric_limits<std::int64_t>::max)();
    }
    return static_cast<std::int64_t>(std::chrono::ceil<std::chrono::nanoseconds>(duration).count());
  }

  std::int64_t ns_;
};

/// A lock to choose: a built-in one, or a table of callbacks (see `neocortex_lock_ops`).
using lock_ops = neocortex_lock_ops;

/// The default lock: readers never wait and store nothing.
[[nodiscard]] inline const lock_ops *seqlock() noexcept { return neocortex_lock_seqlock(); }
/// Readers share, writers exclude all others. It is for zero-copy read guards and large values.
[[nodiscard]] inline const lock_ops *rwlock() noexcept { return neocortex_lock_rwlock(); }
/// One process at a time reads or writes.
[[nodiscard]] inline const lock_ops *semaphore() noexcept { return neocortex_lock_semaphore(); }

/// How to create or attach. Each function returns the object, so that calls can be chained.
///
/// \code{.cpp}
/// auto c = neocortex::cortex<float>::create(key, 0.0F, neocortex::options().mode(0660).schema(7));
/// \endcode
class options {
public:
  options() noexcept = default;

  /// Sets the permission bits of every kernel object that is made, whatever the umask. The default is 0600.
  options &mode(std::uint32_t bits) noexcept { raw_.mode = bits; return *this; }
  /// Sets the user and the group that segment and semaphores belong to; by default they are the creator's. A group and
  /// mode 0660 open the cortex to the members of that group and to no other user.
  options &owner(std::optional<std::uint32_t> uid, std::optional<std::uint32_t> gid) noexcept {
    raw_.owner_uid = uid.value_or(0xFFFFFFFFU);
    raw_.owner_gid = gid.value_or(0xFFFFFFFFU);
    return flag(NEOCORTEX_SET_OWNER, uid.has_value() || gid.has_value());
  }
  /// Sets a number of the program's own that is compared when a process attaches. The default is 0, which is none.
  options &schema(std::uint64_t number) noexcept { raw_.schema = number; return *this; }
  /// Sets how many participants may be attached at a time. The default is 128.
  options &participants(std::uint32_t limit) noexcept { raw_.participants = limit; return *this; }
  /// Sets the alignment of the payload in bytes, a power of two. The least, and the default, is 16 for values of up to
  /// 32 bytes, and else 64.
  options &align(std::uint32_t bytes) noexcept { raw_.align = bytes; return *this; }
  /// Sets how many copies of the value there are, 2 to 65,536: so many commits are kept for followers
  /// (`neocortex::follower`). More of them also let readers of large values keep up with a busy writer.
  options &slots(std::uint32_t count) noexcept { raw_.slots = count; return *this; }
  /// Sets the lock. The table is copied, its `ctx` stays the caller's. Without one, a process that attaches takes the
  /// lock that the segment was made with.
  options &lock(const lock_ops *table) noexcept { raw_.lock = table; return *this; }

  /// Sets the longest wait of every call through this handle. The default is for ever.
  options &wait(timeout longest) noexcept {
    raw_.timeout_ns = longest.ns();
    return flag(NEOCORTEX_NEVER_WAIT, longest.ns() == NEOCORTEX_TRY);
  }

  /// Makes one slot, which writers edit in place. A write that does not end poisons the value.
  options &in_place(bool on = true) noexcept { return flag(NEOCORTEX_IN_PLACE, on); }
  /// Makes records of any length up to the size, each written by segment::push() and read with its length.
  options &records(bool on = true) noexcept { return flag(NEOCORTEX_RECORDS, on); }
  /// Makes writers wait for the followers that registered (segment::register_follower()): none overwrites a commit that
  /// one of them has not read. A follower that is slow or stopped holds up a writer to the end of its time-out.
  options &lossless(bool on = true) noexcept { return flag(NEOCORTEX_LOSSLESS, on); }
  /// If it exists already, attaches to it and becomes its owner.
  options &force_ownership(bool on = true) noexcept { return flag(NEOCORTEX_FORCE_OWNERSHIP, on); }
  /// If it exists already and no participant lives in it, makes it anew.
  options &replace_stale(bool on = true) noexcept { return flag(NEOCORTEX_REPLACE_STALE, on); }
  /// If it exists already, attaches to it, without becoming its owner. Of any number of processes that start at once
  /// exactly one creates it; was_created() tells which.
  options &open_or_create(bool on = true) noexcept { return flag(NEOCORTEX_OPEN_OR_CREATE, on); }
  /// Lets the segment stay when the handle is closed.
  options &persist(bool on = true) noexcept { return flag(NEOCORTEX_PERSIST, on); }
  /// Attaches through a read-only mapping, without the lock and without a participant slot.
  options &read_only(bool on = true) noexcept { return flag(NEOCORTEX_READ_ONLY, on); }
  /// Creates under a free key that the library chooses; `key()` tells it.
  options &random_key(bool on = true) noexcept { return flag(NEOCORTEX_RANDOM_KEY, on); }
  /// Makes waits, also those for the creation or attachment, end with status::interrupted after a signal handler has
  /// run on the thread that waits. Stopping the process and continuing it ends none on Linux; other systems may end one
  /// as by a handler. A handler that runs in the moment before a wait's sleep is not noticed. Where a signal must never
  /// be missed, its handler calls interrupt().
  options &interruptible(bool on = true) noexcept { return flag(NEOCORTEX_INTERRUPTIBLE, on); }
  /// Finds memory for all of it when it is created, or fails. When attaching, it enters the pages that exist into this
  /// process's page table.
  options &prefault(bool on = true) noexcept { return flag(NEOCORTEX_PREFAULT, on); }
  /// Creates it so that it is never swapped out (Linux; needs RLIMIT_MEMLOCK or CAP_IPC_LOCK).
  options &lock_in_memory(bool on = true) noexcept { return flag(NEOCORTEX_LOCK_IN_MEMORY, on); }
  /// Creates it of huge pages (Linux; vm.nr_hugepages), or fails. With `required` false it has ordinary pages where
  /// there are no huge ones.
  options &huge_pages(bool required = true) noexcept {
    return flag(NEOCORTEX_HUGE_PAGES, true).flag(NEOCORTEX_PREFER_HUGE_PAGES, !required);
  }
  /// Includes the segment in core dumps of this process, which leave it out by default.
  options &dump(bool on = true) noexcept { return flag(NEOCORTEX_DUMP, on); }

  /// Returns the value as the C functions take it.
  [[nodiscard]] const neocortex_options &raw() const noexcept { return raw_; }

private:
  template <class Flag> options &flag(Flag bit, bool on) noexcept {
    const auto mask = static_cast<std::uint32_t>(bit);
    raw_.flags = on ? (raw_.flags | mask) : (raw_.flags & ~mask);
    return *this;
  }

  neocortex_options raw_ = NEOCORTEX_OPTIONS_INIT;
};

/// One commit, as a neocortex::follower reads it.
template <class T> struct followed {
  T value;
  /// Its number.
  std::uint64_t version;
  /// How many commits before it were overwritten before the follower could read them.
  std::uint64_t missed;
};

/// Several commits that follow one another: follower::next_many().
struct batch {
  /// How many; 0 where there is no new one.
  std::size_t count;
  /// The number of the first. The others have the numbers after it.
  std::uint64_t version;
  /// How many commits before the first of them were overwritten before the follower could read them.
  std::uint64_t missed;
};

/// How many participants are attached, and how many can be.
struct participants {
  std::uint32_t alive;
  std::uint32_t limit;
};

// ---------------------------------------------------------------------------------------------
// What can be shared
// ---------------------------------------------------------------------------------------------

template <class T> struct is_plain;

namespace detail {

// What a type's bytes are.
enum class verdict { plain, has_padding, points_elsewhere };

template <class T> struct points_elsewhere : std::disjunction<std::is_pointer<T>, std::is_member_pointer<T>> {};
template <class C, class Traits> struct points_elsewhere<std::basic_string_view<C, Traits>> : std::true_type {};
template <class T> struct points_elsewhere<std::reference_wrapper<T>> : std::true_type {};
#if defined(__cpp_lib_span)
template <class T, std::size_t Extent> struct points_elsewhere<std::span<T, Extent>> : std::true_type {};
#endif

// What the language shows of a class: the members of an aggregate, as many as `{}` can initialise, by structured
// bindings. It shows nothing of classes with constructors, private members, bases, unions, or more than 32 members.
template <class... Members> struct member_list {};
template <std::size_t Count> using members = std::integral_constant<std::size_t, Count>;

// The types of members, and the same for members that have an address. Bit-fields have none, and their size says
// nothing about padding.
struct any_members {
  template <class... M> constexpr member_list<M...> operator()(const M &...) const { return {}; }
};
struct whole_members {
  template <class... M> constexpr member_list<std::remove_const_t<M>...> operator()(M &...) const { return {}; }
};

template <class T> struct converts_to_a_base {
  template <class Base, class = std::enable_if_t<std::is_base_of_v<Base, T> && !std::is_same_v<Base, T>>>
  operator Base() const;
};
struct converts_to_a_union {
  template <class Union, class = std::enable_if_t<std::is_union_v<Union>>> operator Union() const;
};
struct converts_to_anything {
  template <class Any> operator Any() const;
};

template <class T, class = void> struct has_bases : std::false_type {};
template <class T> struct has_bases<T, std::void_t<decltype(T{converts_to_a_base<T>()})>> : std::true_type {};

template <class T, class = void> struct is_tuple_like : std::false_type {};
template <class T> struct is_tuple_like<T, std::void_t<decltype(std::tuple_size<T>::value)>> : std::true_type {};

// Whether T has at least this many members; whether the member after the first so many is a union, or needs a value.
template <class T, class Count, class = void> struct takes : std::false_type {};
template <class T, class Count, class = void> struct takes_a_union : std::false_type {};
template <class T, class Count, class = void> struct takes_more : std::false_type {};

// The parameters are the number of members, as many pairs of braces, and as many names.
#define NEOCORTEX_UNWRAPPED(...) __VA_ARGS__
#define NEOCORTEX_MEMBERS(count, braces, ...)                                                                  \
  template <class T>                                                                                           \
  struct takes<T, members<count>, std::void_t<decltype(T{NEOCORTEX_UNWRAPPED braces})>> : std::true_type {};   \
  template <class T>                                                                                           \
  struct takes_a_union<T, members<count>,                                                                      \
                       std::void_t<decltype(T{NEOCORTEX_UNWRAPPED braces, converts_to_a_union()})>>            \
      : std::true_type {};                                                                                     \
  template <class T>                                                                                           \
  struct takes_more<T, members<count>,                                                                         \
                    std::void_t<decltype(T{NEOCORTEX_UNWRAPPED braces, converts_to_anything()})>>              \
      : std::true_type {};                                                                                     \
  template <class T, class Take> constexpr auto list_members(T &value, members<count>, Take take) {            \
    auto &[__VA_ARGS__] = value;                                                                               \
    return take(__VA_ARGS__);                                                                                  \
  }
NEOCORTEX_MEMBERS(1, ({}), m1)
NEOCORTEX_MEMBERS(2, ({}, {}), m1, m2)
NEOCORTEX_MEMBERS(3, ({}, {}, {}), m1, m2, m3)
NEOCORTEX_MEMBERS(4, ({}, {}, {}, {}), m1, m2, m3, m4)
NEOCORTEX_MEMBERS(5, ({}, {}, {}, {}, {}), m1, m2, m3, m4, m5)
NEOCORTEX_MEMBERS(6, ({}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6)
NEOCORTEX_MEMBERS(7, ({}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7)
NEOCORTEX_MEMBERS(8, ({}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8)
NEOCORTEX_MEMBERS(9, ({}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9)
NEOCORTEX_MEMBERS(10, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10)
NEOCORTEX_MEMBERS(11, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11)
NEOCORTEX_MEMBERS(12, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10,
    m11, m12)
NEOCORTEX_MEMBERS(13, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10,
    m11, m12, m13)
NEOCORTEX_MEMBERS(14, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9,
    m10, m11, m12, m13, m14)
NEOCORTEX_MEMBERS(15, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8,
    m9, m10, m11, m12, m13, m14, m15)
NEOCORTEX_MEMBERS(16, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7,
    m8, m9, m10, m11, m12, m13, m14, m15, m16)
NEOCORTEX_MEMBERS(17, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6,
    m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17)
NEOCORTEX_MEMBERS(18, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5,
    m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18)
NEOCORTEX_MEMBERS(19, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4,
    m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19)
NEOCORTEX_MEMBERS(20, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3,
    m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20)
NEOCORTEX_MEMBERS(21, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2,
    m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21)
NEOCORTEX_MEMBERS(22, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}), m1,
    m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22)
NEOCORTEX_MEMBERS(23, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}),
    m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22, m23)
NEOCORTEX_MEMBERS(24, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
    {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22, m23, m24)
NEOCORTEX_MEMBERS(25, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
    {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22, m23,
    m24, m25)
NEOCORTEX_MEMBERS(26, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
    {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22,
    m23, m24, m25, m26)
NEOCORTEX_MEMBERS(27, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
    {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
    m22, m23, m24, m25, m26, m27)
NEOCORTEX_MEMBERS(28, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
    {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
    m22, m23, m24, m25, m26, m27, m28)
NEOCORTEX_MEMBERS(29, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
    {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20,
    m21, m22, m23, m24, m25, m26, m27, m28, m29)
NEOCORTEX_MEMBERS(30, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
    {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19,
    m20, m21, m22, m23, m24, m25, m26, m27, m28, m29, m30)
NEOCORTEX_MEMBERS(31, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
    {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18,
    m19, m20, m21, m22, m23, m24, m25, m26, m27, m28, m29, m30, m31)
NEOCORTEX_MEMBERS(32, ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
    {}, {}, {}, {}, {}, {}, {}, {}, {}), m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17,
    m18, m19, m20, m21, m22, m23, m24, m25, m26, m27, m28, m29, m30, m31, m32)
#undef NEOCORTEX_MEMBERS
#undef NEOCORTEX_UNWRAPPED

template <class T> struct takes_a_union<T, members<0>, std::void_t<decltype(T{converts_to_a_union()})>> : std::true_type {};

// How many members T has; 0 where they cannot be seen.
template <class T, std::size_t Count = 0> constexpr std::size_t count_members() {
  if constexpr (takes_a_union<T, members<Count>>::value) {
    return 0;
  } else if constexpr (takes<T, members<Count + 1>>::value) {
    return count_members<T, Count + 1>();
  } else {
    return Count == 0 || takes_more<T, members<Count>>::value ? 0 : Count;
  }
}
template <class T> constexpr std::size_t visible_members() {
  if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T>) {
    return 0;
  } else if constexpr (std::is_empty_v<T> || is_tuple_like<T>::value || has_bases<T>::value) {
    return 0;
  } else {
    return count_members<T>();
  }
}

template <class T> constexpr verdict judge();

template <class T> struct element : std::remove_all_extents<T> {};
template <class T, std::size_t Count> struct element<std::array<T, Count>> : element<T> {};

template <class Member> constexpr verdict judge_member() {
  if constexpr (is_plain<Member>::value) {
    return verdict::plain;
  } else {
    return judge<Member>() == verdict::points_elsewhere ? verdict::points_elsewhere : verdict::has_padding;
  }
}

template <class... Members> constexpr std::size_t size_of(member_list<Members...>) {
  return (std::size_t{0} + ... + sizeof(Members));
}

// Members that fill `of_all` bytes.
template <class... Members> constexpr verdict judge_members(member_list<Members...>, std::size_t of_all) {
  verdict found = size_of(member_list<Members...>()) == of_all ? verdict::plain : verdict::has_padding;
  for (const verdict one : {verdict::plain, judge_member<Members>()...}) {
    found = found == verdict::points_elsewhere || one == verdict::plain ? found : one;
  }
  return found;
}

template <class T> constexpr verdict judge() {
  using bare = std::remove_cv_t<T>;
  constexpr std::size_t seen = visible_members<bare>();
  if constexpr (points_elsewhere<bare>::value) {
    return verdict::points_elsewhere;
  } else if constexpr (!std::is_same_v<typename element<bare>::type, bare>) {
    return judge_member<typename element<bare>::type>();
  } else if constexpr (std::has_unique_object_representations_v<bare>) {
    if constexpr (seen != 0) {
      // It has no padding, whatever the sizes of bit-fields say; it may have pointers all the same.
      const auto found = decltype(list_members(std::declval<bare &>(), members<seen>(), any_members()))();
      return judge_members(found, size_of(found));
    } else {
      return verdict::plain;
    }
  } else if constexpr (seen != 0) {
    // A member that is a bit-field ends here: name the type in is_plain, if it has no padding.
    return judge_members(decltype(list_members(std::declval<bare &>(), members<seen>(), whole_members()))(),
                         sizeof(bare));
  } else {
    return verdict::has_padding;
  }
}

} // namespace detail

/// Whether a T can be shared: every byte of it is a part of its value, and it has no pointers.
///
/// The compiler finds out for numbers, enums, arrays, and structures of them, nested to any depth. Of classes
/// with constructors, private members or bases, and of structures with more than 32 members, it cannot see the
/// members: they are plain where `std::has_unique_object_representations` says so, which it never does where a
/// member is a `float` or a `double`. Where you know that a type has no padding and no pointers, say so:
///
/// \code{.cpp}
/// template <> struct neocortex::is_plain<pose> : std::true_type {};
/// static_assert(sizeof(pose) == 3 * sizeof(double));
/// \endcode
///
/// Padding is not plain: no assignment writes it, so that what was on the stack before would be published with the
/// value. Name it: `struct entry { char kind; std::uint8_t unused[7] = {}; double value; };`
template <class T> struct is_plain : std::bool_constant<detail::judge<T>() == detail::verdict::plain> {};
/// \cond
template <> struct is_plain<float> : std::true_type {};
template <> struct is_plain<double> : std::true_type {};
template <class T> struct is_plain<const T> : is_plain<T> {};
template <class T> struct is_plain<volatile T> : is_plain<T> {};
template <class T> struct is_plain<const volatile T> : is_plain<T> {};
template <class T, std::size_t Count>
struct is_plain<std::array<T, Count>>
    : std::bool_constant<is_plain<T>::value && sizeof(std::array<T, Count>) == Count * sizeof(T)> {};
template <class Rep, class Period> struct is_plain<std::chrono::duration<Rep, Period>> : is_plain<Rep> {};
template <class Clock, class Duration>
struct is_plain<std::chrono::time_point<Clock, Duration>> : is_plain<Duration> {};
/// \endcond

// ---------------------------------------------------------------------------------------------
// Guards over bytes
// ---------------------------------------------------------------------------------------------

namespace detail {

#if defined(__SANITIZE_THREAD__)
#define NEOCORTEX_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NEOCORTEX_THREAD_SANITIZER
#endif
#endif

#if defined(NEOCORTEX_THREAD_SANITIZER)
extern "C" void __tsan_acquire(void *address);
extern "C" void __tsan_release(void *address);
extern "C" void AnnotateIgnoreReadsBegin(const char *file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char *file, int line);
extern "C" void AnnotateIgnoreWritesBegin(const char *file, int line);
extern "C" void AnnotateIgnoreWritesEnd(const char *file, int line);
#endif

// A call of the library. ThreadSanitizer sees parts of it: the memcpy, and not the lock around it.
struct unseen {
  unseen() noexcept {
#if defined(NEOCORTEX_THREAD_SANITIZER)
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
  }
  ~unseen() {
#if defined(NEOCORTEX_THREAD_SANITIZER)
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
  }
  unseen(const unseen &) = delete;
  unseen &operator=(const unseen &) = delete;
};

// Asks something of helgrind or DRD, which have the same numbers for it. Elsewhere these instructions do nothing.
inline void ask_valgrind([[maybe_unused]] std::uintptr_t request, [[maybe_unused]] const void *about) noexcept {
#if !defined(NVALGRIND) && defined(__GNUC__) && defined(__linux__) && defined(__x86_64__) && defined(__LP64__)
  std::uintptr_t words[6] = {request, reinterpret_cast<std::uintptr_t>(about), 0, 0, 0, 0};
  std::uintptr_t answer = 0;
  __asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi; xchgq %%rbx, %%rbx"
                   : "+d"(answer)
                   : "a"(words)
                   : "cc", "memory");
#elif !defined(NVALGRIND) && defined(__GNUC__) && defined(__linux__) && defined(__aarch64__) && defined(__LP64__)
  std::uintptr_t words[6] = {request, reinterpret_cast<std::uintptr_t>(about), 0, 0, 0, 0};
  __asm__ volatile("mov x3, xzr; mov x4, %0; "
                   "ror x12, x12, #3; ror x12, x12, #13; ror x12, x12, #51; ror x12, x12, #61; orr x10, x10, x10"
                   :
                   : "r"(words)
                   : "cc", "memory", "x3", "x4");
#endif
}

// Tells tools that look for races what they cannot see: a guard of this handle begins after those before it have ended.
inline void guard_begins(neocortex_segment *through) noexcept {
#if defined(NEOCORTEX_THREAD_SANITIZER)
  __tsan_acquire(through);
#endif
  ask_valgrind(0x48470122, through); // ANNOTATE_HAPPENS_AFTER
}

inline void guard_ends(neocortex_segment *through) noexcept {
#if defined(NEOCORTEX_THREAD_SANITIZER)
  if (through != nullptr) {
    __tsan_release(through);
  }
#endif
  ask_valgrind(0x48470121, through); // ANNOTATE_HAPPENS_BEFORE
}

// The same for calls that copy. Valgrind's tools are told only where assertions are on, because it would slow these
// calls.
inline void copy_begins([[maybe_unused]] neocortex_segment *through) noexcept {
#if defined(NEOCORTEX_THREAD_SANITIZER) || !defined(NDEBUG)
  guard_ends(through);
#endif
}

// A copy that was `made` by a call with this status.
inline neocortex_status copied([[maybe_unused]] neocortex_segment *through, neocortex_status made) noexcept {
#if defined(NEOCORTEX_THREAD_SANITIZER)
  if (through != nullptr) {
    __tsan_acquire(through);
  }
#elif !defined(NDEBUG)
  guard_begins(through);
  guard_ends(through); // helgrind and DRD see what the library itself read and wrote
#endif
  return made;
}

// Fills a string by `copy`, which is given its place, its room, and where to tell the length. What does not fit is copied
// again.
template <class Copy> neocortex_status grown(std::string &record, Copy copy) {
  for (;;) {
    record.resize(record.capacity());
    std::size_t length = 0;
    const neocortex_status outcome = copy(&record[0], record.size(), length);
    const bool is_short = outcome == NEOCORTEX_ERR_INVALID_ARGUMENT && length > record.size();
    record.resize(length);
    if (!is_short) {
      return outcome;
    }
  }
}

// Takes the outcome of a guard's end in a destructor. If it failed, the library has logged it.
inline void end_quietly(neocortex_status ended) noexcept {
  assert(ended != NEOCORTEX_ERR_INVALID_ARGUMENT && "a neocortex guard ends on the thread that began it");
  static_cast<void>(ended);
}

struct closer {
  // A failure cannot be thrown from here; the library logs it. BUSY, where a guard outlives its segment, keeps the handle
  // open: the guard stays valid, the segment stays attached.
  void operator()(neocortex_segment *handle) const noexcept {
    const neocortex_status closed = neocortex_close(handle);
    assert(closed != NEOCORTEX_ERR_BUSY && "a neocortex guard or wait set outlives its segment");
    static_cast<void>(closed);
  }
};

using handle = std::unique_ptr<neocortex_segment, closer>;

} // namespace detail

/// Holds the value still for reading, without copying it, for as long as the object lives.
class read_guard {
public:
  read_guard(read_guard &&other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), data_(std::exchange(other.data_, nullptr)) {}
  read_guard &operator=(read_guard &&other) noexcept {
    if (this != &other) {
      release();
      handle_ = std::exchange(other.handle_, nullptr);
      data_ = std::exchange(other.data_, nullptr);
    }
    return *this;
  }
  read_guard(const read_guard &) = delete;
  read_guard &operator=(const read_guard &) = delete;
  ~read_guard() { release(); }

  /// Returns the value's bytes, which are valid until the guard ends.
  [[nodiscard]] const std::byte *data() const noexcept { return static_cast<const std::byte *>(data_); }
  /// Returns how many bytes there are.
  [[nodiscard]] std::size_t size() const noexcept { return neocortex_size(handle_); }
  /// Returns whether the guard still holds the value.
  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }

  /// Ends the guard now. Unlike the destructor it reports a failure.
  void end() {
    neocortex_segment *held = std::exchange(handle_, nullptr);
    data_ = nullptr;
    detail::guard_ends(held);
    const detail::unseen call;
    detail::check(neocortex_read_end(held));
  }

private:
  friend class segment;
  read_guard(neocortex_segment *held, const void *data) noexcept : handle_(held), data_(data) {
    detail::guard_begins(held);
  }

  void release() noexcept {
    if (handle_ != nullptr) {
      detail::guard_ends(handle_);
      const detail::unseen call;
      detail::end_quietly(neocortex_read_end(std::exchange(handle_, nullptr)));
      data_ = nullptr;
    }
  }

  neocortex_segment *handle_;
  const void *data_;
};

/// Holds the value for writing. The value stays as it is unless commit() or publish() is called.
class write_guard {
public:
  write_guard(write_guard &&other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), data_(std::exchange(other.data_, nullptr)) {}
  write_guard &operator=(write_guard &&other) noexcept {
    if (this != &other) {
      roll_back();
      handle_ = std::exchange(other.handle_, nullptr);
      data_ = std::exchange(other.data_, nullptr);
    }
    return *this;
  }
  write_guard(const write_guard &) = delete;
  write_guard &operator=(const write_guard &) = delete;
  ~write_guard() { roll_back(); }

  /// Returns where to write. It holds the current value at first; after publish() the contents are unspecified, and the
  /// place may be another.
  [[nodiscard]] std::byte *data() const noexcept { return static_cast<std::byte *>(data_); }
  /// Returns how many bytes there are.
  [[nodiscard]] std::size_t size() const noexcept { return neocortex_size(handle_); }
  /// Returns whether the guard still holds the value.
  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }

  /// Makes the bytes that were written the value, and ends the guard.
  void commit() {
    neocortex_segment *held = std::exchange(handle_, nullptr);
    data_ = nullptr;
    detail::guard_ends(held);
    const detail::unseen call;
    const neocortex_status committed = neocortex_write_commit(held);
    if (committed != NEOCORTEX_OK) {
      const error failure = error::last(committed);
      static_cast<void>(neocortex_write_abort(held)); // harmless if the guard has ended
      throw failure;
    }
  }

  /// Makes the bytes that were written the value, and keeps the lock. Then data() is where the next value goes.
  void publish() {
    void *next = nullptr;
    const detail::unseen call;
    detail::check(neocortex_write_publish(handle_, &next));
    data_ = next;
  }

  /// Says that of all bytes only `[offset, offset + length)` (and other marked ranges) were changed,
  /// which makes the next commits cheaper. Without any mark all of them count as changed.
  void mark(std::size_t offset, std::size_t length) { detail::check(neocortex_write_mark(handle_, offset, length)); }

  /// Ends the guard as if nothing had been written. Unlike the destructor it reports a failure.
  void abort() {
    neocortex_segment *held = std::exchange(handle_, nullptr);
    data_ = nullptr;
    detail::guard_ends(held);
    const detail::unseen call;
    detail::check(neocortex_write_abort(held));
  }

private:
  friend class segment;
  write_guard(neocortex_segment *held, void *data) noexcept : handle_(held), data_(data) {
    detail::guard_begins(held);
  }

  void roll_back() noexcept {
    if (handle_ != nullptr) {
      detail::guard_ends(handle_);
      const detail::unseen call;
      detail::end_quietly(neocortex_write_abort(std::exchange(handle_, nullptr)));
      data_ = nullptr;
    }
  }

  neocortex_segment *handle_;
  void *data_;
};

// ---------------------------------------------------------------------------------------------
// Bytes
// ---------------------------------------------------------------------------------------------

/// Bytes that several processes share. It is move-only; the destructor closes it, and removes it if is_owner().
class segment {
public:
  /// Makes a segment of `size` zero bytes.
  ///
  /// \param key   Any number but 0, unless options::random_key() is asked for.
  /// \param size  Its bytes, at least 1.
  /// \param with  How to make it.
  /// \throws error  clean_system with `EEXIST` when the key is taken, and whatever `neocortex_create` returns.
  [[nodiscard]] static segment create(std::int32_t key, std::size_t size, const options &with = options()) {
    return segment(detail::check(neocortex_create(key, size, &with.raw())));
  }

  /// Makes a segment whose first value is the `size` bytes at `initial`, at version() 0. No process can attach before
  /// it has this value. A segment that was found (options::force_ownership()) keeps the value that it has.
  [[nodiscard]] static segment create_with(std::int32_t key, std::size_t size, const void *initial,
                                           const options &with = options()) {
    return segment(detail::check(neocortex_create_with(key, size, initial, &with.raw())));
  }

  /// The same under a name, which is stored in it and compared when a process attaches by name.
  ///
  /// \param name  See key_of().
  /// \param size  Its bytes, at least 1.
  /// \param with  What is chosen for it.
  /// \throws error  status::name where another name has its key.
  [[nodiscard]] static segment create(std::string_view name, std::size_t size, const options &with = options()) {
    return segment(detail::check(neocortex_create_named(detail::terminated(name).c_str(), size, &with.raw())));
  }

  /// The same with a first value.
  [[nodiscard]] static segment create_with(std::string_view name, std::size_t size, const void *initial,
                                           const options &with = options()) {
    return segment(
        detail::check(neocortex_create_named_with(detail::terminated(name).c_str(), size, initial, &with.raw())));
  }

  /// Makes a segment of `size` zero bytes under a key that the library chooses; see key().
  [[nodiscard]] static segment create_with_random_key(std::size_t size, options with = options()) {
    with.random_key();
    return create(0, size, with);
  }

  /// Attaches to a segment that exists.
  ///
  /// \param key   Its key.
  /// \param size  The bytes that it must have; 0 accepts any number.
  /// \param with  How to attach: schema, lock, time-out.
  /// \throws error  clean_system with `ENOENT` when there is none, not_a_cortex, layout, lock, …
  [[nodiscard]] static segment attach(std::int32_t key, std::size_t size = 0, const options &with = options()) {
    return segment(detail::check(neocortex_attach_with(key, size, &with.raw())));
  }

  /// The same by name.
  [[nodiscard]] static segment attach(std::string_view name, std::size_t size = 0, const options &with = options()) {
    return segment(detail::check(neocortex_attach_named(detail::terminated(name).c_str(), size, &with.raw())));
  }

  /// Attaches as soon as a process has created it and it is ready.
  ///
  /// \param key  Its number.
  /// \param size  The bytes that it must have; 0 accepts any number.
  /// \param longest  For how long to wait for that.
  /// \param with  What is chosen for the handle.
  /// \throws error  timed_out where no process has created it by then.
  [[nodiscard]] static segment attach_wait(std::int32_t key, std::size_t size, timeout longest,
                                           const options &with = options()) {
    return segment(detail::check(neocortex_attach_wait(key, size, &with.raw(), longest.ns())));
  }

  /// The same by name.
  [[nodiscard]] static segment attach_wait(std::string_view name, std::size_t size, timeout longest,
                                           const options &with = options()) {
    const std::string own = detail::terminated(name);
    return segment(detail::check(neocortex_attach_named_wait(own.c_str(), size, &with.raw(), longest.ns())));
  }

  /// Takes over a handle of the C interface, which must be open.
  [[nodiscard]] static segment adopt(neocortex_segment *raw) {
    if (raw == nullptr) {
      throw error(status::invalid_argument, "adopt a segment: the handle is null");
    }
    return segment(raw);
  }

  segment(segment &&) noexcept = default;
  segment &operator=(segment &&) noexcept = default;
  segment(const segment &) = delete;
  segment &operator=(const segment &) = delete;
  ~segment() = default;

  /// Closes now. Unlike the destructor it reports a failure. While a guard is held, that is busy, and it is
  /// still open.
  void close() {
    const neocortex_status closed = neocortex_close(handle_.get());
    if (closed != NEOCORTEX_ERR_BUSY) {
      static_cast<void>(handle_.release()); // any other outcome has ended the handle
    }
    detail::check(closed);
  }

  // --- Copying ---

  /// Copies the first `length` bytes out. neocortex_read() says what the buffer holds after a failure.
  void read(void *buffer, std::size_t length) const { done(neocortex_read(raw(), buffer, length)); }
  /// Copies `length` bytes out, from `offset`.
  void read_at(std::size_t offset, void *buffer, std::size_t length) const {
    done(neocortex_read_at(raw(), offset, buffer, length));
  }
  /// Copies all bytes out.
  [[nodiscard]] std::vector<std::byte> read() const {
    std::vector<std::byte> bytes(size());
    done(neocortex_read(raw(), bytes.data(), bytes.size()));
    return bytes;
  }
  /// Copies the first `length` bytes into `buffer`, and returns the version() of the commit that they are from. A loop
  /// that gives this version to wait_changed() next processes no commit twice.
  std::uint64_t read_versioned(void *buffer, std::size_t length) const {
    std::uint64_t version = 0;
    done(neocortex_read_versioned(raw(), buffer, length, &version));
    return version;
  }
  /// Replaces the first `length` bytes, as one commit.
  void write(const void *data, std::size_t length) {
    detail::copy_begins(raw());
    done(neocortex_write(raw(), data, length));
  }
  /// Replaces `length` bytes from `offset`, as one commit.
  void write_at(std::size_t offset, const void *data, std::size_t length) {
    detail::copy_begins(raw());
    done(neocortex_write_at(raw(), offset, data, length));
  }

  /// Like read(), but waits no longer than `longest`, whatever the time-out of the object. Returns false when it is
  /// over.
  [[nodiscard]] bool read_for(void *buffer, std::size_t length, timeout longest) const {
    return in_time(detail::copied(raw(), neocortex_read_for(raw(), 0, buffer, length, longest.ns())));
  }
  /// Like write(), but waits no longer than `longest`, whatever the time-out of the object. Returns false when it is
  /// over.
  [[nodiscard]] bool write_for(const void *data, std::size_t length, timeout longest) {
    detail::copy_begins(raw());
    return in_time(detail::copied(raw(), neocortex_write_for(raw(), 0, data, length, longest.ns())));
  }
  /// Like read(), but does not wait. Returns false where it would have to.
  [[nodiscard]] bool try_read(void *buffer, std::size_t length) const {
    return read_for(buffer, length, timeout::never());
  }
  /// Like write(), but does not wait. Returns false where it would have to.
  [[nodiscard]] bool try_write(const void *data, std::size_t length) {
    return write_for(data, length, timeout::never());
  }

  // --- Without copying ---

  /// Holds the value still for reading.
  [[nodiscard]] neocortex::read_guard read_guard() const {
    const void *data = nullptr;
    const detail::unseen call;
    detail::check(neocortex_read_begin(raw(), &data));
    return {raw(), data};
  }
  /// Holds the value for writing.
  [[nodiscard]] neocortex::write_guard write_guard() {
    void *data = nullptr;
    const detail::unseen call;
    detail::check(neocortex_write_begin(raw(), &data));
    return {raw(), data};
  }
  /// Like read_guard(), but waits no longer than `longest`, whatever the time-out of the object. Returns nothing when
  /// it is over.
  [[nodiscard]] std::optional<neocortex::read_guard> read_guard_for(timeout longest) const {
    const void *data = nullptr;
    const detail::unseen call;
    if (!in_time(neocortex_read_begin_for(raw(), longest.ns(), &data))) {
      return std::nullopt;
    }
    return neocortex::read_guard(raw(), data);
  }
  /// Like write_guard(), but waits no longer than `longest`, whatever the time-out of the object. Returns nothing when
  /// it is over.
  [[nodiscard]] std::optional<neocortex::write_guard> write_guard_for(timeout longest) {
    void *data = nullptr;
    const detail::unseen call;
    if (!in_time(neocortex_write_begin_for(raw(), longest.ns(), &data))) {
      return std::nullopt;
    }
    return neocortex::write_guard(raw(), data);
  }
  /// Holds the value for a writer that writes all of it. The contents are unspecified at first, because nothing is
  /// copied, which halves the cost of filling a large value. Marks change nothing.
  [[nodiscard]] neocortex::write_guard overwrite_guard() {
    void *data = nullptr;
    const detail::unseen call;
    detail::check(neocortex_overwrite_begin(raw(), neocortex_timeout(raw()), &data));
    return {raw(), data};
  }
  /// Like overwrite_guard(), but waits no longer than `longest`, whatever the time-out of the object. Returns nothing
  /// when it is over.
  [[nodiscard]] std::optional<neocortex::write_guard> overwrite_guard_for(timeout longest) {
    void *data = nullptr;
    const detail::unseen call;
    if (!in_time(neocortex_overwrite_begin(raw(), longest.ns(), &data))) {
      return std::nullopt;
    }
    return neocortex::write_guard(raw(), data);
  }
  /// Like overwrite_guard(), but does not wait. Returns nothing where it would have to.
  [[nodiscard]] std::optional<neocortex::write_guard> try_overwrite_guard() {
    return overwrite_guard_for(timeout::never());
  }
  /// Like read_guard(), but does not wait. Returns nothing where it would have to.
  [[nodiscard]] std::optional<neocortex::read_guard> try_read_guard() const { return read_guard_for(timeout::never()); }
  /// Like write_guard(), but does not wait. Returns nothing where it would have to.
  [[nodiscard]] std::optional<neocortex::write_guard> try_write_guard() { return write_guard_for(timeout::never()); }

  // --- Waiting ---

  /// Returns how many commits there have been; 0 before the first.
  [[nodiscard]] std::uint64_t version() const noexcept { return neocortex_commit_count(raw()); }

  /// Waits until version() is not `since` any more, and returns it.
  ///
  /// \throws error  removed when the segment is removed meanwhile, interrupted after interrupt()
  ///                or stop_waits(), busy at once if this thread holds a guard.
  std::uint64_t wait_changed(std::uint64_t since) const {
    std::uint64_t count = since;
    done(neocortex_wait(raw(), since, NEOCORTEX_FOREVER, &count));
    return count;
  }
  /// Like wait_changed(), but waits no longer than `longest`. Returns nothing when it is over.
  [[nodiscard]] std::optional<std::uint64_t> wait_changed_for(std::uint64_t since, timeout longest) const {
    std::uint64_t count = since;
    const neocortex_status waited = detail::copied(raw(), neocortex_wait(raw(), since, longest.ns(), &count));
    if (waited == NEOCORTEX_ERR_TIMEOUT) {
      return std::nullopt;
    }
    detail::check(waited);
    return count;
  }

  /// Copies the commits after `since` into `buffer`, the oldest first: as many as there are and fit whole. Waits until
  /// there is one.
  ///
  /// \param since    The number of the last commit that need not be read; afterwards that of the last one copied.
  /// \param buffer   At least `length` bytes.
  /// \param length   At least size().
  /// \param longest  How long to wait.
  /// \param missed   How many commits before the first of them were overwritten before they could be read.
  /// \return  How many were copied; 0 when the time is over.
  /// \throws error  as neocortex_follow().
  std::size_t follow(std::uint64_t &since, void *buffer, std::size_t length, timeout longest,
                     std::uint64_t &missed) const {
    std::size_t count = 0;
    const neocortex_status outcome = neocortex_follow(raw(), &since, buffer, length, longest.ns(), &count, &missed);
    return in_time(detail::copied(raw(), outcome)) ? count : 0;
  }

  /// Returns the position from which a follower reads the oldest commit that is kept now.
  [[nodiscard]] std::uint64_t kept_since() const noexcept { return neocortex_kept_since(raw()); }

  /// Returns whether writers wait for the followers that registered: options::lossless().
  [[nodiscard]] bool is_lossless() const noexcept { return neocortex_is_lossless(raw()); }
  /// Registers this object as a follower that writers wait for: what is committed after this call is not overwritten
  /// before a follower through this object has read it. `since` is the position from which that goes on.
  ///
  /// \throws error  unsupported where the segment is not lossless, busy where this object is registered.
  void register_follower(std::uint64_t since) { detail::check(neocortex_register_follower(raw(), since)); }
  /// Ends the registration: writers no longer wait for this object.
  void unregister_follower() { detail::check(neocortex_unregister_follower(raw())); }

  // --- Records: options::records() ---

  /// Returns whether it holds records of any length, and no value.
  [[nodiscard]] bool has_records() const noexcept { return neocortex_has_records(raw()); }

  /// Makes a record the current one. It has up to size() bytes, or none.
  ///
  /// \throws error  as neocortex_push().
  void push(std::string_view record) {
    const neocortex_status pushed = neocortex_push(raw(), record.data(), record.size(), neocortex_timeout(raw()));
    done(pushed);
  }
  /// Like push(), but waits no longer than `longest`, whatever the time-out of the object. Returns whether it was
  /// written.
  [[nodiscard]] bool push_for(std::string_view record, timeout longest) {
    return in_time(detail::copied(raw(), neocortex_push(raw(), record.data(), record.size(), longest.ns())));
  }
  /// Returns the newest record.
  ///
  /// \throws error  as neocortex_read_record().
  [[nodiscard]] std::string read_record() const {
    std::string record;
    done(detail::grown(record, [&](char *to, std::size_t room, std::size_t &length) {
      return neocortex_read_record(raw(), to, room, &length);
    }));
    return record;
  }
  /// Waits for the commit after `since`, and makes its record the contents of `record`, whose memory is used again.
  ///
  /// \param since    The number of the last commit that need not be read; afterwards that of the one that was read.
  /// \param record   What becomes of it after a failure is not told.
  /// \param longest  How long to wait.
  /// \param missed   How many commits before it were overwritten before they could be read.
  /// \return  Whether there was one; false when the time is over.
  /// \throws error  as neocortex_next_record().
  bool next_record(std::uint64_t &since, std::string &record, timeout longest, std::uint64_t &missed) const {
    const neocortex_status outcome = detail::grown(record, [&](char *to, std::size_t room, std::size_t &length) {
      return neocortex_next_record(raw(), &since, to, room, longest.ns(), &length, &missed);
    });
    return in_time(detail::copied(raw(), outcome));
  }

  /// Ends the waits through this object, or the next one, with status::interrupted. A signal handler may call it.
  void interrupt() const noexcept { static_cast<void>(neocortex_interrupt(raw())); }

  /// Ends every wait through this object with status::interrupted, also those that begin later, until resume_waits().
  /// It stops any number of threads. A signal handler may call it.
  void stop_waits() const noexcept { static_cast<void>(neocortex_stop_waits(raw())); }
  /// Lets calls wait again after stop_waits(). A signal handler may call it.
  void resume_waits() const noexcept { static_cast<void>(neocortex_resume_waits(raw())); }

  /// Sets the longest wait of every later call through this object, by any thread, except wait_changed() and the calls
  /// that are given their own.
  void set_timeout(timeout longest) { detail::check(neocortex_set_timeout(raw(), longest.ns())); }

  // --- What it is ---

  [[nodiscard]] std::int32_t key() const noexcept { return neocortex_key(raw()); }
  /// Returns the name that it was created under; it is empty where it was created by number. Valid while this is open.
  [[nodiscard]] std::string_view name() const noexcept {
    const char *own = neocortex_name(raw());
    return own == nullptr ? std::string_view() : std::string_view(own);
  }
  [[nodiscard]] std::size_t size() const noexcept { return neocortex_size(raw()); }
  [[nodiscard]] std::uint64_t schema() const noexcept { return neocortex_schema(raw()); }
  /// Returns the name of its lock, which is valid while this is open.
  [[nodiscard]] std::string_view lock_name() const noexcept {
    const char *name = neocortex_lock_name(raw());
    return name == nullptr ? std::string_view() : std::string_view(name);
  }
  /// Returns whether closing this object removes the segment.
  [[nodiscard]] bool is_owner() const noexcept { return neocortex_is_owner(raw()); }
  /// Returns whether create() made it, rather than finding it (options::force_ownership(), options::open_or_create()).
  [[nodiscard]] bool was_created() const noexcept { return neocortex_was_created(raw()); }
  /// Returns whether a write in place did not end; false in the other layouts.
  [[nodiscard]] bool is_poisoned() const noexcept { return neocortex_is_poisoned(raw()); }
  /// Returns whether its key no longer leads to it.
  [[nodiscard]] bool is_removed() const noexcept { return neocortex_is_removed(raw()); }
  [[nodiscard]] neocortex::participants participants() const {
    neocortex::participants found{0, 0};
    detail::check(neocortex_participants(raw(), &found.alive, &found.limit));
    return found;
  }
  /// Returns whether there is a handle. There is none after close() or being moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }

  /// Declares the bytes of a poisoned segment to be its value.
  void clear_poison() { detail::check(neocortex_clear_poison(raw())); }
  /// Lets the segment stay when this object is closed.
  void persist() { detail::check(neocortex_persist(raw())); }
  /// Makes this object the owner in place of any other, so that closing it removes the segment. It is for a child that
  /// goes on where its parent ends, and needs the right to remove the segment.
  void take_ownership() { detail::check(neocortex_take_ownership(raw())); }

  /// Returns the handle of the C interface, which this object still closes.
  [[nodiscard]] neocortex_segment *raw() const noexcept { return handle_.get(); }

private:
  explicit segment(neocortex_segment *handle) noexcept : handle_(handle) {}

  void done(neocortex_status outcome) const { detail::check(detail::copied(raw(), outcome)); }

  // Returns whether it was done before the time was over. Every other failure is thrown.
  static bool in_time(neocortex_status outcome) {
    if (outcome == NEOCORTEX_ERR_TIMEOUT) {
      return false;
    }
    detail::check(outcome);
    return true;
  }

  detail::handle handle_;
};

// ---------------------------------------------------------------------------------------------
// Values
// ---------------------------------------------------------------------------------------------

namespace detail {

// The parameter of what update() calls, where it can be seen: of a lambda, a function object or a function.
template <class A> struct parameter {
  using type = A;
};
template <class R, class A> parameter<A> parameter_of(R (*)(A));
template <class R, class A> parameter<A> parameter_of(R (*)(A) noexcept);
template <class R, class C, class A> parameter<A> parameter_of(R (C::*)(A));
template <class R, class C, class A> parameter<A> parameter_of(R (C::*)(A) const);
template <class R, class C, class A> parameter<A> parameter_of(R (C::*)(A) noexcept);
template <class R, class C, class A> parameter<A> parameter_of(R (C::*)(A) const noexcept);

// The first of these that there is.
struct last_choice {};
struct third_choice : last_choice {};
struct second_choice : third_choice {};
struct first_choice : second_choice {};
template <class T, class Change> auto see_parameter(first_choice) -> decltype(parameter_of(std::declval<Change>()));
template <class T, class Change> auto see_parameter(second_choice) -> decltype(parameter_of(&Change::operator()));
// Of a generic lambda, with the T that a parameter by value has; with `auto &&` it is a T &&.
template <class T, class Change>
auto see_parameter(third_choice) -> decltype(parameter_of(&Change::template operator()<T>));
template <class T, class Change> parameter<T &> see_parameter(last_choice);

// Whether a change of its parameter is a change of the value.
template <class Change, class T> constexpr bool changes_the_value() {
  using seen = typename decltype(see_parameter<T, std::decay_t<Change>>(first_choice{}))::type;
  return std::is_reference_v<seen> && !std::is_const_v<std::remove_reference_t<seen>>;
}

// What keeps a T from being shared: the first that there is, so that the compiler says one thing.
enum class fault { none, no_object, qualified, copies, array, points_elsewhere, has_padding, refused, fixed, align };

template <class T> constexpr fault find_fault() {
  if constexpr (!std::is_object_v<T>) {
    return fault::no_object;
  } else if constexpr (std::is_const_v<T> || std::is_volatile_v<T>) {
    return fault::qualified;
  } else if constexpr (std::is_array_v<T>) {
    return fault::array;
  } else if constexpr (!std::is_trivially_copyable_v<T>) {
    return fault::copies;
  } else if constexpr (!std::is_copy_assignable_v<T>) {
    return fault::fixed;
  } else if constexpr (!is_plain<T>::value) {
    constexpr verdict found = judge<T>();
    return found == verdict::points_elsewhere ? fault::points_elsewhere
           : found == verdict::has_padding    ? fault::has_padding
                                              : fault::refused;
  } else {
    return alignof(T) > 4096 ? fault::align : fault::none;
  }
}

// Checks what a shared type must be.
template <class T> struct shared_type {
  static constexpr fault wrong = find_fault<T>();
  static_assert(wrong != fault::no_object, "neocortex shares objects: not references, functions or void");
  static_assert(wrong != fault::qualified, "neocortex: share a plain T, not const or volatile");
  static_assert(wrong != fault::array, "neocortex: share a std::array or a struct in place of a plain array");
  static_assert(wrong != fault::copies,
                "neocortex shares bytes: T must be trivially copyable, with no std::string, std::vector or virtual "
                "function in it. Text: `std::array<char, 32>`, or a cortex of records (options::records())");
  static_assert(wrong != fault::points_elsewhere,
                "neocortex: T is, or has a member that is, a pointer, string_view, span or reference_wrapper: it leads "
                "nowhere in another process");
  static_assert(wrong != fault::has_padding,
                "neocortex: T has padding, which would publish what was in memory before. Name it "
                "(`std::uint8_t unused[7] = {};`). Where it has none and the compiler cannot see that, say so: "
                "`template <> struct neocortex::is_plain<T> : std::true_type {};`");
  static_assert(wrong != fault::refused, "neocortex: is_plain<T> says that T cannot be shared");
  static_assert(wrong != fault::fixed,
                "neocortex: T has a reference or a constant as a member, which cannot be replaced");
  static_assert(wrong != fault::align, "neocortex: a segment aligns its value to 4096 bytes at most");

  static constexpr std::size_t default_align = 16;

  // The segment's alignment is at least T's, and attaching compares it.
  static options aligned(options with) noexcept {
    if constexpr (alignof(T) > default_align) {
      if (with.raw().align < alignof(T)) {
        with.align(static_cast<std::uint32_t>(alignof(T)));
      }
    }
    return with;
  }

  // The one object that a copy is made into is the one that is returned, because a large T may hardly fit the stack
  // once. So each is in the outermost block of its function, where every compiler does without a second one. `fill` is
  // given where the bytes go, and returns whether they are there.
  template <class Fill, class U = T, std::enable_if_t<std::is_default_constructible_v<U>, int> = 0>
  static T filled(Fill fill) {
    T value;
    fill(std::addressof(value));
    return value;
  }
  template <class Fill, class U = T, std::enable_if_t<!std::is_default_constructible_v<U>, int> = 0>
  static T filled(Fill fill) {
    storage made = reserve();
    fill(std::addressof(made->value));
    return made->value;
  }
  template <class Fill, class U = T, std::enable_if_t<std::is_default_constructible_v<U>, int> = 0>
  static std::optional<T> filled_if(Fill fill) {
    std::optional<T> value(std::in_place);
    if (!fill(std::addressof(*value))) {
      value.reset();
    }
    return value;
  }
  template <class Fill, class U = T, std::enable_if_t<!std::is_default_constructible_v<U>, int> = 0>
  static std::optional<T> filled_if(Fill fill) {
    storage made = reserve();
    return fill(std::addressof(made->value)) ? std::optional<T>(made->value) : std::nullopt;
  }

private:
  // Room for a T that has no default constructor. A large one is not on the stack.
  union room {
    char none;
    T value;
    room() noexcept : none() {}
  };
  struct at_hand {
    room here;
    room *operator->() noexcept { return &here; }
  };
  static constexpr std::size_t small = 4096;
  using storage = std::conditional_t<(sizeof(T) <= small), at_hand, std::unique_ptr<room>>;
  static storage reserve() {
    if constexpr (sizeof(T) <= small) {
      return {};
    } else {
      return storage(new room);
    }
  }
};

} // namespace detail

/// Holds a T still for reading, without copying it, for as long as the object lives.
template <class T> class value_read_guard {
public:
  [[nodiscard]] const T &operator*() const noexcept { return *get(); }
  [[nodiscard]] const T *operator->() const noexcept { return get(); }
  [[nodiscard]] const T *get() const noexcept { return reinterpret_cast<const T *>(bytes_.data()); }
  /// Returns whether the guard still holds the value.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(bytes_); }
  /// \copydoc read_guard::end
  void end() { bytes_.end(); }

  /// \param bytes  A guard of a segment that holds a T.
  explicit value_read_guard(read_guard &&bytes) noexcept : bytes_(std::move(bytes)) {
    assert(reinterpret_cast<std::uintptr_t>(bytes_.data()) % alignof(T) == 0);
  }

private:
  read_guard bytes_;
};

/// Holds a T for writing. The value stays as it is unless commit() or publish() is called.
template <class T> class value_write_guard {
public:
  [[nodiscard]] T &operator*() const noexcept { return *get(); }
  [[nodiscard]] T *operator->() const noexcept { return get(); }
  [[nodiscard]] T *get() const noexcept { return reinterpret_cast<T *>(bytes_.data()); }
  /// Returns whether the guard still holds the value.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(bytes_); }

  /// \copydoc write_guard::commit
  void commit() { bytes_.commit(); }
  /// Commits and keeps the lock. Then the guard's T is unspecified, and may be in another place: assign all of it.
  void publish() { bytes_.publish(); }
  /// \copydoc write_guard::abort
  void abort() { bytes_.abort(); }
  /// \copydoc write_guard::mark
  void mark(std::size_t offset, std::size_t length) { bytes_.mark(offset, length); }
  /// Marks one member (or other part) of the guard's T: `guard.mark(guard->position);`
  template <class Part> void mark(const Part &part) {
    const auto whole = reinterpret_cast<std::uintptr_t>(get());
    const auto begin = reinterpret_cast<std::uintptr_t>(std::addressof(part));
    if (begin < whole || begin - whole > sizeof(T) || sizeof(Part) > sizeof(T) - (begin - whole)) {
      throw error(status::invalid_argument, "mark a changed part: it does not lie in the guard's value");
    }
    bytes_.mark(begin - whole, sizeof(Part));
  }

  /// \param bytes  A guard of a segment that holds a T.
  explicit value_write_guard(write_guard &&bytes) noexcept : bytes_(std::move(bytes)) {
    assert(reinterpret_cast<std::uintptr_t>(bytes_.data()) % alignof(T) == 0);
  }

private:
  write_guard bytes_;
};

/// Reads the commits of a cortex in order, each of them once, or tells how many it missed. Made by cortex::follow() and
/// observer::follow().
///
/// \code{.cpp}
/// auto log = neocortex::cortex<event>::attach("log");
/// for (const auto &commit : log.follow(log.kept_since())) {   // ends when the cortex is removed
///   show(commit.value, commit.version, commit.missed);
/// }
/// \endcode
///
/// It stores nothing in the segment, so that any number of followers may read, each at its own pace, and no writer waits
/// for one. As many commits are kept as there are slots (options::slots()), one less while a writer is at work. It must
/// not outlive the cortex or observer that it was made by, and is used by one thread at a time.
template <class T> class follower : private detail::shared_type<T> {
  using type = detail::shared_type<T>;

public:
  using value_type = followed<T>;

  /// Waits for the next commit.
  ///
  /// \throws error  removed when the segment is removed and all that is kept was read; invalid_argument where the
  ///                position is after the last commit; interrupted; busy if this thread holds a guard.
  [[nodiscard]] followed<T> next() { return *next_for(timeout::forever()); }
  /// Like next(), but not longer than `longest`: then it returns nothing.
  [[nodiscard]] std::optional<followed<T>> next_for(timeout longest) {
    const std::optional<followed<T>> found = read(longest);
    detail::check(outcome_ == NEOCORTEX_ERR_TIMEOUT ? NEOCORTEX_OK : outcome_);
    return found;
  }
  /// Like next(), but does not wait: empty where there is no new commit.
  [[nodiscard]] std::optional<followed<T>> try_next() { return next_for(timeout::never()); }

  /// Copies the next commits to `to`, up to `limit` of them, without waiting. For small values this is several times as
  /// fast as next().
  batch next_many(T *to, std::size_t limit) {
    batch found{0, 0, 0};
    outcome_ = neocortex_follow(through_, &position_, to, limit * sizeof(T), NEOCORTEX_TRY, &found.count, &found.missed);
    detail::check(detail::copied(through_, outcome_ == NEOCORTEX_ERR_TIMEOUT ? NEOCORTEX_OK : outcome_));
    found.version = found.count == 0 ? 0 : position_ - found.count + 1;
    return found;
  }

  /// Returns the number of the last commit that was read. It may be stored, and a new follower goes on from there.
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }

  /// What a range-based `for` goes by: it waits for each commit, and ends when the cortex is removed.
  class iterator {
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = followed<T>;
    using difference_type = std::ptrdiff_t;
    using pointer = const followed<T> *;
    using reference = const followed<T> &;

    /// The end.
    iterator() noexcept = default;
    [[nodiscard]] reference operator*() const noexcept { return *found_; }
    [[nodiscard]] pointer operator->() const noexcept { return std::addressof(*found_); }
    iterator &operator++() {
      found_ = of_->next_until_removed();
      return *this;
    }
    void operator++(int) { ++*this; }
    [[nodiscard]] friend bool operator==(const iterator &one, const iterator &other) noexcept {
      return one.found_.has_value() == other.found_.has_value();
    }
    [[nodiscard]] friend bool operator!=(const iterator &one, const iterator &other) noexcept {
      return !(one == other);
    }

  private:
    friend class follower;
    explicit iterator(follower &of) : of_(&of) { ++*this; }

    follower *of_ = nullptr;
    std::optional<followed<T>> found_;
  };

  /// Waits for the next commit.
  [[nodiscard]] iterator begin() { return iterator(*this); }
  [[nodiscard]] iterator end() const noexcept { return iterator(); }

private:
  template <class U> friend class cortex;
  template <class U> friend class observer;
  follower(neocortex_segment *through, std::uint64_t since) noexcept : through_(through), position_(since) {}

  std::optional<followed<T>> read(timeout longest) {
    std::uint64_t missed = 0;
    const std::optional<T> value = type::filled_if([&](T *to) {
      std::size_t count = 0;
      outcome_ = neocortex_follow(through_, &position_, to, sizeof(T), longest.ns(), &count, &missed);
      return detail::copied(through_, outcome_) == NEOCORTEX_OK;
    });
    return value.has_value() ? std::optional<followed<T>>(followed<T>{*value, position_, missed}) : std::nullopt;
  }

  std::optional<followed<T>> next_until_removed() {
    std::optional<followed<T>> found = read(timeout::forever());
    detail::check(outcome_ == NEOCORTEX_ERR_REMOVED ? NEOCORTEX_OK : outcome_);
    return found;
  }

  neocortex_segment *through_;
  std::uint64_t position_;
  neocortex_status outcome_ = NEOCORTEX_OK; // of the last call
};

/// One value of type T that several processes share.
///
/// T is trivially copyable and plain (neocortex::is_plain): no padding, no pointers. If not every pattern of bytes is
/// a T (`bool`, enums), every program that writes must be trusted to write only those that are, because C++ cannot
/// check it.
///
/// A function that returns a T makes no other copy of it. A T that does not fit the stack is read by read(T &),
/// try_read(T &) and exchange(const T &, T &).
///
/// It is move-only; the destructor closes it, and removes it if is_owner().
template <class T> class cortex : private detail::shared_type<T> {
  using type = detail::shared_type<T>;

public:
  using value_type = T;

  /// Makes a cortex whose bytes are zero and whose version is 0.
  ///
  /// \param key   Any number but 0, unless options::random_key() is asked for.
  /// \param with  How to make it.
  [[nodiscard]] static cortex create(std::int32_t key, const options &with = options()) {
    return cortex(segment::create(key, sizeof(T), type::aligned(with)));
  }

  /// Makes a cortex whose value is `initial` at version 0. No process can attach before it has this value, whenever
  /// this process dies. A cortex that was found (options::force_ownership()) keeps the value that it has.
  [[nodiscard]] static cortex create(std::int32_t key, const T &initial, const options &with = options()) {
    return cortex(segment::create_with(key, sizeof(T), std::addressof(initial), type::aligned(with)));
  }

  /// The same under a name: see segment::create().
  [[nodiscard]] static cortex create(std::string_view name, const options &with = options()) {
    return cortex(segment::create(name, sizeof(T), type::aligned(with)));
  }

  /// The same under a name.
  [[nodiscard]] static cortex create(std::string_view name, const T &initial, const options &with = options()) {
    return cortex(segment::create_with(name, sizeof(T), std::addressof(initial), type::aligned(with)));
  }

  /// Attaches to the cortex with this key, or makes it with this first value: see options::open_or_create().
  [[nodiscard]] static cortex open_or_create(std::int32_t key, const T &initial, options with = options()) {
    return create(key, initial, with.open_or_create());
  }

  /// The same under a name.
  [[nodiscard]] static cortex open_or_create(std::string_view name, const T &initial, options with = options()) {
    return create(name, initial, with.open_or_create());
  }

  /// Makes a cortex under a key that the library chooses; see key().
  [[nodiscard]] static cortex create_with_random_key(const T &initial, options with = options()) {
    with.random_key();
    return create(0, initial, with);
  }

  /// Attaches to a cortex that exists and has the size and alignment of a T.
  [[nodiscard]] static cortex attach(std::int32_t key, const options &with = options()) {
    return cortex(segment::attach(key, sizeof(T), type::aligned(with)));
  }

  /// The same by name.
  [[nodiscard]] static cortex attach(std::string_view name, const options &with = options()) {
    return cortex(segment::attach(name, sizeof(T), type::aligned(with)));
  }

  /// Attaches as soon as a process has created it: see segment::attach_wait().
  [[nodiscard]] static cortex attach_wait(std::int32_t key, timeout longest, const options &with = options()) {
    return cortex(segment::attach_wait(key, sizeof(T), longest, type::aligned(with)));
  }

  /// The same by name.
  [[nodiscard]] static cortex attach_wait(std::string_view name, timeout longest, const options &with = options()) {
    return cortex(segment::attach_wait(name, sizeof(T), longest, type::aligned(with)));
  }

  cortex(cortex &&) noexcept = default;
  cortex &operator=(cortex &&) noexcept = default;
  cortex(const cortex &) = delete;
  cortex &operator=(const cortex &) = delete;
  ~cortex() = default;

  /// \copydoc segment::close
  void close() { bytes_.close(); }

  /// Returns a copy of the last committed value.
  [[nodiscard]] T read() const {
    return type::filled([this](T *to) { bytes_.read(to, sizeof(T)); });
  }
  /// Copies the last committed value into `to`. neocortex_read() says what it holds after a failure.
  void read(T &to) const { bytes_.read(std::addressof(to), sizeof(T)); }
  /// Returns a copy of the last committed value, and its version(). A loop that gives this version to wait_changed()
  /// next processes no commit twice.
  [[nodiscard]] std::pair<T, std::uint64_t> read_versioned() const {
    std::uint64_t version = 0;
    const T value = type::filled([&](T *to) { version = bytes_.read_versioned(to, sizeof(T)); });
    return {value, version};
  }
  /// Copies the last committed value into `to`, which is as it was after a failure, and returns its version().
  std::uint64_t read_versioned(T &to) const { return bytes_.read_versioned(std::addressof(to), sizeof(T)); }
  /// Replaces the value.
  void write(const T &value) { bytes_.write(std::addressof(value), sizeof(T)); }
  /// Replaces the value by `value` and returns what it was. No other write comes in between.
  T exchange(const T &value) {
    return type::filled([&](T *before) { exchange(value, *before); });
  }
  /// Replaces the value by `value` and puts what it was into `before`, which may be `value` itself. No other write
  /// comes in between.
  void exchange(const T &value, T &before) {
    value_write_guard<T> guard = write_guard();
    auto *shared = reinterpret_cast<unsigned char *>(guard.get());
    const auto *from = reinterpret_cast<const unsigned char *>(std::addressof(value));
    auto *to = reinterpret_cast<unsigned char *>(std::addressof(before));
    unsigned char part[256];
    for (std::size_t done = 0; done < sizeof(T);) {
      const std::size_t length = sizeof(T) - done < sizeof(part) ? sizeof(T) - done : sizeof(part);
      std::memcpy(part, shared + done, length);
      std::memcpy(shared + done, from + done, length);
      std::memcpy(to + done, part, length);
      done += length;
    }
    guard.commit();
  }

  /// Changes the value and commits it. No other write comes in between.
  ///
  /// \param change  Called once with a `T &`, which it must take: one that takes a `T` does not compile. If it throws, the value is as before (in place it is poisoned).
  /// \returns What `change` returned.
  template <class Change> decltype(auto) update(Change &&change) {
    return changed(write_guard(), std::forward<Change>(change));
  }

  // --- With a time-out of the call, whatever the time-out of the object ---

  /// Like read(), but waits no longer than `longest`. Returns nothing when it is over.
  [[nodiscard]] std::optional<T> read_for(timeout longest) const {
    return type::filled_if([&](T *to) { return bytes_.read_for(to, sizeof(T), longest); });
  }
  /// Like read(T &), but waits no longer than `longest`. Returns false when it is over.
  [[nodiscard]] bool read_for(T &to, timeout longest) const {
    return bytes_.read_for(std::addressof(to), sizeof(T), longest);
  }
  /// Like write(), but waits no longer than `longest`. Returns false when it is over, and nothing was written.
  [[nodiscard]] bool write_for(const T &value, timeout longest) {
    return bytes_.write_for(std::addressof(value), sizeof(T), longest);
  }
  /// Like update(), but waits for the lock no longer than `longest`. When it is over, `change` is not called. Returns
  /// whether `change` was called or, where `change` returns something, that or nothing.
  template <class Change> [[nodiscard]] auto update_for(timeout longest, Change &&change) {
    using result = std::invoke_result_t<Change, T &>;
    std::optional<value_write_guard<T>> held = write_guard_for(longest);
    if constexpr (std::is_void_v<result>) {
      if (held) {
        changed(std::move(*held), std::forward<Change>(change));
      }
      return held.has_value();
    } else {
      return held ? std::optional<result>(changed(std::move(*held), std::forward<Change>(change))) : std::nullopt;
    }
  }

  /// Like read(), but does not wait. Returns nothing where it would have to.
  [[nodiscard]] std::optional<T> try_read() const { return read_for(timeout::never()); }
  /// Like read(T &), but does not wait. Returns false where it would have to.
  [[nodiscard]] bool try_read(T &to) const { return read_for(to, timeout::never()); }
  /// Like write(), but does not wait. Returns false where it would have to.
  [[nodiscard]] bool try_write(const T &value) { return write_for(value, timeout::never()); }

  /// Holds the value still for reading, without copying it.
  [[nodiscard]] value_read_guard<T> read_guard() const { return value_read_guard<T>(bytes_.read_guard()); }
  /// Holds the value for writing.
  [[nodiscard]] value_write_guard<T> write_guard() { return value_write_guard<T>(bytes_.write_guard()); }
  /// Like read_guard(), but waits no longer than `longest`. Returns nothing when it is over.
  [[nodiscard]] std::optional<value_read_guard<T>> read_guard_for(timeout longest) const {
    auto held = bytes_.read_guard_for(longest);
    return held ? std::optional<value_read_guard<T>>(std::in_place, std::move(*held)) : std::nullopt;
  }
  /// Like write_guard(), but waits no longer than `longest`. Returns nothing when it is over.
  [[nodiscard]] std::optional<value_write_guard<T>> write_guard_for(timeout longest) {
    auto held = bytes_.write_guard_for(longest);
    return held ? std::optional<value_write_guard<T>>(std::in_place, std::move(*held)) : std::nullopt;
  }
  /// Holds the value for a writer that assigns all of it. The value is unspecified at first, because nothing is copied.
  [[nodiscard]] value_write_guard<T> overwrite_guard() { return value_write_guard<T>(bytes_.overwrite_guard()); }
  /// Like overwrite_guard(), but waits no longer than `longest`. Returns nothing when it is over.
  [[nodiscard]] std::optional<value_write_guard<T>> overwrite_guard_for(timeout longest) {
    auto held = bytes_.overwrite_guard_for(longest);
    return held ? std::optional<value_write_guard<T>>(std::in_place, std::move(*held)) : std::nullopt;
  }
  /// Like overwrite_guard(), but does not wait. Returns nothing where it would have to.
  [[nodiscard]] std::optional<value_write_guard<T>> try_overwrite_guard() {
    return overwrite_guard_for(timeout::never());
  }
  /// Like read_guard(), but does not wait. Returns nothing where it would have to.
  [[nodiscard]] std::optional<value_read_guard<T>> try_read_guard() const { return read_guard_for(timeout::never()); }
  /// Like write_guard(), but does not wait. Returns nothing where it would have to.
  [[nodiscard]] std::optional<value_write_guard<T>> try_write_guard() { return write_guard_for(timeout::never()); }

  /// \copydoc segment::version
  [[nodiscard]] std::uint64_t version() const noexcept { return bytes_.version(); }
  /// \copydoc segment::wait_changed
  std::uint64_t wait_changed(std::uint64_t since) const { return bytes_.wait_changed(since); }
  /// \copydoc segment::wait_changed_for
  [[nodiscard]] std::optional<std::uint64_t> wait_changed_for(std::uint64_t since, timeout longest) const {
    return bytes_.wait_changed_for(since, longest);
  }
  /// Returns a follower that reads the commits after `since`, in order: version() for what is committed from now on, kept_since()
  /// to begin with the oldest that is kept, or the position of an earlier follower.
  [[nodiscard]] follower<T> follow(std::uint64_t since) const noexcept { return follower<T>(bytes_.raw(), since); }
  /// \copydoc segment::kept_since
  [[nodiscard]] std::uint64_t kept_since() const noexcept { return bytes_.kept_since(); }
  /// \copydoc segment::interrupt
  void interrupt() const noexcept { bytes_.interrupt(); }
  /// \copydoc segment::stop_waits
  void stop_waits() const noexcept { bytes_.stop_waits(); }
  /// \copydoc segment::resume_waits
  void resume_waits() const noexcept { bytes_.resume_waits(); }
  /// \copydoc segment::set_timeout
  void set_timeout(timeout longest) { bytes_.set_timeout(longest); }

  [[nodiscard]] std::int32_t key() const noexcept { return bytes_.key(); }
  [[nodiscard]] std::string_view name() const noexcept { return bytes_.name(); }
  [[nodiscard]] std::uint64_t schema() const noexcept { return bytes_.schema(); }
  /// \copydoc segment::lock_name
  [[nodiscard]] std::string_view lock_name() const noexcept { return bytes_.lock_name(); }
  /// \copydoc segment::is_owner
  [[nodiscard]] bool is_owner() const noexcept { return bytes_.is_owner(); }
  /// \copydoc segment::was_created
  [[nodiscard]] bool was_created() const noexcept { return bytes_.was_created(); }
  /// \copydoc segment::is_poisoned
  [[nodiscard]] bool is_poisoned() const noexcept { return bytes_.is_poisoned(); }
  /// \copydoc segment::is_removed
  [[nodiscard]] bool is_removed() const noexcept { return bytes_.is_removed(); }
  [[nodiscard]] neocortex::participants participants() const { return bytes_.participants(); }
  /// Returns whether there is a handle. There is none after close() or being moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(bytes_); }
  /// \copydoc segment::clear_poison
  void clear_poison() { bytes_.clear_poison(); }
  /// \copydoc segment::persist
  void persist() { bytes_.persist(); }
  /// \copydoc segment::take_ownership
  void take_ownership() { bytes_.take_ownership(); }

  /// Returns the segment of bytes that the value is in, for calls that this class does not have.
  [[nodiscard]] segment &bytes() noexcept { return bytes_; }
  /// \copydoc bytes()
  [[nodiscard]] const segment &bytes() const noexcept { return bytes_; }

private:
  explicit cortex(segment &&bytes) noexcept : bytes_(std::move(bytes)) {}

  // Changes the value under this guard and commits.
  template <class Change> static decltype(auto) changed(value_write_guard<T> guard, Change &&change) {
    using result = std::invoke_result_t<Change, T &>;
    static_assert(detail::changes_the_value<Change, T>(),
                  "neocortex: what update() calls must take a `T &` (`[](T &value) { ... }`): it changes a copy, or "
                  "nothing, and the value would be committed as it was");
    static_assert(!std::is_reference_v<result>, "neocortex: what update() returns must outlive the guard");
    if constexpr (std::is_void_v<result>) {
      std::invoke(std::forward<Change>(change), *guard);
      guard.commit();
    } else {
      result outcome = std::invoke(std::forward<Change>(change), *guard);
      guard.commit();
      return outcome;
    }
  }

  segment bytes_;
};

/// Reads one value of type T through a read-only mapping, without the lock and without a participant slot. It cannot
/// disturb any other process.
template <class T> class observer : private detail::shared_type<T> {
  using type = detail::shared_type<T>;

public:
  using value_type = T;

  /// Attaches to a cortex that exists. Permission to read is enough.
  [[nodiscard]] static observer attach(std::int32_t key, options with = options()) {
    with.read_only();
    return observer(segment::attach(key, sizeof(T), type::aligned(with)));
  }

  /// The same by name.
  [[nodiscard]] static observer attach(std::string_view name, options with = options()) {
    with.read_only();
    return observer(segment::attach(name, sizeof(T), type::aligned(with)));
  }

  /// Attaches as soon as a process has created it: see segment::attach_wait().
  [[nodiscard]] static observer attach_wait(std::int32_t key, timeout longest, options with = options()) {
    with.read_only();
    return observer(segment::attach_wait(key, sizeof(T), longest, type::aligned(with)));
  }

  /// The same by name.
  [[nodiscard]] static observer attach_wait(std::string_view name, timeout longest, options with = options()) {
    with.read_only();
    return observer(segment::attach_wait(name, sizeof(T), longest, type::aligned(with)));
  }

  /// Returns a copy of the last committed value.
  [[nodiscard]] T read() const {
    return type::filled([this](T *to) { bytes_.read(to, sizeof(T)); });
  }
  /// Copies the last committed value into `to`, which is as it was after a failure.
  void read(T &to) const { bytes_.read(std::addressof(to), sizeof(T)); }
  /// Returns a copy of the last committed value, and its version(). A loop that gives this version to wait_changed()
  /// next processes no commit twice.
  [[nodiscard]] std::pair<T, std::uint64_t> read_versioned() const {
    std::uint64_t version = 0;
    const T value = type::filled([&](T *to) { version = bytes_.read_versioned(to, sizeof(T)); });
    return {value, version};
  }
  /// Copies the last committed value into `to`, which is as it was after a failure, and returns its version().
  std::uint64_t read_versioned(T &to) const { return bytes_.read_versioned(std::addressof(to), sizeof(T)); }
  /// Like read(), but waits no longer than `longest`, whatever the time-out of the object. Returns nothing when it is
  /// over.
  [[nodiscard]] std::optional<T> read_for(timeout longest) const {
    return type::filled_if([&](T *to) { return bytes_.read_for(to, sizeof(T), longest); });
  }
  /// Like read(T &), but waits no longer than `longest`, whatever the time-out of the object. Returns false when it is
  /// over.
  [[nodiscard]] bool read_for(T &to, timeout longest) const {
    return bytes_.read_for(std::addressof(to), sizeof(T), longest);
  }
  /// Like read(), but does not wait. Returns nothing where it would have to.
  [[nodiscard]] std::optional<T> try_read() const { return read_for(timeout::never()); }
  /// Like read(T &), but does not wait. Returns false where it would have to.
  [[nodiscard]] bool try_read(T &to) const { return read_for(to, timeout::never()); }

  /// \copydoc segment::version
  [[nodiscard]] std::uint64_t version() const noexcept { return bytes_.version(); }
  /// \copydoc segment::wait_changed
  std::uint64_t wait_changed(std::uint64_t since) const { return bytes_.wait_changed(since); }
  /// \copydoc segment::wait_changed_for
  [[nodiscard]] std::optional<std::uint64_t> wait_changed_for(std::uint64_t since, timeout longest) const {
    return bytes_.wait_changed_for(since, longest);
  }
  /// Returns a follower that reads the commits after `since`, in order: version() for what is committed from now on, kept_since()
  /// to begin with the oldest that is kept, or the position of an earlier follower.
  [[nodiscard]] follower<T> follow(std::uint64_t since) const noexcept { return follower<T>(bytes_.raw(), since); }
  /// \copydoc segment::kept_since
  [[nodiscard]] std::uint64_t kept_since() const noexcept { return bytes_.kept_since(); }
  /// \copydoc segment::interrupt
  void interrupt() const noexcept { bytes_.interrupt(); }
  /// \copydoc segment::stop_waits
  void stop_waits() const noexcept { bytes_.stop_waits(); }
  /// \copydoc segment::resume_waits
  void resume_waits() const noexcept { bytes_.resume_waits(); }
  /// \copydoc segment::set_timeout
  void set_timeout(timeout longest) { bytes_.set_timeout(longest); }

  [[nodiscard]] std::int32_t key() const noexcept { return bytes_.key(); }
  [[nodiscard]] std::string_view name() const noexcept { return bytes_.name(); }
  [[nodiscard]] std::uint64_t schema() const noexcept { return bytes_.schema(); }
  /// \copydoc segment::lock_name
  [[nodiscard]] std::string_view lock_name() const noexcept { return bytes_.lock_name(); }
  /// \copydoc segment::is_poisoned
  [[nodiscard]] bool is_poisoned() const noexcept { return bytes_.is_poisoned(); }
  /// \copydoc segment::is_removed
  [[nodiscard]] bool is_removed() const noexcept { return bytes_.is_removed(); }
  /// Returns whether there is a handle. There is none after being moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(bytes_); }

  /// Returns the bytes under the value.
  [[nodiscard]] const segment &bytes() const noexcept { return bytes_; }

private:
  explicit observer(segment &&bytes) noexcept : bytes_(std::move(bytes)) {}

  segment bytes_;
};

// ---------------------------------------------------------------------------------------------
// Several at once
// ---------------------------------------------------------------------------------------------

/// What wait_set::wait() tells of one member.
struct change {
  /// What was given to wait_set::add().
  void *tag;
  /// How many commits there were when the set looked. Where `is_removed`, it may be a number that was told before.
  std::uint64_t version;
  /// Whether the segment was removed. It is then no longer in the set.
  bool is_removed;
};

/// Waits for several segments, cortexes and observers at once.
///
/// \code{.cpp}
/// neocortex::wait_set set;
/// set.add(speed, speed.version(), &speed);
/// set.add(gear, gear.version(), &gear);
/// for (const neocortex::change &now : set.wait()) {
///   show(now.tag, now.version);
/// }
/// \endcode
///
/// Each change is told once, and nothing has to be confirmed. One thread at a time adds, removes and waits; any thread and
/// any signal handler may interrupt(). What is in a set must be removed from it, or the set be destroyed, before it is
/// closed: make the set last.
class wait_set {
public:
  /// \throws error  as neocortex_wait_set_open().
  wait_set() : handle_(neocortex_wait_set_open()) {
    if (handle_ == nullptr) {
      throw error::last(neocortex_last_status());
    }
  }

  /// Adds a segment. The next wait tells where its version is another than `since`.
  ///
  /// \param what   Is to outlive its time in the set.
  /// \param since  A version: what the caller knows already.
  /// \param tag    Comes back with each change.
  /// \throws error  invalid_argument where it is in the set already; busy while another thread waits.
  void add(const segment &what, std::uint64_t since, void *tag = nullptr) {
    detail::check(neocortex_wait_set_add(handle_.get(), what.raw(), since, tag));
  }
  /// Adds a cortex or an observer.
  template <class Value> void add(const Value &what, std::uint64_t since, void *tag = nullptr) {
    add(what.bytes(), since, tag);
  }
  /// Removes a segment.
  ///
  /// \throws error  invalid_argument where it is not in the set; busy while another thread waits.
  void remove(const segment &what) { detail::check(neocortex_wait_set_remove(handle_.get(), what.raw())); }
  /// Removes a cortex or an observer.
  template <class Value> void remove(const Value &what) { remove(what.bytes()); }

  /// Waits until at least one has changed or was removed, and returns all that have, up to `most`; the others are told
  /// by the next call.
  ///
  /// \throws error  interrupted; busy while another thread waits.
  [[nodiscard]] std::vector<change> wait(std::size_t most = 64) { return wait_for(timeout::forever(), most); }
  /// Like wait(), but not longer than `longest`: then it returns nothing.
  [[nodiscard]] std::vector<change> wait_for(timeout longest, std::size_t most = 64) {
    std::vector<neocortex_change> room(most);
    std::size_t count = 0;
    const neocortex_status waited =
        neocortex_wait_set_wait(handle_.get(), longest.ns(), room.data(), room.size(), &count);
    detail::check(waited == NEOCORTEX_ERR_TIMEOUT ? NEOCORTEX_OK : waited);
    std::vector<change> told;
    told.reserve(count);
    for (std::size_t at = 0; at < count; ++at) {
      told.push_back({room[at].tag, room[at].version, (room[at].flags & NEOCORTEX_CHANGE_REMOVED) != 0});
    }
    return told;
  }

  /// Returns a descriptor that is readable while a change is to be told, for epoll, poll, and what is built on them, such as
  /// asio. wait_for(timeout::never()) takes the changes and makes it unreadable. The set closes it.
  ///
  /// \throws error  clean_system where there are no more descriptors or threads; busy while another thread waits.
  [[nodiscard]] int fd() {
    int found = -1;
    detail::check(neocortex_wait_set_fd(handle_.get(), &found));
    return found;
  }

  /// Ends the wait of this set, or the next one, with status::interrupted. A signal handler may call it.
  void interrupt() const noexcept { static_cast<void>(neocortex_wait_set_interrupt(handle_.get())); }

  /// Returns the handle of the C interface, which this object still closes.
  [[nodiscard]] neocortex_wait_set *raw() const noexcept { return handle_.get(); }

private:
  struct closer {
    void operator()(neocortex_wait_set *set) const noexcept { neocortex_wait_set_close(set); }
  };

  std::unique_ptr<neocortex_wait_set, closer> handle_;
};

// ---------------------------------------------------------------------------------------------
// By key, and the library itself
// ---------------------------------------------------------------------------------------------

/// Removes the segment of a key. Attached processes go on with its memory until they close it.
inline void remove(std::int32_t key) { detail::check(neocortex_remove(key)); }

/// Removes the segment of a key and its semaphores, if no participant lives in it.
inline void reclaim(std::int32_t key) { detail::check(neocortex_reclaim(key)); }

/// Returns the version of the library that is linked, such as `"4.0.0"`.
[[nodiscard]] inline std::string_view version() noexcept { return neocortex_version(); }

/// Receives the library's log for as long as it lives. Of several sinks only the newest receives.
///
/// \code{.cpp}
/// neocortex::log_sink sink([](int level, std::string_view message) { std::clog << message << '\n'; });
/// \endcode
///
/// The callable may be called from any thread, never with one of the library's locks held. What it throws
/// is swallowed. Once the destructor has returned, it is not running and will not be called. It must not destroy its
/// sink.
class log_sink {
public:
  using function = std::function<void(int level, std::string_view message)>;

  explicit log_sink(function receive) : receive_(std::move(receive)) { neocortex_set_log(&log_sink::call, this); }
  log_sink(const log_sink &) = delete;
  log_sink &operator=(const log_sink &) = delete;
  ~log_sink() { neocortex_set_log(nullptr, nullptr); }

private:
  static void call(void *self, int level, const char *message) noexcept {
    try {
      const function &receive = static_cast<const log_sink *>(self)->receive_;
      if (receive) {
        receive(level, message == nullptr ? std::string_view() : std::string_view(message));
      }
    } catch (...) { // the C interface does not let exceptions through
    }
  }

  function receive_;
};

} // namespace neocortex

/// \cond
template <> struct std::is_error_code_enum<neocortex::status> : std::true_type {};
/// \endcond

#pragma pop_macro("abort")
#pragma pop_macro("add")
#pragma pop_macro("addressof")
#pragma pop_macro("adopt")
#pragma pop_macro("align")
#pragma pop_macro("aligned")
#pragma pop_macro("any_members")
#pragma pop_macro("ask_valgrind")
#pragma pop_macro("attach")
#pragma pop_macro("attach_wait")
#pragma pop_macro("begin")
#pragma pop_macro("bytes")
#pragma pop_macro("c_str")
#pragma pop_macro("call")
#pragma pop_macro("capacity")
#pragma pop_macro("category")
#pragma pop_macro("change")
#pragma pop_macro("changed")
#pragma pop_macro("changes_the_value")
#pragma pop_macro("check")
#pragma pop_macro("clear_poison")
#pragma pop_macro("close")
#pragma pop_macro("code")
#pragma pop_macro("commit")
#pragma pop_macro("convert")
#pragma pop_macro("converts_to_a_union")
#pragma pop_macro("converts_to_anything")
#pragma pop_macro("copied")
#pragma pop_macro("copy")
#pragma pop_macro("copy_begins")
#pragma pop_macro("cortex")
#pragma pop_macro("count")
#pragma pop_macro("count_members")
#pragma pop_macro("create")
#pragma pop_macro("create_with")
#pragma pop_macro("create_with_random_key")
#pragma pop_macro("custom")
#pragma pop_macro("data")
#pragma pop_macro("default_error_condition")
#pragma pop_macro("done")
#pragma pop_macro("dump")
#pragma pop_macro("end")
#pragma pop_macro("end_quietly")
#pragma pop_macro("error")
#pragma pop_macro("exchange")
#pragma pop_macro("fd")
#pragma pop_macro("fill")
#pragma pop_macro("filled")
#pragma pop_macro("filled_if")
#pragma pop_macro("find_fault")
#pragma pop_macro("flag")
#pragma pop_macro("follow")
#pragma pop_macro("follower")
#pragma pop_macro("force_ownership")
#pragma pop_macro("forever")
#pragma pop_macro("generic_category")
#pragma pop_macro("get")
#pragma pop_macro("grown")
#pragma pop_macro("guard_begins")
#pragma pop_macro("guard_ends")
#pragma pop_macro("has_records")
#pragma pop_macro("has_value")
#pragma pop_macro("huge_pages")
#pragma pop_macro("in_place")
#pragma pop_macro("in_time")
#pragma pop_macro("interrupt")
#pragma pop_macro("interruptible")
#pragma pop_macro("invoke")
#pragma pop_macro("is_forever")
#pragma pop_macro("is_lossless")
#pragma pop_macro("is_owner")
#pragma pop_macro("is_poisoned")
#pragma pop_macro("is_removed")
#pragma pop_macro("iterator")
#pragma pop_macro("judge")
#pragma pop_macro("judge_member")
#pragma pop_macro("judge_members")
#pragma pop_macro("kept_since")
#pragma pop_macro("key")
#pragma pop_macro("key_of")
#pragma pop_macro("last")
#pragma pop_macro("list_members")
#pragma pop_macro("lock")
#pragma pop_macro("lock_in_memory")
#pragma pop_macro("lock_name")
#pragma pop_macro("log_sink")
#pragma pop_macro("lossless")
#pragma pop_macro("make_error_code")
#pragma pop_macro("mark")
#pragma pop_macro("memcpy")
#pragma pop_macro("message")
#pragma pop_macro("mode")
#pragma pop_macro("move")
#pragma pop_macro("name")
#pragma pop_macro("never")
#pragma pop_macro("next")
#pragma pop_macro("next_for")
#pragma pop_macro("next_many")
#pragma pop_macro("next_record")
#pragma pop_macro("next_until_removed")
#pragma pop_macro("none")
#pragma pop_macro("ns")
#pragma pop_macro("observer")
#pragma pop_macro("open_or_create")
#pragma pop_macro("options")
#pragma pop_macro("os_code")
#pragma pop_macro("os_error")
#pragma pop_macro("overwrite_guard")
#pragma pop_macro("overwrite_guard_for")
#pragma pop_macro("own")
#pragma pop_macro("owner")
#pragma pop_macro("parameter_of")
#pragma pop_macro("participants")
#pragma pop_macro("persist")
#pragma pop_macro("position")
#pragma pop_macro("prefault")
#pragma pop_macro("publish")
#pragma pop_macro("push")
#pragma pop_macro("push_back")
#pragma pop_macro("push_for")
#pragma pop_macro("random_key")
#pragma pop_macro("raw")
#pragma pop_macro("read")
#pragma pop_macro("read_at")
#pragma pop_macro("read_for")
#pragma pop_macro("read_guard")
#pragma pop_macro("read_guard_for")
#pragma pop_macro("read_only")
#pragma pop_macro("read_record")
#pragma pop_macro("read_versioned")
#pragma pop_macro("receive")
#pragma pop_macro("reclaim")
#pragma pop_macro("records")
#pragma pop_macro("register_follower")
#pragma pop_macro("release")
#pragma pop_macro("remove")
#pragma pop_macro("replace_stale")
#pragma pop_macro("reserve")
#pragma pop_macro("reset")
#pragma pop_macro("resize")
#pragma pop_macro("resume_waits")
#pragma pop_macro("roll_back")
#pragma pop_macro("room")
#pragma pop_macro("rwlock")
#pragma pop_macro("schema")
#pragma pop_macro("schema_of")
#pragma pop_macro("see_parameter")
#pragma pop_macro("segment")
#pragma pop_macro("semaphore")
#pragma pop_macro("seqlock")
#pragma pop_macro("set_timeout")
#pragma pop_macro("size")
#pragma pop_macro("size_of")
#pragma pop_macro("slots")
#pragma pop_macro("status")
#pragma pop_macro("status_message")
#pragma pop_macro("stop_waits")
#pragma pop_macro("storage")
#pragma pop_macro("string_view")
#pragma pop_macro("system_error")
#pragma pop_macro("tag")
#pragma pop_macro("take")
#pragma pop_macro("take_ownership")
#pragma pop_macro("terminated")
#pragma pop_macro("timeout")
#pragma pop_macro("try_next")
#pragma pop_macro("try_overwrite_guard")
#pragma pop_macro("try_read")
#pragma pop_macro("try_read_guard")
#pragma pop_macro("try_write")
#pragma pop_macro("try_write_guard")
#pragma pop_macro("unregister_follower")
#pragma pop_macro("unseen")
#pragma pop_macro("update")
#pragma pop_macro("update_for")
#pragma pop_macro("value")
#pragma pop_macro("value_or")
#pragma pop_macro("value_read_guard")
#pragma pop_macro("value_write_guard")
#pragma pop_macro("version")
#pragma pop_macro("visible_members")
#pragma pop_macro("wait")
#pragma pop_macro("wait_changed")
#pragma pop_macro("wait_changed_for")
#pragma pop_macro("wait_for")
#pragma pop_macro("wait_set")
#pragma pop_macro("was_created")
#pragma pop_macro("what")
#pragma pop_macro("whole_members")
#pragma pop_macro("write")
#pragma pop_macro("write_at")
#pragma pop_macro("write_for")
#pragma pop_macro("write_guard")
#pragma pop_macro("write_guard_for")
#endif // C++17 with exceptions

#endif // NEOCORTEX_HPP
