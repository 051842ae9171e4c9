//! `imgtool build`

use super::Failure;
use clap::Args;
use cli_support::{Line, say};
use imgtool::args::{SpecArgs, host};
use imgtool::build::{self, Context, Outputs, Prepared, Written};
use imgtool::lock;
use imgtool::pack::{self, DEFAULT_LEVEL};
use imgtool::pass::{BLOCK_LEN, Progress, RunKind, block_runs};
use imgtool::spec::Spec;
use imgtool::{Class, build::BuildError};
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Build a bootable disk image
///
///   imgtool build ./server                        a program, as /app
///   imgtool build rootfs/ --init /sbin/init       a Debian tree with its own init
///   imgtool build app.tar.gz -- /srv/app --port 80
///   imgtool build app-docker-save.tar --pack app.pack
///   imgtool build                                 what image.toml here says
///
/// The image is NAME.img in this directory unless -o or --pack says otherwise; with --pack alone
/// there is no raw image. Kernel and UEFI stub come from --kernel and --stub, from image.toml, or
/// from the host's configuration (.imgtool/config.toml here or above,
/// ~/.config/imgtool/config.toml, /etc/imgtool/config.toml).
///
/// The same inputs give the same bytes on any host. Every time in the image is SOURCE_DATE_EPOCH,
/// else image.toml's timestamp, else 1970.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Build {
    #[command(flatten)]
    spec: SpecArgs,
    /// Write the raw disk here
    #[arg(short, long, value_name = "OUT.img")]
    output: Option<PathBuf>,
    /// Write the pack here (zstd, seekable), and its manifest beside it as OUT.pack.json
    #[arg(long, value_name = "OUT.pack")]
    pack: Option<PathBuf>,
    /// zstd level of the pack: 1 (fast) to 19 (small)
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LEVEL, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
    /// Worker threads [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Refuse inputs other than those that `imgtool lock` wrote down
    #[arg(long)]
    locked: bool,
    /// The lock [default: image.lock beside image.toml, or imgtool.lock here]
    #[arg(long, value_name = "FILE", requires = "locked")]
    lock: Option<PathBuf>,
    /// Print what was built as JSON
    #[arg(long)]
    json: bool,
}

impl Build {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let spec = self.spec.resolve()?;
        let outputs = self.outputs(&spec);
        check_outputs(&spec, &outputs)?;
        let jobs = self.jobs.map_or_else(host::jobs, usize::from);
        set_up_rayon(jobs)?;
        let lock = self.read_lock()?;
        let library_dirs = host::library_dirs();
        let cache = self.spec.cache_dir();
        let prepared = build::prepare(
            &spec,
            &Context {
                spool_dir: &spool_dir(&outputs),
                library_dirs: &library_dirs,
                cache: cache.as_deref(),
                digests: outputs.pack.is_some(),
                lock: lock.as_ref(),
            },
        )?;
        for warning in &prepared.warnings {
            say!("imgtool: warning: {warning}");
        }
        // Until here a signal just ends the program, which has no named file yet.
        let cancel = catch_signals()?;
        let bar = Bar(Line::unnamed_bytes(content_len(&prepared)));
        let written = build::write(&prepared, &outputs, jobs, &bar, &cancel);
        bar.0.finish();
        let written = written?;
        if self.json {
            writeln!(out, "{}", result_json(&prepared, &written))
        } else {
            result_text(&prepared, &written, out)
        }
        .map_err(Failure::stdout)
    }

    fn outputs(&self, spec: &Spec) -> Outputs {
        let raw = match (&self.output, &self.pack) {
            (None, None) => Some(PathBuf::from(format!("{}.img", spec.name))),
            (raw, _) => raw.clone(),
        };
        Outputs {
            raw,
            pack: self.pack.clone(),
            level: self.level,
        }
    }

    fn read_lock(&self) -> Result<Option<lock::Lock>, Failure> {
        if !self.locked {
            return Ok(None);
        }
        let path = self
            .lock
            .clone()
            .unwrap_or_else(|| lock::default_path(self.spec.spec_path()));
        Ok(Some(lock::read(&path)?))
    }
}

/// The pass's progress as a line on the terminal.
pub(super) struct Bar(pub(super) Line);

impl Progress for Bar {
    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }
}

/// The number of bytes the pass will read.
fn content_len(prepared: &Prepared) -> u64 {
    let runs = block_runs(&prepared.plan.extents);
    let blocks: u64 = runs
        .iter()
        .filter(|run| run.kind == RunKind::Content)
        .map(|run| run.count)
        .sum();
    blocks * BLOCK_LEN as u64
}

/// Temporary files go where the result goes: there is room, or the result does not fit either.
pub(super) fn spool_dir(outputs: &Outputs) -> PathBuf {
    let output = outputs.raw.as_deref().or(outputs.pack.as_deref());
    match output.and_then(Path::parent) {
        Some(dir) if dir != Path::new("") => dir.into(),
        _ => ".".into(),
    }
}

/// Every file that `outputs` makes.
fn output_paths(outputs: &Outputs) -> Vec<PathBuf> {
    let manifest = outputs.pack.as_deref().map(pack::manifest_path);
    let (raw, pack) = (outputs.raw.clone(), outputs.pack.clone());
    raw.into_iter().chain(pack).chain(manifest).collect()
}

/// Refuses outputs that would replace one another, an input, or become part of one.
fn check_outputs(spec: &Spec, outputs: &Outputs) -> Result<(), BuildError> {
    let paths = output_paths(outputs);
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    for (n, path) in paths.iter().enumerate() {
        let same =
            |other: &&Path| *other == *path || place(other).is_some_and(|p| place(path) == Some(p));
        if paths.iter().skip(n + 1).any(same) {
            return Err(BuildError::SameOutput(path.to_path_buf()));
        }
    }
    let boot = [
        Some(&spec.kernel),
        spec.modules.as_ref(),
        spec.stub.as_ref(),
    ];
    let mut inputs = vec![spec.input.as_path()];
    inputs.extend(spec.add.iter().map(|(source, _)| source.as_path()));
    inputs.extend(boot.into_iter().flatten().map(PathBuf::as_path));
    refuse_outputs_that_are_inputs(&paths, &inputs)
}

/// Refuses an output that is one of these inputs, or lies in one that is a directory.
pub(super) fn refuse_outputs_that_are_inputs(
    outputs: &[&Path],
    inputs: &[&Path],
) -> Result<(), BuildError> {
    for input in inputs {
        let Ok(real) = std::fs::canonicalize(input) else {
            continue;
        };
        for output in outputs {
            let Some(place) = place(output) else { continue };
            if place == real {
                return Err(BuildError::OutputIsInput(output.to_path_buf()));
            }
            if place.starts_with(&real) {
                return Err(BuildError::OutputInInput {
                    output: output.to_path_buf(),
                    input: input.to_path_buf(),
                });
            }
        }
    }
    Ok(())
}

/// Where an output will be, links in its directory's path resolved.
fn place(output: &Path) -> Option<PathBuf> {
    let dir = output.parent().filter(|dir| *dir != Path::new(""));
    let dir = std::fs::canonicalize(dir.unwrap_or(Path::new("."))).ok()?;
    Some(dir.join(output.file_name()?))
}

/// Ctrl-C and its kin end the pass, which then leaves nothing.
pub(super) fn catch_signals() -> Result<Arc<AtomicBool>, Failure> {
    let cancel = Arc::new(AtomicBool::new(false));
    let failed = |e| Failure::new(Class::Failed, format!("signals can't be caught: {e}"));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, cancel.clone()).map_err(failed)?;
    }
    // A file above the size limit (ulimit -f) is to be an error of write(2), not the end.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map_err(failed)?;
    Ok(cancel)
}

/// Scanning uses rayon's global pool.
pub(super) fn set_up_rayon(jobs: usize) -> Result<(), Failure> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .build_global()
        .map_err(|e| Failure::new(Class::Surroundings, format!("no worker threads: {e}")))
}

fn result_json(prepared: &Prepared, written: &Written) -> serde_json::Value {
    let pack = written.pack.as_ref().map(|(path, manifest)| {
        json!({
            "path": path,
            "manifest": pack::manifest_path(path),
            "size": manifest.packs.iter().map(|p| p.size).sum::<u64>(),
            "digest": manifest.packs.first().map(|p| &p.digest),
            "data_blocks": manifest.blocks.data.len(),
        })
    });
    json!({
        "name": prepared.name,
        "identity": build::identity_text(prepared),
        "kernel": prepared.kernel_version,
        "boot_modes": prepared.boot_modes,
        "size": prepared.plan.len,
        "partitions": prepared.plan.partitions,
        "image": written.raw,
        "pack": pack,
        "warnings": prepared.warnings,
    })
}

fn result_text(prepared: &Prepared, written: &Written, out: &mut impl Write) -> io::Result<()> {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    if let Some(path) = &written.raw {
        writeln!(
            out,
            "{}: {:.0} MiB disk",
            path.display(),
            mib(prepared.plan.len)
        )?;
    }
    if let Some((path, manifest)) = &written.pack {
        let size: u64 = manifest.packs.iter().map(|p| p.size).sum();
        writeln!(
            out,
            "{}: {:.1} MiB pack of a {:.0} MiB disk; manifest {}",
            path.display(),
            mib(size),
            mib(prepared.plan.len),
            pack::manifest_path(path).display()
        )?;
    }
    Ok(())
}
