/// \file neocortex.hpp
/// \brief Share a value between processes: the C++17 layer over `neocortex.h`.
///
/// Header only; link `-lneocortex`. What each call means to *other* processes is said in
/// `neocortex.h`; here stands what C++ adds:
///
/// - neocortex::cortex "cortex<T>" shares one trivially copyable value, neocortex::segment shares
///   bytes, neocortex::observer "observer<T>" looks on through a read-only mapping;
/// - guards are move-only and roll back: one that is destroyed without `commit()`, by an exception
///   or otherwise, changed nothing (in-place layout: the value is poisoned, it cannot be undone);
/// - failures are neocortex::error, a `std::system_error` that carries the status, the operating
///   system's error and the library's message;
/// - time-outs are `std::chrono` durations, see neocortex::timeout.
///
/// \code{.cpp}
/// auto writer = neocortex::cortex<double>::create(123, 42.0);
/// auto reader = neocortex::cortex<double>::attach(123);       // in another process, usually
/// writer.update([](double &value) { value += 1.0; });
/// assert(reader.read() == 43.0);
/// \endcode
///
/// **Threads.** One object may be used by several threads at once, except against its destruction,
/// moves, and whatever is marked *changes the handle* (`set_timeout`, the `try_` functions). A guard
/// ends on the thread that began it and must not outlive its segment.
///
/// **Fork.** A child may go on using an inherited object; destroying it there removes nothing.
///
/// **Exceptions.** No destructor throws. A moved-from object may be destroyed or assigned to; any
/// other use of it throws neocortex::error with status::invalid_argument.

#ifndef NEOCORTEX_HPP
#define NEOCORTEX_HPP

#include "neocortex.h"

#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace neocortex {

// ---------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------

/// The statuses of `neocortex.h`. The values are fixed for ever; a newer library may return others.
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
};

/// What a status means, in English. Never null, whatever the number.
[[nodiscard]] inline const char *status_message(int value) noexcept { return neocortex_strerror(value); }
/// What a status means, in English.
[[nodiscard]] inline const char *status_message(status value) noexcept {
  return neocortex_strerror(static_cast<int>(value));
}

namespace detail {

class status_category final : public std::error_category {
public:
  [[nodiscard]] const char *name() const noexcept override { return "neocortex"; }

  [[nodiscard]] std::string message(int value) const override { return neocortex_strerror(value); }

  // So that `e.code() == std::errc::timed_out` says what one expects.
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

/// The category of every neocortex::status as a `std::error_code`.
[[nodiscard]] inline const std::error_category &category() noexcept {
  static const detail::status_category instance;
  return instance;
}

/// Lets a neocortex::status stand where a `std::error_code` is expected.
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
    // Asked first: nothing may come between the failure and these.
    const bool kept = neocortex_last_status() == value;
    const char *message = kept ? neocortex_last_message() : nullptr;
    const int os_error = kept ? neocortex_last_os_error() : 0;
    const int custom = value == NEOCORTEX_ERR_CUSTOM ? neocortex_last_custom() : 0;
    const bool has_text = message != nullptr && *message != '\0';
    return {static_cast<neocortex::status>(value), has_text ? message : neocortex_strerror(value), os_error, custom};
  }

  /// A failure found in this layer, without a call.
  error(neocortex::status value, const std::string &message, int os_error = 0, int custom = 0)
      : std::system_error(make_error_code(value)), text_(message), os_error_(os_error), custom_(custom) {}

  /// Which refusal or failure it was.
  [[nodiscard]] neocortex::status status() const noexcept {
    return static_cast<neocortex::status>(code().value());
  }

  /// `errno` of the system call that failed, 0 if it was not one.
  [[nodiscard]] int os_error() const noexcept { return os_error_; }

  /// os_error() as a code, to compare with `std::errc`: `e.os_code() == std::errc::file_exists`.
  [[nodiscard]] std::error_code os_code() const noexcept { return {os_error_, std::generic_category()}; }

  /// What a user's lock returned, 0 unless status() is status::custom.
  [[nodiscard]] int custom() const noexcept { return custom_; }

  /// The library's message.
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

} // namespace detail

// ---------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------

/// How long to wait: any `std::chrono` duration, or timeout::forever().
///
/// A duration that is zero, negative or not a number means "do not wait": what is left until a
/// deadline may be passed as it is. One longer than 292 years is cut to that. Fractions of a
/// nanosecond are rounded up.
class timeout {
public:
  /// \param duration  The longest time to wait.
  template <class Rep, class Period>
  constexpr timeout(std::chrono::duration<Rep, Period> duration) noexcept // NOLINT: implicit on purpose
      : ns_(convert(duration)) {}

  /// Waits until it happens.
  [[nodiscard]] static constexpr timeout forever() noexcept { return timeout(std::int64_t{NEOCORTEX_FOREVER}); }

  /// Does not wait at all.
  [[nodiscard]] static constexpr timeout never() noexcept { return timeout(std::int64_t{NEOCORTEX_TRY}); }

  /// As the C functions take it.
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

/// A lock to choose: a built-in one, or a table of your own (see `neocortex_lock_ops`).
using lock_ops = neocortex_lock_ops;

/// Readers never wait and store nothing. The default.
[[nodiscard]] inline const lock_ops *seqlock() noexcept { return neocortex_lock_seqlock(); }
/// Readers share, writers exclude: for zero-copy read guards and large values.
[[nodiscard]] inline const lock_ops *rwlock() noexcept { return neocortex_lock_rwlock(); }
/// Everybody excludes everybody.
[[nodiscard]] inline const lock_ops *semaphore() noexcept { return neocortex_lock_semaphore(); }

/// How to create or attach; each function returns the object, so that calls chain.
///
/// \code{.cpp}
/// auto c = neocortex::cortex<float>::create(key, 0.0F, neocortex::options().mode(0660).schema(7));
/// \endcode
class options {
public:
  options() noexcept = default;

  /// Permission bits of every kernel object made, whatever the umask. Default 0600.
  options &mode(std::uint32_t bits) noexcept { raw_.mode = bits; return *this; }
  /// A number of your own that attaching compares. Default 0: none.
  options &schema(std::uint64_t number) noexcept { raw_.schema = number; return *this; }
  /// How many participants may be attached at once. Default 128.
  options &participants(std::uint32_t limit) noexcept { raw_.participants = limit; return *this; }
  /// Alignment of the payload in bytes, a power of two. Default 64.
  options &align(std::uint32_t bytes) noexcept { raw_.align = bytes; return *this; }
  /// How many copies of the value, 2 to 8. More let readers of large values keep up with a busy writer.
  options &slots(std::uint32_t count) noexcept { raw_.slots = count; return *this; }
  /// The lock; the table is copied, its `ctx` stays yours. Attach without one: what the segment says.
  options &lock(const lock_ops *table) noexcept { raw_.lock = table; return *this; }

  /// The longest wait of every call through this handle. Default: for ever.
  options &wait(timeout longest) noexcept {
    raw_.timeout_ns = longest.ns();
    // In `neocortex_options` a 0 is the default, "for ever"; not waiting is said with a flag.
    return flag(NEOCORTEX_NEVER_WAIT, longest.ns() == NEOCORTEX_TRY);
  }

  /// One slot, edited where it lies; a write that does not end poisons the value.
  options &in_place(bool on = true) noexcept { return flag(NEOCORTEX_IN_PLACE, on); }
  /// If it exists already, attach and become its owner.
  options &force_ownership(bool on = true) noexcept { return flag(NEOCORTEX_FORCE_OWNERSHIP, on); }
  /// If it exists already and nobody is alive on it, make it anew.
  options &replace_stale(bool on = true) noexcept { return flag(NEOCORTEX_REPLACE_STALE, on); }
  /// Closing does not remove.
  options &persist(bool on = true) noexcept { return flag(NEOCORTEX_PERSIST, on); }
  /// Attach: a read-only mapping, no lock, no place among the participants.
  options &read_only(bool on = true) noexcept { return flag(NEOCORTEX_READ_ONLY, on); }
  /// Create: choose a free key; `key()` tells it.
  options &random_key(bool on = true) noexcept { return flag(NEOCORTEX_RANDOM_KEY, on); }

  /// As the C functions take it.
  [[nodiscard]] const neocortex_options &raw() const noexcept { return raw_; }

  /// The time-out that these options mean.
  [[nodiscard]] std::int64_t timeout_ns() const noexcept {
    if ((raw_.flags & static_cast<std::uint32_t>(NEOCORTEX_NEVER_WAIT)) != 0) {
      return NEOCORTEX_TRY;
    }
    return raw_.timeout_ns == 0 ? std::int64_t{NEOCORTEX_FOREVER} : raw_.timeout_ns;
  }

private:
  template <class Flag> options &flag(Flag bit, bool on) noexcept {
    const auto mask = static_cast<std::uint32_t>(bit);
    raw_.flags = on ? (raw_.flags | mask) : (raw_.flags & ~mask);
    return *this;
  }

  neocortex_options raw_ = NEOCORTEX_OPTIONS_INIT;
};

/// How many participants are attached, and how many may be.
struct participants {
  std::uint32_t alive;
  std::uint32_t limit;
};

// ---------------------------------------------------------------------------------------------
// Guards over bytes
// ---------------------------------------------------------------------------------------------

namespace detail {

struct closer {
  // A failure cannot be thrown from here; the library logs it. BUSY, which is a guard that outlives
  // its segment, keeps the handle open: the guard stays valid, the segment stays attached.
  void operator()(neocortex_segment *handle) const noexcept {
    const neocortex_status closed = neocortex_close(handle);
    assert(closed != NEOCORTEX_ERR_BUSY && "a neocortex guard outlives its segment");
    static_cast<void>(closed);
  }
};

using handle = std::unique_ptr<neocortex_segment, closer>;

} // namespace detail

/// Holds the value still for reading, without copying it. Ends with the object.
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

  /// The value's bytes, valid until the guard ends.
  [[nodiscard]] const std::byte *data() const noexcept { return static_cast<const std::byte *>(data_); }
  /// How many bytes.
  [[nodiscard]] std::size_t size() const noexcept { return neocortex_size(handle_); }
  /// Whether the guard still holds.
  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }

  /// Ends the guard now. Unlike the destructor it reports a failure.
  void end() {
    neocortex_segment *held = std::exchange(handle_, nullptr);
    data_ = nullptr;
    detail::check(neocortex_read_end(held));
  }

private:
  friend class segment;
  read_guard(neocortex_segment *held, const void *data) noexcept : handle_(held), data_(data) {}

  void release() noexcept {
    if (handle_ != nullptr) {
      static_cast<void>(neocortex_read_end(std::exchange(handle_, nullptr)));
      data_ = nullptr;
    }
  }

  neocortex_segment *handle_;
  const void *data_;
};

/// Holds the value for writing. Nothing happens to it unless commit() or publish() is called.
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

  /// Where to write. Holds the current value at first; after publish() it is unspecified and may lie elsewhere.
  [[nodiscard]] std::byte *data() const noexcept { return static_cast<std::byte *>(data_); }
  /// How many bytes.
  [[nodiscard]] std::size_t size() const noexcept { return neocortex_size(handle_); }
  /// Whether the guard still holds.
  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }

  /// Makes what was written the value, and ends the guard.
  void commit() {
    neocortex_segment *held = std::exchange(handle_, nullptr);
    data_ = nullptr;
    const neocortex_status committed = neocortex_write_commit(held);
    if (committed != NEOCORTEX_OK) {
      const error failure = error::last(committed);
      static_cast<void>(neocortex_write_abort(held)); // harmless if the guard has ended
      throw failure;
    }
  }

  /// Makes what was written the value and goes on holding. Then data() is where the next value goes.
  void publish() {
    void *next = nullptr;
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
    detail::check(neocortex_write_abort(held));
  }

private:
  friend class segment;
  write_guard(neocortex_segment *held, void *data) noexcept : handle_(held), data_(data) {}

  void roll_back() noexcept {
    if (handle_ != nullptr) {
      static_cast<void>(neocortex_write_abort(std::exchange(handle_, nullptr)));
      data_ = nullptr;
    }
  }

  neocortex_segment *handle_;
  void *data_;
};

// ---------------------------------------------------------------------------------------------
// Bytes
// ---------------------------------------------------------------------------------------------

/// Bytes that several processes share. Move-only; the destructor closes, and removes if is_owner().
class segment {
public:
  /// Makes a segment of `size` zero bytes.
  ///
  /// \param key   Not 0, unless options::random_key() is asked for.
  /// \param size  At least 1.
  /// \param with  How to make it.
  /// \throws error  clean_system with `EEXIST` when the key is taken, and whatever `neocortex_create` returns.
  [[nodiscard]] static segment create(std::int32_t key, std::size_t size, const options &with = options()) {
    return {detail::check(neocortex_create(key, size, &with.raw())), with.timeout_ns()};
  }

  /// Makes a segment of `size` zero bytes under a key that the library chooses; see key().
  [[nodiscard]] static segment create_with_random_key(std::size_t size, options with = options()) {
    with.random_key();
    return create(0, size, with);
  }

  /// Attaches to a segment that exists.
  ///
  /// \param key   Its key.
  /// \param size  What it must have; 0 for whatever it has.
  /// \param with  How to attach: schema, lock, time-out.
  /// \throws error  clean_system with `ENOENT` when there is none, not_a_cortex, layout, lock, …
  [[nodiscard]] static segment attach(std::int32_t key, std::size_t size = 0, const options &with = options()) {
    return {detail::check(neocortex_attach_with(key, size, &with.raw())), with.timeout_ns()};
  }

  /// Takes over a handle of the C interface, which must be open and its time-out the one given.
  [[nodiscard]] static segment adopt(neocortex_segment *raw, timeout current = timeout::forever()) {
    if (raw == nullptr) {
      throw error(status::invalid_argument, "adopt a segment: the handle is null");
    }
    return {raw, current.ns()};
  }

  segment(segment &&) noexcept = default;
  segment &operator=(segment &&) noexcept = default;
  segment(const segment &) = delete;
  segment &operator=(const segment &) = delete;
  ~segment() = default;

  /// Closes now. Unlike the destructor it reports a failure: busy while a guard is held, and then it is
  /// still open.
  void close() {
    const neocortex_status closed = neocortex_close(handle_.get());
    if (closed != NEOCORTEX_ERR_BUSY) {
      static_cast<void>(handle_.release()); // any other outcome has ended the handle
    }
    detail::check(closed);
  }

  // --- Copying ---

  /// Copies the first `length` bytes out. What the buffer holds after a failure: neocortex_read().
  void read(void *buffer, std::size_t length) const { detail::check(neocortex_read(raw(), buffer, length)); }
  /// Copies `length` bytes out, from `offset`.
  void read_at(std::size_t offset, void *buffer, std::size_t length) const {
    detail::check(neocortex_read_at(raw(), offset, buffer, length));
  }
  /// Copies all bytes out.
  [[nodiscard]] std::vector<std::byte> read() const {
    std::vector<std::byte> bytes(size());
    detail::check(neocortex_read(raw(), bytes.data(), bytes.size()));
    return bytes;
  }
  /// Replaces the first `length` bytes, as one commit.
  void write(const void *data, std::size_t length) { detail::check(neocortex_write(raw(), data, length)); }
  /// Replaces `length` bytes from `offset`, as one commit.
  void write_at(std::size_t offset, const void *data, std::size_t length) {
    detail::check(neocortex_write_at(raw(), offset, data, length));
  }

  /// Like read(), but does not wait: false if it would have to. Changes the handle.
  [[nodiscard]] bool try_read(void *buffer, std::size_t length) {
    return tried([&] { return neocortex_read(raw(), buffer, length); });
  }
  /// Like write(), but does not wait: false if it would have to. Changes the handle.
  [[nodiscard]] bool try_write(const void *data, std::size_t length) {
    return tried([&] { return neocortex_write(raw(), data, length); });
  }

  // --- Without copying ---

  /// Holds the value still for reading.
  [[nodiscard]] neocortex::read_guard read_guard() const {
    const void *data = nullptr;
    detail::check(neocortex_read_begin(raw(), &data));
    return {raw(), data};
  }
  /// Holds the value for writing.
  [[nodiscard]] neocortex::write_guard write_guard() {
    void *data = nullptr;
    detail::check(neocortex_write_begin(raw(), &data));
    return {raw(), data};
  }
  /// Like read_guard(), but does not wait: empty if it would have to. Changes the handle.
  [[nodiscard]] std::optional<neocortex::read_guard> try_read_guard() {
    const void *data = nullptr;
    if (!tried([&] { return neocortex_read_begin(raw(), &data); })) {
      return std::nullopt;
    }
    return neocortex::read_guard(raw(), data);
  }
  /// Like write_guard(), but does not wait: empty if it would have to. Changes the handle.
  [[nodiscard]] std::optional<neocortex::write_guard> try_write_guard() {
    void *data = nullptr;
    if (!tried([&] { return neocortex_write_begin(raw(), &data); })) {
      return std::nullopt;
    }
    return neocortex::write_guard(raw(), data);
  }

  // --- Waiting ---

  /// How many commits there have been; 0 before the first.
  [[nodiscard]] std::uint64_t version() const noexcept { return neocortex_commit_count(raw()); }

  /// Waits until version() is not `since` any more, and returns it.
  ///
  /// \throws error  removed when the segment is removed meanwhile, interrupted after interrupt().
  std::uint64_t wait_changed(std::uint64_t since) const {
    std::uint64_t count = since;
    detail::check(neocortex_wait(raw(), since, NEOCORTEX_FOREVER, &count));
    return count;
  }
  /// Like wait_changed(), but not longer than `longest`: then it returns nothing.
  [[nodiscard]] std::optional<std::uint64_t> wait_changed_for(std::uint64_t since, timeout longest) const {
    std::uint64_t count = since;
    const neocortex_status waited = neocortex_wait(raw(), since, longest.ns(), &count);
    if (waited == NEOCORTEX_ERR_TIMEOUT) {
      return std::nullopt;
    }
    detail::check(waited);
    return count;
  }

  /// Ends the waits through this object with status::interrupted. May be called from a signal handler.
  void interrupt() const noexcept { static_cast<void>(neocortex_interrupt(raw())); }

  /// The longest wait of every later call through this object, but wait_changed(). Changes the handle.
  void set_timeout(timeout longest) {
    detail::check(neocortex_set_timeout(raw(), longest.ns()));
    timeout_ns_ = longest.ns();
  }

  // --- What it is ---

  [[nodiscard]] std::int32_t key() const noexcept { return neocortex_key(raw()); }
  [[nodiscard]] std::size_t size() const noexcept { return neocortex_size(raw()); }
  [[nodiscard]] std::uint64_t schema() const noexcept { return neocortex_schema(raw()); }
  /// The name of its lock; valid while the object is.
  [[nodiscard]] std::string_view lock_name() const noexcept {
    const char *name = neocortex_lock_name(raw());
    return name == nullptr ? std::string_view() : std::string_view(name);
  }
  /// Whether closing this object removes the segment.
  [[nodiscard]] bool is_owner() const noexcept { return neocortex_is_owner(raw()); }
  /// Whether create() made it, rather than finding it (options::force_ownership()).
  [[nodiscard]] bool was_created() const noexcept { return neocortex_was_created(raw()); }
  /// In-place layout: whether a write did not end.
  [[nodiscard]] bool is_poisoned() const noexcept { return neocortex_is_poisoned(raw()); }
  /// Whether its key no longer leads to it.
  [[nodiscard]] bool is_removed() const noexcept { return neocortex_is_removed(raw()); }
  [[nodiscard]] neocortex::participants participants() const {
    neocortex::participants found{0, 0};
    detail::check(neocortex_participants(raw(), &found.alive, &found.limit));
    return found;
  }
  /// Whether there is a handle: false only after close() or being moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }

  /// Declares the bytes of a poisoned segment to be its value.
  void clear_poison() { detail::check(neocortex_clear_poison(raw())); }
  /// Closing no longer removes.
  void persist() { detail::check(neocortex_persist(raw())); }

  /// The handle of the C interface; it stays this object's.
  [[nodiscard]] neocortex_segment *raw() const noexcept { return handle_.get(); }

private:
  segment(neocortex_segment *handle, std::int64_t timeout_ns) noexcept : handle_(handle), timeout_ns_(timeout_ns) {}

  // The C interface keeps the time-out in the handle: for one call it is set aside.
  template <class Call> bool tried(Call call) {
    detail::check(neocortex_set_timeout(raw(), NEOCORTEX_TRY));
    const neocortex_status outcome = call();
    if (outcome != NEOCORTEX_OK && outcome != NEOCORTEX_ERR_TIMEOUT) {
      const error failure = error::last(outcome);
      static_cast<void>(neocortex_set_timeout(raw(), timeout_ns_));
      throw failure;
    }
    static_cast<void>(neocortex_set_timeout(raw(), timeout_ns_));
    return outcome == NEOCORTEX_OK;
  }

  detail::handle handle_;
  std::int64_t timeout_ns_;
};

// ---------------------------------------------------------------------------------------------
// Values
// ---------------------------------------------------------------------------------------------

namespace detail {

// What a shared type must be, in one place.
template <class T> struct shared_type {
  static_assert(std::is_object_v<T>, "neocortex shares objects: not references, functions or void");
  static_assert(!std::is_const_v<T> && !std::is_volatile_v<T>, "neocortex: share a plain T, not const or volatile");
  static_assert(std::is_trivially_copyable_v<T>,
                "neocortex shares bytes: T must be trivially copyable (no std::string, no virtual functions)");
  static_assert(!std::is_pointer_v<T> && !std::is_member_pointer_v<T>,
                "neocortex: a pointer means nothing in another process");
  static_assert(!std::is_array_v<T>, "neocortex: share a std::array or a struct in place of a plain array");

  static constexpr std::size_t default_align = 64;

  // The segment's alignment is at least T's, and attaching compares it.
  static options aligned(options with) noexcept {
    if constexpr (alignof(T) > default_align) {
      if (with.raw().align < alignof(T)) {
        with.align(static_cast<std::uint32_t>(alignof(T)));
      }
    }
    return with;
  }

  // Room for a T that need not have a default constructor.
  union room {
    char none;
    T value;
    room() noexcept : none() {}
  };
};

} // namespace detail

/// Holds a T still for reading, without copying it. Ends with the object.
template <class T> class value_read_guard {
public:
  [[nodiscard]] const T &operator*() const noexcept { return *get(); }
  [[nodiscard]] const T *operator->() const noexcept { return get(); }
  [[nodiscard]] const T *get() const noexcept { return reinterpret_cast<const T *>(bytes_.data()); }
  /// Whether the guard still holds.
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

/// Holds a T for writing. Nothing happens to it unless commit() or publish() is called.
template <class T> class value_write_guard {
public:
  [[nodiscard]] T &operator*() const noexcept { return *get(); }
  [[nodiscard]] T *operator->() const noexcept { return get(); }
  [[nodiscard]] T *get() const noexcept { return reinterpret_cast<T *>(bytes_.data()); }
  /// Whether the guard still holds.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(bytes_); }

  /// \copydoc write_guard::commit
  void commit() { bytes_.commit(); }
  /// Commits and goes on holding. Then the guard's T is unspecified, and may lie elsewhere: assign all of it.
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

/// One value of type T that several processes share.
///
/// T is trivially copyable and holds no pointers. If not every pattern of bytes is a T (`bool`, enums),
/// every program that writes must be trusted to write only those that are: C++ has no way to check.
///
/// Move-only; the destructor closes, and removes if is_owner().
template <class T> class cortex : private detail::shared_type<T> {
  using type = detail::shared_type<T>;

public:
  using value_type = T;

  /// Makes a cortex whose bytes are zero and whose version is 0.
  ///
  /// \param key   Not 0, unless options::random_key() is asked for.
  /// \param with  How to make it.
  [[nodiscard]] static cortex create(std::int32_t key, const options &with = options()) {
    return cortex(segment::create(key, sizeof(T), type::aligned(with)));
  }

  /// Makes a cortex and commits `initial`, so that version() is 1.
  ///
  /// Who attaches in between sees zero bytes at version 0; `wait_changed(0)` waits for `initial`. A cortex
  /// that was found (options::force_ownership()) keeps the value that it has.
  [[nodiscard]] static cortex create(std::int32_t key, const T &initial, const options &with = options()) {
    cortex made = create(key, with);
    if (made.was_created()) {
      made.write(initial);
    }
    return made;
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

  cortex(cortex &&) noexcept = default;
  cortex &operator=(cortex &&) noexcept = default;
  cortex(const cortex &) = delete;
  cortex &operator=(const cortex &) = delete;
  ~cortex() = default;

  /// \copydoc segment::close
  void close() { bytes_.close(); }

  /// A copy of the last committed value.
  [[nodiscard]] T read() const {
    typename type::room copied;
    bytes_.read(std::addressof(copied.value), sizeof(T));
    return copied.value;
  }
  /// Replaces the value.
  void write(const T &value) { bytes_.write(std::addressof(value), sizeof(T)); }
  /// Replaces the value by `value` and says what it was: nobody writes in between.
  T exchange(const T &value) {
    value_write_guard<T> guard = write_guard();
    const T before = *guard;
    *guard = value;
    guard.commit();
    return before;
  }

  /// Changes the value in place, with nobody writing in between, and commits.
  ///
  /// \param change  Called once with a `T &`. If it throws, nothing happened (in place: poisoned).
  /// \returns What `change` returned.
  template <class Change> decltype(auto) update(Change &&change) {
    using result = std::invoke_result_t<Change, T &>;
    static_assert(!std::is_reference_v<result>, "neocortex: what update() returns must outlive the guard");
    value_write_guard<T> guard = write_guard();
    if constexpr (std::is_void_v<result>) {
      std::invoke(std::forward<Change>(change), *guard);
      guard.commit();
    } else {
      result outcome = std::invoke(std::forward<Change>(change), *guard);
      guard.commit();
      return outcome;
    }
  }

  /// Like read(), but does not wait: empty if it would have to. Changes the handle.
  [[nodiscard]] std::optional<T> try_read() {
    typename type::room copied;
    if (!bytes_.try_read(std::addressof(copied.value), sizeof(T))) {
      return std::nullopt;
    }
    return copied.value;
  }
  /// Like write(), but does not wait: false if it would have to. Changes the handle.
  [[nodiscard]] bool try_write(const T &value) { return bytes_.try_write(std::addressof(value), sizeof(T)); }

  /// Holds the value still for reading, without copying it.
  [[nodiscard]] value_read_guard<T> read_guard() const { return value_read_guard<T>(bytes_.read_guard()); }
  /// Holds the value for writing.
  [[nodiscard]] value_write_guard<T> write_guard() { return value_write_guard<T>(bytes_.write_guard()); }
  /// Like read_guard(), but does not wait: empty if it would have to. Changes the handle.
  [[nodiscard]] std::optional<value_read_guard<T>> try_read_guard() {
    auto held = bytes_.try_read_guard();
    return held ? std::optional<value_read_guard<T>>(std::in_place, std::move(*held)) : std::nullopt;
  }
  /// Like write_guard(), but does not wait: empty if it would have to. Changes the handle.
  [[nodiscard]] std::optional<value_write_guard<T>> try_write_guard() {
    auto held = bytes_.try_write_guard();
    return held ? std::optional<value_write_guard<T>>(std::in_place, std::move(*held)) : std::nullopt;
  }

  /// \copydoc segment::version
  [[nodiscard]] std::uint64_t version() const noexcept { return bytes_.version(); }
  /// \copydoc segment::wait_changed
  std::uint64_t wait_changed(std::uint64_t since) const { return bytes_.wait_changed(since); }
  /// \copydoc segment::wait_changed_for
  [[nodiscard]] std::optional<std::uint64_t> wait_changed_for(std::uint64_t since, timeout longest) const {
    return bytes_.wait_changed_for(since, longest);
  }
  /// \copydoc segment::interrupt
  void interrupt() const noexcept { bytes_.interrupt(); }
  /// \copydoc segment::set_timeout
  void set_timeout(timeout longest) { bytes_.set_timeout(longest); }

  [[nodiscard]] std::int32_t key() const noexcept { return bytes_.key(); }
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
  /// Whether there is a handle: false only after close() or being moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(bytes_); }
  /// \copydoc segment::clear_poison
  void clear_poison() { bytes_.clear_poison(); }
  /// \copydoc segment::persist
  void persist() { bytes_.persist(); }

  /// The bytes beneath, for what this class does not have.
  [[nodiscard]] segment &bytes() noexcept { return bytes_; }
  /// \copydoc bytes()
  [[nodiscard]] const segment &bytes() const noexcept { return bytes_; }

private:
  explicit cortex(segment &&bytes) noexcept : bytes_(std::move(bytes)) {}

  segment bytes_;
};

/// Looks on: a read-only mapping, no lock, no place among the participants. It cannot disturb anybody.
template <class T> class observer : private detail::shared_type<T> {
  using type = detail::shared_type<T>;

public:
  using value_type = T;

  /// Attaches to a cortex that exists; permission to read is enough.
  [[nodiscard]] static observer attach(std::int32_t key, options with = options()) {
    with.read_only();
    return observer(segment::attach(key, sizeof(T), type::aligned(with)));
  }

  /// A copy of the last committed value.
  [[nodiscard]] T read() const {
    typename type::room copied;
    bytes_.read(std::addressof(copied.value), sizeof(T));
    return copied.value;
  }

  /// \copydoc segment::version
  [[nodiscard]] std::uint64_t version() const noexcept { return bytes_.version(); }
  /// \copydoc segment::wait_changed
  std::uint64_t wait_changed(std::uint64_t since) const { return bytes_.wait_changed(since); }
  /// \copydoc segment::wait_changed_for
  [[nodiscard]] std::optional<std::uint64_t> wait_changed_for(std::uint64_t since, timeout longest) const {
    return bytes_.wait_changed_for(since, longest);
  }
  /// \copydoc segment::interrupt
  void interrupt() const noexcept { bytes_.interrupt(); }
  /// \copydoc segment::set_timeout
  void set_timeout(timeout longest) { bytes_.set_timeout(longest); }

  [[nodiscard]] std::int32_t key() const noexcept { return bytes_.key(); }
  [[nodiscard]] std::uint64_t schema() const noexcept { return bytes_.schema(); }
  /// \copydoc segment::lock_name
  [[nodiscard]] std::string_view lock_name() const noexcept { return bytes_.lock_name(); }
  /// \copydoc segment::is_poisoned
  [[nodiscard]] bool is_poisoned() const noexcept { return bytes_.is_poisoned(); }
  /// \copydoc segment::is_removed
  [[nodiscard]] bool is_removed() const noexcept { return bytes_.is_removed(); }
  /// Whether there is a handle: false only after being moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(bytes_); }

private:
  explicit observer(segment &&bytes) noexcept : bytes_(std::move(bytes)) {}

  segment bytes_;
};

// ---------------------------------------------------------------------------------------------
// By key, and the library itself
// ---------------------------------------------------------------------------------------------

/// Removes the segment of a key; those attached to it go on until they let go.
inline void remove(std::int32_t key) { detail::check(neocortex_remove(key)); }

/// Removes what dead processes have left of a key.
inline void reclaim(std::int32_t key) { detail::check(neocortex_reclaim(key)); }

/// The version of the library that is linked, such as `"4.0.0"`.
[[nodiscard]] inline std::string_view version() noexcept { return neocortex_version(); }

/// Receives what the library has to say, for as long as it lives. One at a time: the newest receives.
///
/// \code{.cpp}
/// neocortex::log_sink sink([](int level, std::string_view message) { std::clog << message << '\n'; });
/// \endcode
///
/// The callable may be called from any thread, never with one of the library's locks held. What it throws
/// is swallowed. After the destructor it is not running and will not be called. It must not destroy its sink.
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

#endif // NEOCORTEX_HPP
