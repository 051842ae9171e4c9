//! `imgtool inspect`

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use imgtool::inspect::{Options, inspect_image, render};

use super::Failure;

/// Show what a disk image or pack holds: partitions, file systems, kernel, what it runs
///
/// Works on raw disk images with a GUID partition table, whoever made them, and on packs with their
/// manifest (PACK.json) beside them; needs neither root nor a loop device. It tells under what firmware the image can boot, the kernel's version and
/// command line, the sections of the UKI, and, for images that imgtool made, the command,
/// environment and user of the application.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The raw disk image, or the pack
    #[arg(value_name = "IMAGE|PACK")]
    image: PathBuf,

    /// Also compute SHA-256 of the whole image and of each partition, which reads all of it
    #[arg(long)]
    digests: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Inspects the image and prints the report on `out`.
pub(crate) fn run(args: &InspectArgs, out: &mut impl Write) -> Result<(), Failure> {
    let options = Options {
        digests: args.digests,
    };
    let report = inspect_image(&args.image, options)?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &report)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        out.write_all(render(&report).as_bytes())
    }
    .map_err(Failure::stdout)
}
