//! What this host has for guests.

use super::process::WRAPPER;
use imgtool_qemu::{QEMU, find_ovmf};
use std::env;
use std::path::Path;

/// How many guests run at a time, and what they have. An edge: it is looked up once, where an
/// emulator is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most guests at a time; the others wait.
    pub guests: usize,
    /// Most processors of one.
    pub cpus: u32,
    /// Memory of all together, and most of one.
    pub memory_mib: u32,
}

/// Most guests at a time where nobody says how many.
const MOST_BY_DEFAULT: usize = 4;

impl Limits {
    /// As many guests as there are processors, but not more than four, and three quarters of the
    /// memory that is free.
    pub fn of_host() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let free = std::fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| available_mib(&text))
            .unwrap_or(2048);
        Self {
            guests: cpus.min(MOST_BY_DEFAULT),
            cpus: u32::try_from(cpus).unwrap_or(1),
            memory_mib: (free / 4 * 3).max(512),
        }
    }
}

/// `MemAvailable` of `/proc/meminfo`.
fn available_mib(meminfo: &str) -> Option<u32> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    u32::try_from(kib / 1024).ok()
}

/// A program that guests need and that is not installed, if there is one.
pub fn missing() -> Option<&'static str> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = env::split_paths(&path).collect();
    let is_there = |program: &&str| dirs.iter().any(|dir| is_program(&dir.join(program)));
    [QEMU, WRAPPER]
        .into_iter()
        .find(|program| !is_there(program))
}

/// Whether there is firmware for instances that boot by UEFI.
pub fn has_uefi() -> bool {
    find_ovmf().is_ok()
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::available_mib;

    #[test]
    fn memory_is_read() {
        let text = "MemTotal:       24000000 kB\nMemFree: 1 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(available_mib(text), Some(2048));
        assert_eq!(available_mib("MemAvailable: lots"), None);
    }
}
