//! `imgtool extract`

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::Args;
use cli_support::{Line, say};
use imgtool::extract::{self, Extracted, Request};
use serde_json::json;

use super::Failure;
use super::build::{Bar, catch_signals};

/// Copy files out of a disk image or pack
///
///   imgtool extract web.img -C rootfs              all of the root file system
///   imgtool extract web.pack /etc /app -C part     these, with the directories that they are in
///   imgtool extract web.img --partition esp -C esp
///
/// Files, directories, symbolic and hard links, named pipes and sockets, with modes, times,
/// extended attributes and holes. What the directory can't hold of that (extended attributes, say)
/// is left out with a warning. A link on the way to a PATH is followed inside the image: /bin/sh
/// may come out as usr/bin/sh. A PATH that is a link is extracted as one.
///
/// Owners are kept if root calls, as tar does it, and only root makes devices. Where owners are not
/// kept, set-user-ID and set-group-ID bits and capabilities are not kept either.
///
/// Nothing is written outside of the directory, whatever the image holds: no symbolic link in it is
/// followed, no matter who made it. Files that are there already are an error, before which others
/// may have been extracted; each file is whole once it has its name. Directories that are there
/// already stay as they are, and get what is new.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ExtractArgs {
    /// The raw disk image, or the pack
    #[arg(value_name = "IMAGE|PACK")]
    image: PathBuf,
    /// Files, and directories with all below them [default: everything]
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
    /// Where they go; made if it is not there
    #[arg(short = 'C', long, value_name = "DIR")]
    directory: PathBuf,
    /// Another partition than that of the root file system, ext4 or FAT, by number or name
    #[arg(long, value_name = "N|NAME")]
    partition: Option<String>,
    /// Replace files that are there, and give directories the image's modes, times and so on
    #[arg(long)]
    force: bool,
    /// Keep owners, which takes privileges [default: if root calls]
    #[arg(long, overrides_with = "no_owners")]
    owners: bool,
    /// Make all files your own [default: unless root calls]
    #[arg(long, overrides_with = "owners")]
    no_owners: bool,
    /// Print what was extracted as JSON
    #[arg(long)]
    json: bool,
}

impl ExtractArgs {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let is_root = rustix::process::geteuid().is_root();
        let paths: Vec<Vec<u8>> = self
            .paths
            .iter()
            .map(|path| path.clone().into_vec())
            .collect();
        let request = Request {
            image: &self.image,
            partition: self.partition.as_deref(),
            paths: &paths,
            directory: &self.directory,
            owners: self.owners || is_root && !self.no_owners,
            devices: is_root,
            force: self.force,
        };
        let cancel = catch_signals()?;
        let bar = Bar(Line::uncounted_bytes());
        let extracted = extract::extract(&request, &bar, &cancel);
        bar.0.finish();
        let extracted = extracted?;
        for warning in &extracted.warnings {
            say!("imgtool: warning: {warning}");
        }
        if self.json {
            writeln!(out, "{}", self.result_json(&extracted))
        } else {
            writeln!(out, "{}", self.result_text(&extracted))
        }
        .map_err(Failure::stdout)
    }

    fn result_json(&self, extracted: &Extracted) -> serde_json::Value {
        json!({
            "image": self.image,
            "directory": self.directory,
            "extracted": extracted,
        })
    }

    fn result_text(&self, extracted: &Extracted) -> String {
        let others = extracted.symlinks + extracted.hard_links + extracted.special;
        format!(
            "{}: {} files of {:.1} MiB, {} directories, {others} links and others",
            self.directory.display(),
            extracted.files,
            extracted.bytes as f64 / f64::from(1 << 20),
            extracted.directories,
        )
    }
}
