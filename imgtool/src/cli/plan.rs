//! `imgtool plan`

use super::Failure;
use super::build::set_up_rayon;
use clap::Args;
use cli_support::say;
use imgtool::args::{SpecArgs, host};
use imgtool::build::{self, Context, Prepared};
use imgtool::disk::ExtentSource;
use serde_json::json;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Show what would be built, and what would be where
///
/// Scans the inputs and lays out the disk, as `build` does before it reads any content. Writes
/// nothing but, for compressed archives, an unnamed temporary file in this directory.
#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    spec: SpecArgs,
    /// Directory for temporary files
    #[arg(long, value_name = "DIR", default_value = ".")]
    temporary: PathBuf,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let spec = self.spec.resolve()?;
        set_up_rayon(host::jobs())?;
        let library_dirs = host::library_dirs();
        let cache = self.spec.cache_dir();
        let prepared = build::prepare(
            &spec,
            &Context {
                spool_dir: &self.temporary,
                library_dirs: &library_dirs,
                cache: cache.as_deref(),
                digests: false,
                lock: None,
            },
        )?;
        for warning in &prepared.warnings {
            say!("imgtool: warning: {warning}");
        }
        let written = if self.json {
            writeln!(out, "{}", plan_json(&prepared, &spec.input))
        } else {
            plan_text(&prepared, &spec.input, out)
        };
        written.map_err(Failure::stdout)
    }
}

/// Bytes of each kind on the disk.
struct Totals {
    content: u64,
    zero: u64,
    free: u64,
}

fn totals(prepared: &Prepared) -> Totals {
    let mut totals = Totals {
        content: 0,
        zero: 0,
        free: 0,
    };
    for extent in &prepared.plan.extents {
        match extent.source {
            ExtentSource::Free => totals.free += extent.len,
            ExtentSource::Zero => totals.zero += extent.len,
            _ => totals.content += extent.len,
        }
    }
    totals
}

fn plan_json(prepared: &Prepared, input: &Path) -> serde_json::Value {
    let Totals {
        content,
        zero,
        free,
    } = totals(prepared);
    json!({
        "name": prepared.name,
        "identity": build::identity_text(prepared),
        "input": input,
        "boot_modes": prepared.boot_modes,
        "kernel": prepared.kernel_version,
        "command_line": prepared.cmdline,
        "guest": prepared.guest,
        "size": prepared.plan.len,
        "partitions": prepared.plan.partitions,
        "kernel_extent": { "lba": prepared.plan.kernel.0, "bytes": prepared.plan.kernel.1 },
        "initramfs_extent": { "lba": prepared.plan.initrd.0, "bytes": prepared.plan.initrd.1 },
        "root": { "inodes": prepared.plan.root_inodes, "free": prepared.plan.root_free },
        "bytes": { "content": content, "zero": zero, "free": free },
        "inputs": prepared.inputs,
        "warnings": prepared.warnings,
    })
}

fn plan_text(prepared: &Prepared, input: &Path, out: &mut impl Write) -> io::Result<()> {
    let plan = &prepared.plan;
    let Totals {
        content,
        zero,
        free,
    } = totals(prepared);
    writeln!(out, "{} from {}", prepared.name, input.display())?;
    writeln!(out, "boots by       {}", prepared.boot_modes.join(", "))?;
    writeln!(out, "kernel         {}", prepared.kernel_version)?;
    writeln!(out, "command line   {}", prepared.cmdline)?;
    writeln!(out, "identity       {}", build::identity_text(prepared))?;
    writeln!(out, "disk           {} bytes", plan.len)?;
    writeln!(out, "  content      {content} bytes")?;
    writeln!(out, "  zero         {zero} bytes")?;
    writeln!(out, "  free         {free} bytes")?;
    writeln!(out, "partition  first LBA   sectors  GUID")?;
    for p in &plan.partitions {
        let (lba, sectors) = (p.offset / 512, p.len / 512);
        writeln!(
            out,
            "{} {:<8} {lba:>9} {sectors:>9}  {}",
            p.number,
            p.role.name(),
            p.guid
        )?;
    }
    writeln!(
        out,
        "  kernel   {:>9} {:>9}",
        plan.kernel.0,
        plan.kernel.1.div_ceil(512)
    )?;
    writeln!(
        out,
        "  initramfs{:>9} {:>9}",
        plan.initrd.0,
        plan.initrd.1.div_ceil(512)
    )?;
    writeln!(
        out,
        "root           {} inodes, {} bytes free",
        plan.root_inodes, plan.root_free
    )
}
