//! Gives the shared library its SONAME: cargo gives it none, and without one a program would ask for
//! the file that it was linked with.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // As ACTIONPROXY_ABI_VERSION and the metadata for cargo-c; a test compares them.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libactionproxy.so.1");
}
