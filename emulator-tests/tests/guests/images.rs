//! Images of what `.ci/setup --test` and `just hello` make.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout.
fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file that setting up or building makes. Without it a test is skipped with a report; CI has
/// to have it.
pub fn made(path: &str, by: &str) -> Option<PathBuf> {
    let path = checkout().join(path);
    if path.exists() {
        return Some(path);
    }
    let why = format!("{} is missing; {by} makes it", path.display());
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
    None
}

/// `imgtool`, as built by the recipe that runs the tests.
fn imgtool() -> Option<PathBuf> {
    made(".imgtool/config.toml", ".ci/setup")?;
    made("target/release/imgtool", "`just build`")
}

/// Builds an image from `input`, with more arguments after that.
pub fn build(input: &Path, out: &Path, arguments: &[&str]) -> Option<()> {
    let done = Command::new(imgtool()?)
        .current_dir(checkout())
        .arg("build")
        .arg(input)
        .arg("-o")
        .arg(out)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "imgtool build: {said}");
    Some(())
}
