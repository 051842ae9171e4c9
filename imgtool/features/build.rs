//! Nothing to do: without a build script, Cargo leaves out the dependencies that it would have.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
}
