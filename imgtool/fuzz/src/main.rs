//! Every parser under libFuzzer: no input makes it panic, overflow, hang or take much memory.
//!
//! One program. The name it is started under (a symbolic link's) says which target runs, so that a
//! target looks like a program of its own to libFuzzer.
#![no_main]

mod targets;

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use targets::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    let found = targets::ALL.iter().find(|(known, _)| name == *known);
    let Some(&(_, target)) = found else {
        let names: Vec<_> = targets::ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("start it under the name of a target: {}", names.join(", "));
        std::process::exit(2);
    };
    target
});

fuzz_target!(|input: &[u8]| (*TARGET)(input));
