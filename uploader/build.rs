//! Links `uploader` statically on Linux with glibc: it is the converter's program, too, and its image
//! holds nothing but it.
//!
//! `-C target-feature=+crt-static` would do so, but it is a flag for every crate below as well: cargo
//! compiles all of the AWS SDK a second time for it, and as a default of the workspace it forbids
//! procedural macros. All that it changes, though, is how the program is linked, so that is what is
//! changed here. The linker is told `-static-pie`, and is shown, before all others, a directory with
//! the libraries that rustc names in their static form only.
//!
//! Where there is no static C library, the program is linked as any other, with a warning: all of it
//! works but `uploader converter build` without `--program`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What rustc links a program to besides `libgcc_s`, which is shared only.
const LIBRARIES: [&str; 6] = ["c", "dl", "m", "pthread", "rt", "util"];
/// What has `libgcc_s`'s functions in a static program, and what these need.
const GCC: [&str; 3] = ["gcc_eh", "gcc", "c"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let is_static = features.split(',').any(|it| it == "crt-static");
    if target != "x86_64-unknown-linux-gnu" || is_static {
        return;
    }
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    match static_libraries(&out.join("static")) {
        Ok(dir) => {
            println!("cargo:rustc-link-arg-bin=uploader=-static-pie");
            // A position-independent program relocates itself before it starts: packed, what it has to
            // read for that is 28 KiB instead of 2.7 MiB.
            println!("cargo:rustc-link-arg-bin=uploader=-Wl,-z,pack-relative-relocs");
            println!("cargo:rustc-link-arg-bin=uploader=-L{}", dir.display());
        }
        Err(why) => {
            println!("cargo:warning=uploader is not static, and can't be the converter's: {why}");
        }
    }
}

/// A directory of the static libraries.
fn static_libraries(dir: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    fs::create_dir_all(dir).map_err(failed)?;
    for name in LIBRARIES {
        let found = find(name)?;
        write_script(&dir.join(format!("lib{name}.a")), &[found]).map_err(failed)?;
    }
    let gcc = GCC.iter().map(|it| find(it)).collect::<Result<Vec<_>, _>>();
    write_script(&dir.join("libgcc_s.a"), &gcc?).map_err(failed)?;
    Ok(dir.to_owned())
}

/// Where the C compiler, which does the linking, has a static library.
fn find(name: &str) -> Result<PathBuf, String> {
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let file = format!("lib{name}.a");
    let output = Command::new(&linker)
        .arg(format!("-print-file-name={file}"))
        .output()
        .map_err(|error| format!("{}: {error}", linker.display()))?;
    let found = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    // One that it does not have is said by its name alone.
    match found.is_absolute() && found.is_file() {
        true => Ok(found),
        false => Err(format!(
            "{file} is not there (Debian: libc6-dev; Fedora: glibc-static)"
        )),
    }
}

/// A library that is others, in the linker's own words.
fn write_script(path: &Path, libraries: &[PathBuf]) -> std::io::Result<()> {
    let names: Vec<String> = libraries
        .iter()
        .map(|it| it.display().to_string())
        .collect();
    fs::write(path, format!("GROUP ( {} )\n", names.join(" ")))
}
