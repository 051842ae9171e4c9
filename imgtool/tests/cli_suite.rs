//! The program as a user runs it, on input that is wrong: exit code, message, and nothing left.
//!
//! `docs/bad-input.md` is the table of it; `IMGTOOL_BLESS=1` writes it anew.

// Clippy lets tests do this, but not the functions that they share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

#[path = "cli_suite/archives.rs"]
mod archives;
#[path = "cli_suite/bench.rs"]
mod bench;
#[path = "cli_suite/boot_files.rs"]
mod boot_files;
#[path = "cli_suite/changes.rs"]
mod changes;
#[path = "cli_suite/containers.rs"]
mod containers;
#[path = "cli_suite/directories.rs"]
mod directories;
#[path = "cli_suite/executables.rs"]
mod executables;
#[path = "cli_suite/extract.rs"]
mod extract;
#[path = "cli_suite/interrupt.rs"]
mod interrupt;
#[path = "cli_suite/lists.rs"]
mod lists;
#[path = "cli_suite/locks.rs"]
mod locks;
#[path = "cli_suite/outputs.rs"]
mod outputs;
#[path = "cli_suite/packs.rs"]
mod packs;
#[path = "cli_suite/settings.rs"]
mod settings;
#[path = "cli_suite/table.rs"]
mod table;
