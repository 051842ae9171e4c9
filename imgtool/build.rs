//! Builds the guest's PID 1, a static program that imgtool carries, and gives its path to
//! `include_bytes!(env!("IMGTOOL_INIT"))`.
//!
//! Its bytes depend on its sources, `Cargo.lock` and the compiler, and on nothing else: not on
//! where the checkout is, nor on flags meant for imgtool itself.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Variables of the outer cargo that would change the inner one: its flags, its target directory,
/// and the wrappers that clippy and its like put in the compiler's place.
const OUTER: [&str; 14] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "CARGO_MAKEFLAGS",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "MAKEFLAGS",
    "MFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
];

fn main() -> Result<(), String> {
    let manifest_directory = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = manifest_directory
        .parent()
        .ok_or("imgtool is not in a workspace")?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    for path in [
        "init/src",
        "init/Cargo.toml",
        "../Cargo.toml",
        "../Cargo.lock",
        "build.rs",
    ] {
        println!(
            "cargo:rerun-if-changed={}",
            manifest_directory.join(path).display()
        );
    }

    let target_directory = out.join("guest");
    let mut cargo = Command::new(variable("CARGO")?);
    // The directory decides which .cargo/config.toml is read: the workspace's, as outside.
    cargo
        .current_dir(workspace)
        .args(["build", "--locked", "--profile", "guest"]);
    cargo.args([
        "--target",
        TARGET,
        "--package",
        "imgtool-init",
        "--bin",
        "imgtool-init",
    ]);
    cargo.args([
        "--no-default-features",
        "--features",
        "guest",
        "--target-dir",
    ]);
    cargo.arg(&target_directory);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        // What the user set for profiles and targets in the environment is not for the guest.
        let outer = OUTER.contains(&text.as_ref())
            || text.starts_with("CARGO_PROFILE_")
            || text.starts_with("CARGO_TARGET_")
            || text.starts_with("CARGO_FEATURE_")
            || text.starts_with("CARGO_CFG_")
            || text.starts_with("CARGO_LLVM_COV");
        if outer {
            cargo.env_remove(&name);
        }
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(workspace)?);

    let output = cargo
        .output()
        .map_err(|error| format!("can't run cargo: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the guest's init does not build:\n{text}"));
    }
    let built = target_directory.join(TARGET).join("guest/imgtool-init");
    println!("cargo:rustc-env=IMGTOOL_INIT={}", built.display());
    Ok(())
}

/// A static program, without the paths of this machine.
fn flags(workspace: &Path) -> Result<OsString, String> {
    let rustc = variable("RUSTC")?;
    let sysroot = Command::new(&rustc)
        .args(["--print", "sysroot"])
        .output()
        .map_err(|error| format!("can't run {}: {error}", rustc.display()))?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .ok_or("neither CARGO_HOME nor HOME is set")?;
    let mut flags = OsString::from("-Ctarget-feature=+crt-static");
    for (from, to) in [
        (workspace.as_os_str(), "/imgtool"),
        (cargo_home.as_os_str(), "/cargo"),
        (sysroot.as_ref(), "/rust"),
    ] {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo does not set {name}"))
}
