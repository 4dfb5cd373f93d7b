//! Keeping the shared object that this code is in from being unloaded (`dlclose(3)`).
//!
//! What it leaves with the process cannot be taken back at the right moment: a thread key that some thread may still
//! have a value for, and the page of [`super::fork`]. So the object stays, once it has been used, and the next
//! `dlopen(3)` finds it as it was. That may be `libneocortex.so`, or a plugin that has the crate or the static library
//! in it.
//!
//! musl never unloads anything; a system without `RTLD_NODELETE` is not covered.

/// Makes the system keep the object. A program is not one, and stays anyway.
#[cfg(any(
    all(target_os = "linux", target_env = "gnu"),
    target_vendor = "apple",
    target_os = "freebsd"
))]
pub(super) fn stay() {
    let code: fn() = stay;
    // SAFETY: Dl_info is plain old data; all zeros is one of its values.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address, and a live place for the answer.
    let is_found = unsafe { libc::dladdr(code as *const libc::c_void, &mut info) } != 0;
    if !is_found || info.dli_fname.is_null() || is_program(info.dli_fbase as usize) {
        return;
    }
    // SAFETY: the name of an object that is loaded, as a C string; NOLOAD finds it and loads nothing. The handle is
    // kept for ever: the count alone would keep the object, but for a host that closes more often than it opens.
    unsafe {
        libc::dlopen(
            info.dli_fname,
            libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE,
        )
    };
}

#[cfg(not(any(
    all(target_os = "linux", target_env = "gnu"),
    target_vendor = "apple",
    target_os = "freebsd"
)))]
pub(super) fn stay() {}

/// Returns whether the object that begins here is the program itself, where that can be told: its program headers,
/// which the kernel names (`getauxval(3)`), are at its beginning.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn is_program(base: usize) -> bool {
    // SAFETY: getauxval(3) takes no pointers.
    let headers = unsafe { libc::getauxval(libc::AT_PHDR) } as usize;
    headers.checked_sub(base).is_some_and(|from| from < 4096)
}

#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
fn is_program(_base: usize) -> bool {
    false
}
