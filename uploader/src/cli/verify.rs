//! `uploader verify`

use super::Failure;
use super::aws_args::{AwsArgs, Place};
use super::interrupt::interruptible;
use clap::Args;
use cli_support::Line;
use imgtool::pack::{Manifest, read_manifest};
use serde_json::json;
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::NamedTempFile;
use uploader::Class;
use uploader::image::ImageDigest;
use uploader::vault::images::{fetch_manifest, find_image};
use uploader::verify::{self, Problem, Reading, Report, Subject, VerifyError};

/// Read an AMI back, block by block, and compare it with its image
///
///   uploader verify ami-0123456789abcdef0
///   uploader verify ami-0123456789abcdef0 --image web@4f1c09ab
///   uploader verify snap-0123456789abcdef0 --manifest web.pack.json
///   uploader verify ami-0123456789abcdef0 --output web.img   and keep what was read, as a raw disk
///
/// Which image it should be is in its tags, and what that image holds is in the vault. With
/// --manifest neither is needed: the manifest that `imgtool build --pack` wrote, and an AMI that is
/// shared with you, are enough.
///
/// Every block that holds data or has to be zero is read through the EBS direct API and held against
/// the manifest's digest. What the image leaves free may hold anything, and is not looked at. The
/// snapshot is not changed. AWS charges about 0.003 USD for 1,000 blocks (500 MiB).
///
/// Exit code 0: every block is as it should be. 1: at least one is not.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Verify {
    /// An AMI, or a snapshot
    ami: String,
    /// The image that it should be: a name (its newest version), a digest, or NAME@DIGEST
    #[arg(long, value_name = "IMAGE", conflicts_with = "manifest")]
    image: Option<String>,
    /// The manifest of the image that it should be, instead of the vault's
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Write the disk that was read here, if every block is as it should be
    #[arg(short, long, value_name = "OUT.img")]
    output: Option<PathBuf>,
    /// Blocks that are read at the same time, at most; fewer while AWS throttles
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=512))]
    workers: u16,
    /// Name so many differing blocks, at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    most: usize,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        // What is wrong with a file is said before AWS is asked.
        let given = match &self.manifest {
            Some(path) => {
                Some(read_manifest(path).map_err(|error| Failure::of(Class::Input, &error))?)
            }
            None => None,
        };
        let copy = self.output.as_deref().map(Copy::create).transpose()?;
        interruptible(async |cancel| {
            let place = aws.place().await?;
            let subject = verify::find(&place.vault.session, &self.ami).await?;
            let manifest = match given {
                Some(manifest) => manifest,
                None => self.manifest_of(&place, &subject).await?,
            };
            let digest = ImageDigest::of(&manifest);
            let line = Line::count("blocks compared", manifest.snapshot.changed_blocks_count);
            let seen = AtomicU64::new(0);
            let progress = |now: u64| {
                line.advance(now.saturating_sub(seen.swap(now, Ordering::Relaxed)));
            };
            let reading = Reading {
                workers: self.workers.into(),
                most: self.most,
                copy: copy.as_ref().map(|it| Arc::clone(&it.file)),
            };
            let report = verify::verify(
                &place.vault.session,
                &manifest,
                &subject.snapshot,
                &reading,
                &progress,
                &cancel,
            )
            .await;
            line.finish();
            let report = report.map_err(|error| match error {
                VerifyError::Cancelled => Failure::interrupted(),
                error => error.into(),
            })?;
            let compared = Compared {
                subject: &subject,
                name: &manifest.name,
                digest,
                report: &report,
            };
            if report.is_equal()
                && let Some(copy) = copy
            {
                copy.keep()?;
            }
            compared.print(self.json, out)?;
            match report.is_equal() {
                true => Ok(()),
                false => Err(Failure::new(
                    Class::Failed,
                    format!(
                        "{} is not {}@{digest}: of {} blocks {} differ, and {} are missing",
                        self.ami, manifest.name, report.blocks, report.different, report.missing
                    ),
                )),
            }
        })
        .await
    }

    /// The vault's manifest of what it should be.
    async fn manifest_of(&self, place: &Place, subject: &Subject) -> Result<Manifest, Failure> {
        let vault = &place.vault;
        let (name, digest) = match (&self.image, &subject.image) {
            (Some(image), _) => {
                let found = find_image(vault, image).await?;
                (found.name, found.digest)
            }
            (None, Some(image)) => image.clone(),
            (None, None) => return Err(VerifyError::NoTags(self.ami.clone()).into()),
        };
        Ok(fetch_manifest(vault, &name, &digest).await?)
    }
}

/// The disk that was read, under a temporary name until it is known to be right.
struct Copy {
    temporary: NamedTempFile,
    file: Arc<File>,
    path: PathBuf,
}

impl Copy {
    fn create(path: &Path) -> Result<Copy, Failure> {
        let dir = path.parent().filter(|dir| *dir != Path::new(""));
        let failed = |error| Copy::failed(path, &error);
        let temporary = NamedTempFile::new_in(dir.unwrap_or(Path::new("."))).map_err(failed)?;
        let file = temporary.reopen().map_err(failed)?;
        Ok(Copy {
            temporary,
            file: Arc::new(file),
            path: path.to_owned(),
        })
    }

    fn keep(self) -> Result<(), Failure> {
        let Copy {
            temporary,
            file,
            path,
        } = self;
        // A temporary file is its maker's alone; a result is as any other file.
        file.set_permissions(Permissions::from_mode(0o644))
            .map_err(|error| Copy::failed(&path, &error))?;
        temporary
            .persist(&path)
            .map(drop)
            .map_err(|error| Copy::failed(&path, &error.error))
    }

    fn failed(path: &Path, error: &std::io::Error) -> Failure {
        Failure::new(
            Class::Failed,
            format!("{}: can't be written: {error}", path.display()),
        )
    }
}

/// What was compared with what, and how that ended.
struct Compared<'c> {
    subject: &'c Subject,
    name: &'c str,
    digest: ImageDigest,
    report: &'c Report,
}

impl Compared<'_> {
    fn print(&self, as_json: bool, out: &mut impl Write) -> Result<(), Failure> {
        let Compared {
            subject,
            name,
            digest,
            report,
        } = self;
        if as_json {
            let all = json!({
                "id": subject.id,
                "snapshot": subject.snapshot,
                "name": name,
                "digest": digest,
                "equal": report.is_equal(),
                "blocks": report.blocks,
                "different": report.different,
                "missing": report.missing,
                "first": report.first,
            });
            return writeln!(out, "{all}").map_err(Failure::stdout);
        }
        for it in &report.first {
            let what = match it.problem {
                Problem::Missing => "is not in the snapshot",
                Problem::Different => "holds something else",
            };
            writeln!(
                out,
                "block {} (bytes {} to {}) {what}",
                it.index, it.first_byte, it.last_byte
            )
            .map_err(Failure::stdout)?;
        }
        let all = report.missing + report.different;
        let more = all.saturating_sub(report.first.len() as u64);
        if more > 0 {
            writeln!(out, "and {more} more").map_err(Failure::stdout)?;
        }
        if report.is_equal() {
            let id = &subject.id;
            writeln!(
                out,
                "{id} is {name}@{digest}: all of {} blocks are as the manifest says",
                report.blocks
            )
            .map_err(Failure::stdout)?;
        }
        Ok(())
    }
}
