//! `uploader converter build`

use super::super::Failure;
use super::super::interrupt::interruptible;
use super::make_image::{Made, MakeImage};
use clap::Args;
use imgtool::pack::manifest_path;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use uploader::Class;
use uploader::converter_ami::tags;
use uploader::image::ImageDigest;

/// Build the converter's image: a pack and its manifest
///
///   uploader converter build -o converter.pack
///   uploader converter build --raw converter.img       a disk, as imgtool run boots it
///
/// There is nothing in the image but this program (without its debug information), Mozilla's
/// certificates and what imgtool puts into every image: no shell, and nothing that listens. The same
/// program, kernel and stub give the same image, bit for bit.
///
/// bootstrap builds it, too: this is for whoever wants to look at it first.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Build {
    /// The pack; its manifest goes beside it [default: uploader-converter.pack, without --raw]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The raw disk
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
    #[command(flatten)]
    image: MakeImage,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Build {
    pub(super) async fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let pack = match (&self.output, &self.raw) {
            (None, None) => Some(PathBuf::from(format!("{}.pack", tags::IMAGE))),
            (pack, _) => pack.clone(),
        };
        if pack.is_some() && pack == self.raw {
            return Err(Failure::new(
                Class::Input,
                "--output and --raw are the same file",
            ));
        }
        let first = self.raw.as_deref().or(pack.as_deref());
        let spool = match first.and_then(Path::parent) {
            Some(dir) if dir != Path::new("") => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        let raw = self.raw.clone();
        let made = interruptible(async |cancel| self.image.make(raw, pack, spool, &cancel).await);
        self.print(&made.await?, out)
    }

    fn print(&self, made: &Made, out: &mut impl Write) -> Result<(), Failure> {
        let Made {
            program,
            kernel,
            written,
        } = made;
        let pack = written.pack.as_ref();
        let size = pack.map(|(_, it)| it.packs.iter().map(|it| it.size).sum::<u64>());
        let digest = pack.map(|(_, it)| ImageDigest::of(it));
        if self.json {
            let all = json!({
                "name": tags::IMAGE,
                "digest": digest,
                "program_sha256": program.sha256,
                "program_version": program.version,
                "kernel": kernel,
                "pack": pack.map(|(path, _)| path),
                "manifest": pack.map(|(path, _)| manifest_path(path)),
                "pack_size": size,
                "disk_size": pack.map(|(_, it)| it.size),
                "raw": written.raw,
            });
            return writeln!(out, "{all}").map_err(Failure::stdout);
        }
        if let Some(path) = &written.raw {
            writeln!(out, "{}: a raw disk", path.display()).map_err(Failure::stdout)?;
        }
        if let (Some((path, _)), Some(size), Some(digest)) = (pack, size, digest) {
            let (path, mib) = (path.display(), size as f64 / f64::from(1 << 20));
            writeln!(out, "{path}: {mib:.1} MiB, image {digest}").map_err(Failure::stdout)?;
        }
        Ok(())
    }
}
