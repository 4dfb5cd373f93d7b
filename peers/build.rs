//! Compiles the peers that are C and C++. Without Boost's headers its columns say so.

fn main() {
    println!("cargo::rerun-if-changed=c");
    println!("cargo::rustc-check-cfg=cfg(boost)");
    cc::Build::new()
        .files(["c/peers.c", "c/ring.c"])
        .std("gnu11")
        .opt_level(2)
        // Or a loop of a nanosecond takes twice as long in one build as in the next.
        .flag_if_supported("-falign-functions=64")
        .flag_if_supported("-falign-loops=64")
        .compile("peers_c");
    println!("cargo::rustc-link-lib=rt");

    println!("cargo::rerun-if-changed=/usr/include/boost/version.hpp");
    let boost = cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .warnings(false)
        .cargo_warnings(false)
        .file("c/boost.cpp")
        .try_compile("peers_boost");
    if boost.is_ok() {
        println!("cargo::rustc-cfg=boost");
    }
}
