//! `imgtool unpack`

use super::Failure;
use super::build::{catch_signals, refuse_outputs_that_are_inputs};
use clap::Args;
use imgtool::build;
use imgtool::pack;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Turn a pack back into the raw disk
///
/// Reads the pack and the manifest beside it, and checks every block against the manifest before
/// it is written.
#[derive(Debug, Args)]
pub(super) struct Unpack {
    /// The pack
    #[arg(value_name = "PACK")]
    pack: PathBuf,
    /// The manifest [default: PACK.json]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Write the raw disk here
    #[arg(short, long, value_name = "OUT.img")]
    output: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Unpack {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let manifest = self
            .manifest
            .clone()
            .unwrap_or_else(|| pack::manifest_path(&self.pack));
        let outputs = [self.output.as_path()];
        refuse_outputs_that_are_inputs(&outputs, &[&self.pack, &manifest])?;
        let manifest = pack::read_manifest(&manifest)?;
        let cancel = catch_signals()?;
        build::unpack(&manifest, &self.pack, &self.output, &cancel)?;
        let size = manifest.size;
        if self.json {
            writeln!(out, "{}", json!({ "image": self.output, "size": size }))
        } else {
            writeln!(out, "{}: {} MiB disk", self.output.display(), size >> 20)
        }
        .map_err(Failure::stdout)
    }
}
