//! The image's own init takes over.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::Never;
use super::failure::{Context, Result};
use super::switch;

/// Switches to the root file system and becomes its init, with the arguments that the kernel
/// gave.
pub(crate) fn to_init(path: &str) -> Result<Never> {
    switch::root()?;
    say!("handing over to {path}");
    let error = Command::new(path).args(std::env::args_os().skip(1)).exec();
    Err(error).context(|| format!("can't run {path}"))
}
