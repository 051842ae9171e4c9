//! What an image is on the command line: a pack, a raw disk, or something to build.

use super::Failure;
use clap::{Arg, Args, ValueEnum};
use cli_support::say;
use imgtool::args::{SpecArgs, host};
use imgtool::build::{self, Context};
use imgtool::pack::{DEFAULT_LEVEL, manifest_path};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use uploader::Class;
use uploader::push::{Disk, Image, Pack};

/// IMAGE, and what has to be said about it.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// The pack's manifest [default: IMAGE.json]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["build", "boot_mode"])]
    manifest: Option<std::path::PathBuf>,
    /// What a raw disk image can boot on; may be given twice
    #[arg(long, value_name = "MODE", value_enum, conflicts_with = "build")]
    boot_mode: Vec<BootMode>,
    /// zstd level for blocks that are compressed here: 1 (fast) to 19 (small)
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LEVEL, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
    /// Build the image, as `imgtool build` with the same arguments does, and write no file
    #[arg(long)]
    build: bool,
    #[command(flatten, next_help_heading = "With --build")]
    spec: SpecArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum BootMode {
    Bios,
    Uefi,
}

/// The help of IMAGE where it may be any of these.
pub(crate) fn describe_image(arg: Arg) -> Arg {
    arg.index(1)
        .value_name("IMAGE")
        .help(
            "A pack that imgtool wrote, or a raw disk image; with --build what imgtool build takes",
        )
        .long_help(None::<&str>)
        .help_heading("Arguments")
}

/// What follows `--`, behind IMAGE: clap takes an argument that was changed for the last one.
pub(crate) fn after_image(arg: Arg) -> Arg {
    arg.index(2)
}

impl ImageArgs {
    /// Opens what is there, or plans what is to be built; of its content, nothing is read yet.
    pub(crate) fn open(&self) -> Result<Image, Failure> {
        if self.build {
            return self.planned();
        }
        let Some(path) = self.spec.given_input() else {
            return Err(
                Failure::new(Class::Input, "no image: name a pack or a raw disk image")
                    .hint("--build builds what image.toml here says"),
            );
        };
        if path.is_dir() || path.extension().is_some_and(|it| it == "toml") {
            return Err(Failure::new(
                Class::Input,
                format!("{}: not an image, but something to build", path.display()),
            )
            .hint("--build builds it"));
        }
        if let Some(flag) = self.spec.build_flag() {
            return Err(Failure::new(
                Class::Input,
                format!(
                    "{flag}: only with --build: {} is built already",
                    path.display()
                ),
            ));
        }
        let beside = manifest_path(path);
        match self.manifest.is_some() || beside.exists() || begins_as_pack(path)? {
            true => self.pack(path, self.manifest.as_deref().unwrap_or(&beside)),
            false => self.raw(path),
        }
    }

    fn pack(&self, path: &Path, manifest: &Path) -> Result<Image, Failure> {
        if self.spec.given_name().is_some() || !self.boot_mode.is_empty() {
            return Err(Failure::new(
                Class::Input,
                format!(
                    "{}: a pack; its manifest says name and boot modes: leave out --name and \
                     --boot-mode",
                    path.display()
                ),
            ));
        }
        Ok(Image::Pack(Pack::open(path, manifest)?))
    }

    fn raw(&self, path: &Path) -> Result<Image, Failure> {
        let mut modes = self.boot_mode.clone();
        modes.sort_unstable();
        modes.dedup();
        let (Some(name), false) = (self.spec.given_name(), modes.is_empty()) else {
            return Err(Failure::new(
                Class::Input,
                format!(
                    "{}: a raw disk image does not say its name and what it boots on",
                    path.display()
                ),
            )
            .hint(
                "give --name, and --boot-mode bios, --boot-mode uefi or both; or push the pack \
                 that imgtool build --pack writes",
            ));
        };
        let modes = modes.iter().map(|mode| match mode {
            BootMode::Bios => "bios".to_owned(),
            BootMode::Uefi => "uefi".to_owned(),
        });
        let disk = Disk::raw(path, name, modes.collect(), self.level)?;
        Ok(Image::Disk(disk))
    }

    /// What imgtool would write.
    fn planned(&self) -> Result<Image, Failure> {
        let spec = self.spec.resolve()?;
        let library_dirs = host::library_dirs();
        let cache = self.spec.cache_dir();
        let prepared = build::prepare(
            &spec,
            &Context {
                // Archives are unpacked into unnamed files, where there is room.
                spool_dir: Path::new("."),
                library_dirs: &library_dirs,
                cache: cache.as_deref(),
                digests: true,
                lock: None,
            },
        )?;
        for warning in &prepared.warnings {
            say!("uploader: warning: {warning}");
        }
        Ok(Image::Disk(Disk::planned(prepared, self.level)))
    }
}

/// Whether a file begins with a zstd frame, as no disk does.
fn begins_as_pack(path: &Path) -> Result<bool, Failure> {
    let failed = |error| Failure::new(Class::Input, format!("{}: {error}", path.display()));
    let mut magic = Vec::new();
    File::open(path)
        .and_then(|file| file.take(4).read_to_end(&mut magic))
        .map_err(failed)?;
    Ok(magic == 0xFD2F_B528_u32.to_le_bytes())
}
