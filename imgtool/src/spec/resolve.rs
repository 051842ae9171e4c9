//! From what flags, `image.toml` and the host say to one decided [`Spec`].

use std::path::{Path, PathBuf};

use super::{
    Addition, AppChoice, ByteSize, Cmdline, EnvVar, Firmware, GuestPath, HostConfig, Name,
    OwnerPolicy, Size, Spec, SpecError, SpecFile, User,
};

/// Bytes the unpacked input may have at most, unless said otherwise: far above what is shipped as
/// an image, far below what an archive of zeros unpacks to.
const DEFAULT_MAX_SIZE: u64 = 64 << 30;
/// The usual size of a disk whose root does not grow: PID 1 writes `/etc/resolv.conf` there, and of free
/// blocks Linux keeps a fiftieth of the file system, 16 MiB at most, to itself (ext4's
/// `reserved_clusters`).
pub const WITHOUT_GROWTH: Size = Size::Fit { extra: 17 << 20 };

/// What the command line says; `None` and empty mean: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--name`
    pub name: Option<Name>,
    /// `--size`
    pub size: Option<Size>,
    /// `--firmware`
    pub firmware: Option<Firmware>,
    /// `--kernel`
    pub kernel: Option<PathBuf>,
    /// `--modules`
    pub modules: Option<PathBuf>,
    /// `--stub`
    pub stub: Option<PathBuf>,
    /// `--cmdline`
    pub cmdline: Option<Cmdline>,
    /// `--env`, in order; added to what `image.toml` says.
    pub env: Vec<EnvVar>,
    /// `--user`
    pub user: Option<User>,
    /// `--add`, in order; after what `image.toml` adds.
    pub add: Vec<Addition>,
    /// `--owner`
    pub owner: Option<OwnerPolicy>,
    /// `--init`
    pub init: Option<GuestPath>,
    /// `-- COMMAND ARGS…`; empty is the same as absent.
    pub command: Vec<String>,
    /// `--max-size`
    pub max_size: Option<ByteSize>,
    /// `SOURCE_DATE_EPOCH`
    pub timestamp: Option<u32>,
}

/// Decides. `file` is `image.toml` and the path it was read from, which its paths are relative to.
pub fn resolve(
    input: Option<&Path>,
    file: Option<(&SpecFile, &Path)>,
    overrides: &Overrides,
    host: &HostConfig,
) -> Result<Spec, SpecError> {
    let nothing = SpecFile::default();
    let (said, path) = file.unwrap_or((&nothing, Path::new("")));
    let here = |p: &Option<PathBuf>| p.as_ref().map(|p| beside(path, p));

    let input = input
        .map(Path::to_owned)
        .or_else(|| here(&said.input))
        .ok_or(SpecError::NoInput)?;
    let name = overrides.name.as_ref().or(said.name.as_ref());
    let name = name.map_or_else(|| default_name(&input), |n| n.as_str().to_owned());
    let firmware = overrides.firmware.or(said.firmware).unwrap_or_default();
    let kernel = overrides
        .kernel
        .clone()
        .or_else(|| here(&said.kernel))
        .or_else(|| host.kernel.clone())
        .ok_or(SpecError::NoKernel)?;
    let stub = match firmware {
        Firmware::Bios => None,
        Firmware::Hybrid | Firmware::Uefi => Some(
            overrides
                .stub
                .clone()
                .or_else(|| here(&said.stub))
                .or_else(|| host.stub.clone())
                .ok_or(SpecError::NoStub {
                    firmware: firmware.word(),
                })?,
        ),
    };
    let grow = said.grow.unwrap_or(true);
    let modules = modules(&here(&said.kernel), &here(&said.modules), overrides, host);
    let from_file = said
        .add
        .iter()
        .map(|a| (beside(path, &a.source), a.target.as_str().to_owned()));
    let from_flags = overrides
        .add
        .iter()
        .map(|a| (a.source.clone(), a.target.as_str().to_owned()));

    Ok(Spec {
        size: overrides.size.or(said.size).unwrap_or(if grow {
            Size::default()
        } else {
            WITHOUT_GROWTH
        }),
        firmware,
        kernel,
        modules,
        stub,
        extra_cmdline: overrides
            .cmdline
            .as_ref()
            .or(said.cmdline.as_ref())
            .map(|c| c.as_str().to_owned()),
        app: choice(said, overrides)?,
        hostname: said
            .hostname
            .as_ref()
            .map_or_else(|| default_hostname(&name), |h| h.as_str().to_owned()),
        add: from_file.chain(from_flags).collect(),
        owner: overrides.owner.or(said.owner),
        max_size: overrides
            .max_size
            .or(said.max_size)
            .map_or(DEFAULT_MAX_SIZE, |size| size.0),
        timestamp: overrides.timestamp.or(said.timestamp).unwrap_or(0),
        grow,
        label: said
            .label
            .as_ref()
            .map_or("root", |label| label.as_str())
            .to_owned(),
        input,
        name,
    })
}

/// Modules belong to a kernel: a source's modules count only where no source of higher precedence
/// names a kernel.
fn modules(
    file_kernel: &Option<PathBuf>,
    file_modules: &Option<PathBuf>,
    overrides: &Overrides,
    host: &HostConfig,
) -> Option<PathBuf> {
    if overrides.modules.is_some() || overrides.kernel.is_some() {
        return overrides.modules.clone();
    }
    if file_modules.is_some() || file_kernel.is_some() {
        return file_modules.clone();
    }
    host.modules.clone()
}

fn choice(said: &SpecFile, flags: &Overrides) -> Result<AppChoice, SpecError> {
    let path = |p: &GuestPath| p.as_str().to_owned();
    let command_line = (!flags.command.is_empty()).then(|| flags.command.clone());
    // A command given with flags takes the place of the file's `init`.
    let init = match (&flags.init, &command_line) {
        (Some(init), _) => Some(path(init)),
        (None, Some(_)) => None,
        (None, None) => said.init.as_ref().map(path),
    };
    // `--init` takes the place of what the file says about the application; otherwise the two
    // contradict each other.
    let file_counts = flags.init.is_none();
    if init.is_some() {
        let given = [
            ("a command", command_line.is_some()),
            ("--env", !flags.env.is_empty()),
            ("--user", flags.user.is_some()),
            ("`entrypoint`", file_counts && said.entrypoint.is_some()),
            ("`command`", file_counts && said.command.is_some()),
            ("`env`", file_counts && !said.env.is_empty()),
            ("`user`", file_counts && said.user.is_some()),
            (
                "`working_directory`",
                file_counts && said.working_directory.is_some(),
            ),
            ("`restart`", file_counts && said.restart.is_some()),
            (
                "`wait_for_network`",
                file_counts && said.wait_for_network.is_some(),
            ),
        ];
        if let Some((field, _)) = given.into_iter().find(|&(_, given)| given) {
            return Err(SpecError::InitAndApplication { field });
        }
        return Ok(AppChoice {
            init,
            ..AppChoice::default()
        });
    }
    let file_env = said.env.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    let flag_env = flags
        .env
        .iter()
        .map(|e| (e.name.as_str(), e.value.as_str()));
    Ok(AppChoice {
        init: None,
        command_line,
        entrypoint: said.entrypoint.clone(),
        command: said.command.clone(),
        env: file_env
            .chain(flag_env)
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect(),
        user: flags
            .user
            .as_ref()
            .or(said.user.as_ref())
            .map(|u| u.as_str().to_owned()),
        working_directory: said.working_directory.as_ref().map(path),
        restart: said.restart.unwrap_or_default(),
        wait_for_network: said.wait_for_network,
    })
}

/// `path` as seen from the directory that `file` is in.
pub(super) fn beside(file: &Path, path: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

/// The name of an image made from `input`: its file name without an archive's suffix, what a
/// [`Name`] can't hold replaced by `-`; `image` if nothing is left.
pub fn default_name(input: &Path) -> String {
    const SUFFIXES: [&str; 9] = [
        ".tar.gz", ".tar.xz", ".tar.zst", ".tgz", ".txz", ".tzst", ".tar", ".oci", ".img",
    ];
    let file_name = input.file_name().unwrap_or_default().to_string_lossy();
    let stem = SUFFIXES
        .iter()
        .find_map(|suffix| file_name.strip_suffix(suffix))
        .unwrap_or(&file_name);
    let name: String = stem
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() => c,
            '.' | '_' => c,
            _ => '-',
        })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(63)
        .collect();
    if name.is_empty() {
        "image".to_owned()
    } else {
        name
    }
}

/// The name as a [`Hostname`] of one label: `.` and `_` become `-`.
fn default_hostname(name: &str) -> String {
    let host = name.replace(['.', '_'], "-");
    let host = host.trim_matches('-');
    if host.is_empty() { "localhost" } else { host }.to_owned()
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
