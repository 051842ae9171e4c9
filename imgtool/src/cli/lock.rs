//! `imgtool lock`

use super::Failure;
use super::build::set_up_rayon;
use clap::Args;
use imgtool::args::{SpecArgs, host};
use imgtool::build::{Context, lock_inputs};
use imgtool::lock;
use serde_json::json;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Write down the digest of every input
///
/// `imgtool build --locked` with the same arguments then refuses any other input by name. Of
/// Debian packages the lock also has name, version and architecture.
#[derive(Debug, Args)]
pub(super) struct LockArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// The lock [default: image.lock beside image.toml, or imgtool.lock here]
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Print the lock as JSON, too
    #[arg(long)]
    json: bool,
}

impl LockArgs {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let spec = self.spec.resolve()?;
        set_up_rayon(host::jobs())?;
        let path = self
            .lock
            .clone()
            .unwrap_or_else(|| lock::default_path(self.spec.spec_path()));
        let library_dirs = host::library_dirs();
        let cache = self.spec.cache_dir();
        let context = Context {
            spool_dir: Path::new("."),
            library_dirs: &library_dirs,
            cache: cache.as_deref(),
            digests: true,
            lock: None,
        };
        let inputs = lock_inputs(&spec, &context)?;
        lock::write(&path, &inputs)?;
        self.tell(&path, &inputs, out).map_err(Failure::stdout)
    }

    fn tell(&self, path: &Path, inputs: &lock::Lock, out: &mut impl Write) -> io::Result<()> {
        if self.json {
            return writeln!(
                out,
                "{}",
                json!({ "lock": path, "inputs": inputs.inputs() })
            );
        }
        for input in inputs.inputs() {
            writeln!(out, "{}  {} {}", input.sha256, input.role, input.path)?;
        }
        Ok(())
    }
}
