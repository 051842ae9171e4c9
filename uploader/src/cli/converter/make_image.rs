//! What the converter's image is made of, on the command line.

use super::super::Failure;
use clap::Args;
use cli_support::{Line, say};
use imgtool::args::host;
use imgtool::build::{Outputs, Written};
use imgtool::pack::DEFAULT_LEVEL;
use imgtool::pass::{BLOCK_LEN, Progress, RunKind, block_runs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::converter_ami::image::{self, Boot};
use uploader::converter_ami::program::Program;

/// What it is made of.
#[derive(Clone, Debug, Args)]
pub(super) struct MakeImage {
    /// The program in the image: uploader, linked statically [default: this one]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Kernel: Debian's package as downloaded, or a bzImage [default: as imgtool's]
    #[arg(long, value_name = "DEB|FILE")]
    kernel: Option<PathBuf>,
    /// Kernel modules, if the kernel is a plain file: lib/modules/VERSION, or a package
    #[arg(long, value_name = "DIR|DEB")]
    modules: Option<PathBuf>,
    /// UEFI stub: Debian's package systemd-boot-efi, or its linuxx64.efi.stub [default: as imgtool's]
    #[arg(long, value_name = "DEB|FILE")]
    stub: Option<PathBuf>,
    /// Unpack the kernel's package anew, and don't keep it in ~/.cache/imgtool for the next time
    #[arg(long)]
    no_cache: bool,
    /// zstd level of the pack: 1 (fast) to 19 (small)
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LEVEL, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
    /// Threads that read, hash and compress [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

/// What came of it.
pub(super) struct Made {
    pub(super) program: Program,
    pub(super) kernel: String,
    pub(super) written: Written,
}

impl MakeImage {
    /// Builds the image: a pack, a raw disk, or both. On an error, or when cancelled, nothing is left.
    pub(super) async fn make(
        &self,
        raw: Option<PathBuf>,
        pack: Option<PathBuf>,
        spool: PathBuf,
        cancel: &CancellationToken,
    ) -> Result<Made, Failure> {
        let flag = Arc::new(AtomicBool::new(false));
        let (this, outputs) = (
            self.clone(),
            Outputs {
                raw,
                pack,
                level: self.level,
            },
        );
        let work = {
            let flag = Arc::clone(&flag);
            tokio::task::spawn_blocking(move || this.make_now(&outputs, &spool, &flag))
        };
        tokio::pin!(work);
        let done = tokio::select! {
            biased;
            done = &mut work => done,
            () = cancel.cancelled() => {
                // It ends within a block, and takes away what it has made.
                flag.store(true, Ordering::Relaxed);
                work.await
            }
        };
        if cancel.is_cancelled() {
            return Err(Failure::interrupted());
        }
        done.map_err(|error| Failure::of(Class::Failed, &error))?
    }

    fn make_now(
        &self,
        outputs: &Outputs,
        spool: &Path,
        cancel: &AtomicBool,
    ) -> Result<Made, Failure> {
        let program = self.program()?;
        let boot = Boot {
            kernel: self.kernel.clone(),
            modules: self.modules.clone(),
            stub: self.stub.clone(),
        };
        let cache = host::cache_dir().filter(|_| !self.no_cache);
        let planned = image::plan(&program, &boot, &host::config()?, cache.as_deref(), spool)?;
        for warning in &planned.prepared.warnings {
            say!("uploader: warning: {warning}");
        }
        let runs = block_runs(&planned.prepared.plan.extents);
        let content = runs.iter().filter(|it| it.kind == RunKind::Content);
        let blocks: u64 = content.map(|it| it.count).sum();
        let line = Built(Line::bytes("built", blocks * BLOCK_LEN as u64));
        let jobs = self.jobs.map_or_else(host::jobs, usize::from);
        let written = planned.write(outputs, jobs, &line, cancel);
        line.0.finish();
        Ok(Made {
            program,
            kernel: planned.prepared.kernel_version.clone(),
            written: written?,
        })
    }

    fn program(&self) -> Result<Program, Failure> {
        let path = match &self.program {
            Some(path) => path.clone(),
            None => std::env::current_exe().map_err(|error| {
                Failure::new(Class::Surroundings, format!("this program's file: {error}"))
                    .hint("--program FILE names it")
            })?,
        };
        Ok(Program::open(&path)?)
    }
}

/// imgtool's progress, as a line.
struct Built(Line);

impl Progress for Built {
    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }
}
