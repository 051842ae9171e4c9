//! The targets. Each does with bytes what the program does with a file that holds them.

mod boot;
mod disk;
mod holes;
mod pack;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use imgtool::input::{self, Options};
use imgtool::{inspect, lock, spec};

/// What a target does with an input.
pub(crate) type Target = fn(&[u8]);

/// Every target by the name of its directory in corpus/.
pub(crate) const ALL: &[(&str, Target)] = &[
    ("container_config", container_config),
    ("deb", boot::deb),
    ("elf", elf),
    ("holes", holes::run),
    ("host_config", host_config),
    ("initrd", initrd),
    ("inspect", disk::inspect),
    ("kernel", boot::kernel),
    ("lock", lock),
    ("ls", disk::ls),
    ("manifest", pack::manifest),
    ("module", boot::module),
    ("spec", spec),
    ("stub", boot::stub),
    ("tar", tar),
    ("uki", boot::uki),
    ("unpack", pack::unpack),
];

/// Plain tar archives: root file systems, and container images with their layers.
fn tar(input: &[u8]) {
    let dir = std::env::temp_dir();
    let options = Options {
        owner: None,
        max_size: 1 << 20,
        max_files: 1000,
        spool_dir: &dir,
        library_dirs: &[],
    };
    let _ = input::tar_from_bytes("in.tar", input, &options);
}

fn elf(input: &[u8]) {
    let _ = input::elf_needed("app", input);
}

fn container_config(input: &[u8]) {
    let _ = input::container_config("image", input);
}

fn spec(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input)
        && let Err(error) = spec::parse(text, Path::new("image.toml"))
    {
        message(&error.to_string());
    }
}

fn host_config(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input)
        && let Err(error) = spec::parse_host_config(text, Path::new("config.toml"))
    {
        message(&error.to_string());
    }
}

/// What is read as a lock is written as one, and is the same again.
fn lock(input: &[u8]) {
    let path = Path::new("image.lock");
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match lock::parse(text, path) {
        Ok(parsed) => {
            let written = lock::render(&parsed).expect("a lock can be written");
            let again = lock::parse(&written, path).expect("what was written can be read");
            assert_eq!(again, parsed);
        }
        Err(error) => message(&error.to_string()),
    }
}

fn initrd(input: &[u8]) {
    let _ = inspect::find_in_initrd(input, "/imgtool/guest.json");
}

/// A message says something, in not too many words.
fn message(text: &str) {
    assert!(!text.is_empty() && text.lines().count() <= 3, "{text:?}");
}

/// A file in memory, and the path it can be opened at.
struct MemoryFile {
    file: File,
    path: PathBuf,
}

impl MemoryFile {
    fn new(bytes: &[u8]) -> MemoryFile {
        let fd = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC);
        let mut file = File::from(fd.expect("memfd_create"));
        file.write_all(bytes).expect("memory");
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        MemoryFile { file, path }
    }
}
