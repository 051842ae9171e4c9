//! The pass, and what it leaves on the disk.

use super::output::PendingFile;
use super::{BuildError, Prepared};
use crate::block::BLOCK_LEN;
use crate::pack::{
    Manifest, ManifestBlocks, PackError, PackRecord, PackWriter, SnapshotRecord, manifest_path,
};
use crate::pass::{self, Job, Outcome, Progress, RawOutput};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// What a build is to leave.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    /// Path of the raw image, if one is wanted.
    pub raw: Option<PathBuf>,
    /// Path of the pack, if one is wanted; its manifest goes beside it.
    pub pack: Option<PathBuf>,
    /// zstd level of the pack.
    pub level: i32,
}

/// What a build left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Path of the raw image.
    pub raw: Option<PathBuf>,
    /// Path of the pack, and its manifest.
    pub pack: Option<(PathBuf, Manifest)>,
}

/// Reads all content once and writes what is wanted. On an error, or when cancelled, nothing is
/// left.
pub fn write(
    prepared: &Prepared,
    outputs: &Outputs,
    jobs: usize,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Written, BuildError> {
    let raw = outputs
        .raw
        .as_deref()
        .map(PendingFile::create)
        .transpose()?;
    let pack = outputs
        .pack
        .as_deref()
        .map(PendingFile::create)
        .transpose()?;
    let plan = &prepared.plan;
    let outcome = pass::run(Job {
        len: plan.len,
        extents: &plan.extents,
        jobs,
        raw: raw
            .as_ref()
            .zip(outputs.raw.clone())
            .map(|(f, path)| RawOutput {
                file: f.file(),
                path,
            }),
        pack: pack
            .as_ref()
            .zip(outputs.pack.clone())
            .map(|(f, path)| PackWriter::new(f.file(), path, outputs.level)),
        progress,
        cancel,
    })?;
    let mut written = Written {
        raw: outputs.raw.clone(),
        pack: None,
    };
    // The manifest last: it is what says that pack and image are whole.
    let mut pending: Vec<PendingFile> = raw.into_iter().collect();
    if let (Some(file), Some(path)) = (pack, &outputs.pack) {
        let manifest = manifest(prepared, &outcome);
        pending.push(file);
        pending.push(write_manifest(&manifest_path(path), &manifest)?);
        written.pack = Some((path.clone(), manifest));
    }
    for file in pending {
        file.finish()?;
    }
    Ok(written)
}

/// Writes the raw disk that a manifest and its pack describe. On an error, or when cancelled,
/// nothing is left.
pub fn unpack(
    manifest: &Manifest,
    pack: &Path,
    output: &Path,
    cancel: &AtomicBool,
) -> Result<(), BuildError> {
    let pending = PendingFile::create(output)?;
    crate::pack::unpack(manifest, pack, pending.file(), output, cancel)?;
    pending.finish()
}

fn manifest(prepared: &Prepared, outcome: &Outcome) -> Manifest {
    let packs = outcome.pack.iter();
    Manifest {
        version: crate::pack::MANIFEST_VERSION,
        name: prepared.name.clone(),
        identity: hex::encode(prepared.identity),
        architecture: "x86_64".to_string(),
        boot_modes: prepared.boot_modes.iter().map(|m| m.to_string()).collect(),
        size: prepared.plan.len,
        block_size: BLOCK_LEN as u64,
        inputs: prepared.inputs.clone(),
        snapshot: SnapshotRecord::new(&outcome.blocks),
        packs: packs
            .map(|p| PackRecord {
                digest: hex::encode(p.digest),
                size: p.len,
            })
            .collect(),
        blocks: ManifestBlocks::new(&outcome.blocks),
    }
}

fn write_manifest(path: &Path, manifest: &Manifest) -> Result<PendingFile, BuildError> {
    let pending = PendingFile::create(path)?;
    let failed = |source| PackError::Write {
        path: path.into(),
        source,
    };
    let mut out = BufWriter::new(pending.file());
    serde_json::to_writer(&mut out, manifest).map_err(|e| failed(e.into()))?;
    out.write_all(b"\n")
        .and_then(|()| out.flush())
        .map_err(failed)?;
    drop(out);
    Ok(pending)
}
