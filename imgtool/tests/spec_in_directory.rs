//! Without an input, the command line takes the image.toml of the working directory.

// Clippy lets tests do this, but not the functions that they share.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

/// The exit code of `imgtool plan`, and what it said.
fn plan(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    Command::new(env!("CARGO_BIN_EXE_imgtool"))
        .arg("plan")
        .args(arguments)
        .args(["--kernel", "kernel", "--stub", "stub"])
        .current_dir(directory)
        .output()
        .map(|output| {
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.code(), message)
        })
        .unwrap_or_else(|error| (None, error.to_string()))
}

#[test]
fn image_toml_here_is_taken_only_if_nothing_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let (code, message) = plan(directory.path(), &[]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("no input"), "{message}");

    std::fs::write(directory.path().join("image.toml"), "input = \"theirs\"\n").unwrap();
    let (code, message) = plan(directory.path(), &[]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("theirs: can't be read"), "{message}");

    let (code, message) = plan(directory.path(), &["mine"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("mine: can't be read"), "{message}");
}
