//! The arguments that say what to build: shared by `build`, `plan` and `lock`.

use super::host;
use crate::spec::{
    self, Addition, ByteSize, Cmdline, EnvVar, Firmware, GuestPath, Name, Overrides, OwnerPolicy,
    Size, Spec, SpecError, SpecFile, User,
};
use clap::Args;
use std::path::{Path, PathBuf};

/// The spec in the working directory.
const SPEC: &str = "image.toml";

/// What to build.
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// Executable, directory, root file system archive, OCI image layout, or `docker save` archive
    ///
    /// An executable becomes /app, with the libraries it needs. A directory becomes the root file
    /// system; its files become root's unless --owner keep. Archives (tar; gzip, xz or zstd) and
    /// container images keep their owners. An image.toml can be given in its place, and is taken
    /// from this directory if nothing is given.
    input: Option<PathBuf>,
    /// A spec (image.toml) besides INPUT; INPUT and flags win over what it says
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// The image's name [default: from the input's file name]
    #[arg(long)]
    name: Option<Name>,
    /// Size of the disk: 8GiB, or +1GiB for that much free room [default: an exact fit]
    ///
    /// The guest grows its root to the disk it finds, so a fit is enough for most.
    #[arg(long)]
    size: Option<Size>,
    /// What can boot the image: hybrid (BIOS and UEFI), bios, uefi [default: hybrid]
    #[arg(long)]
    firmware: Option<Firmware>,
    /// Kernel: Debian's package as downloaded, or a bzImage
    #[arg(long, value_name = "DEB|FILE")]
    kernel: Option<PathBuf>,
    /// Kernel modules, if the kernel is a plain file: lib/modules/VERSION, or a package
    #[arg(long, value_name = "DIR|DEB")]
    modules: Option<PathBuf>,
    /// UEFI stub: Debian's package systemd-boot-efi, or its linuxx64.efi.stub
    #[arg(long, value_name = "DEB|FILE")]
    stub: Option<PathBuf>,
    /// Words appended to the kernel's command line
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    cmdline: Option<Cmdline>,
    /// A variable of the application's environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<EnvVar>,
    /// Who the application runs as: a name or number in the image, with :GROUP or without
    #[arg(long)]
    user: Option<User>,
    /// Add a file or directory of this host at an absolute path in the image; may be repeated
    #[arg(long, value_name = "SRC:DST")]
    add: Vec<Addition>,
    /// Who owns a directory's files in the image: root, or keep for their owners here [default:
    /// root]
    #[arg(long)]
    owner: Option<OwnerPolicy>,
    /// The image's own init, which takes over as PID 1: /sbin/init for systemd
    #[arg(long, value_name = "PATH", conflicts_with = "command")]
    init: Option<GuestPath>,
    /// Most bytes of content that the input may have, or unpack to [default: 64GiB]
    #[arg(long, value_name = "SIZE")]
    max_size: Option<ByteSize>,
    /// Unpack the kernel's package anew, and don't keep it in ~/.cache/imgtool for the next time
    #[arg(long)]
    no_cache: bool,
    /// What runs in the image: a program there and its arguments, in place of what INPUT says
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl SpecArgs {
    /// Decides, from these arguments, the spec file and the host's configuration.
    pub fn resolve(&self) -> Result<Spec, SpecError> {
        let overrides = Overrides {
            name: self.name.clone(),
            size: self.size,
            firmware: self.firmware,
            kernel: self.kernel.clone(),
            modules: self.modules.clone(),
            stub: self.stub.clone(),
            cmdline: self.cmdline.clone(),
            env: self.env.clone(),
            user: self.user.clone(),
            add: self.add.clone(),
            owner: self.owner,
            init: self.init.clone(),
            command: self.command.clone(),
            max_size: self.max_size,
            timestamp: host::source_date_epoch()?,
        };
        let path = self.spec_path();
        let file: Option<SpecFile> = path.map(spec::load).transpose()?;
        let file = file.as_ref().zip(path);
        spec::resolve(self.input(), file, &overrides, &host::config()?)
    }

    /// Where an unpacked kernel is kept, unless that is not wanted.
    pub fn cache_dir(&self) -> Option<PathBuf> {
        if self.no_cache {
            None
        } else {
            host::cache_dir()
        }
    }

    /// The spec file: `--spec`, INPUT if it is a .toml file, or, where neither is given, the
    /// image.toml in the working directory if there is one.
    pub fn spec_path(&self) -> Option<&Path> {
        match (&self.spec, &self.input) {
            (Some(spec), _) => Some(spec),
            (None, Some(input)) => Some(input.as_path()).filter(|path| is_spec(path)),
            (None, None) => Some(Path::new(SPEC)).filter(|path| path.exists()),
        }
    }

    /// INPUT as it was given.
    pub fn given_input(&self) -> Option<&Path> {
        self.input.as_deref()
    }

    /// The name as it was given.
    pub fn given_name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// A flag that was given and says something of a build, and of nothing else: for commands that
    /// build only if they are told to.
    pub fn build_flag(&self) -> Option<&'static str> {
        let flags = [
            ("--spec", self.spec.is_some()),
            ("--size", self.size.is_some()),
            ("--firmware", self.firmware.is_some()),
            ("--kernel", self.kernel.is_some()),
            ("--modules", self.modules.is_some()),
            ("--stub", self.stub.is_some()),
            ("--cmdline", self.cmdline.is_some()),
            ("--env", !self.env.is_empty()),
            ("--user", self.user.is_some()),
            ("--add", !self.add.is_empty()),
            ("--owner", self.owner.is_some()),
            ("--init", self.init.is_some()),
            ("--max-size", self.max_size.is_some()),
            ("--no-cache", self.no_cache),
            ("-- COMMAND", !self.command.is_empty()),
        ];
        flags
            .iter()
            .find(|(_, given)| *given)
            .map(|(flag, _)| *flag)
    }

    fn input(&self) -> Option<&Path> {
        self.input
            .as_deref()
            .filter(|path| self.spec.is_some() || !is_spec(path))
    }
}

fn is_spec(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "toml")
}
