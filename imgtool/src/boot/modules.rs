//! Kernel modules: where they come from, and which of a package are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::deb::{is_deb, read_deb};
use super::decompress::{Compression, read_bounded};
use super::error::BootError;
use super::modinfo::normalise;

/// Size of an uncompressed module, at most.
const MAX_MODULE: u64 = 64 << 20;
const MAX_FILES: usize = 200_000;
/// How deep directories nest, at most.
const MAX_DIRECTORIES: usize = 16;

/// What of a package is kept: directories below `kernel/` where drivers of virtual machines'
/// disks and networks live, and what those depend on. A generic kernel's package unpacks to
/// 400 MiB, most of it sound, graphics, wireless and file systems.
const KEPT: &[&str] = &[
    "arch/x86/",
    "block/",
    "crypto/",
    "drivers/acpi/",
    "drivers/ata/",
    "drivers/block/",
    "drivers/cdrom/",
    "drivers/char/",
    "drivers/dax/",
    "drivers/hv/",
    "drivers/input/",
    "drivers/net/ethernet/amazon/",
    "drivers/net/ethernet/google/",
    "drivers/net/ethernet/intel/ixgbevf/",
    "drivers/net/ethernet/intel/libeth/",
    "drivers/net/ethernet/microsoft/",
    "drivers/net/hyperv/",
    "drivers/net/vmxnet3/",
    "drivers/nvme/",
    "drivers/pps/",
    "drivers/ptp/",
    "drivers/scsi/",
    "drivers/virtio/",
    "drivers/xen/",
    "fs/ext4/",
    "fs/fat/",
    "fs/jbd2/",
    "fs/mbcache.ko",
    "fs/nls/",
    "lib/",
    "net/core/",
];

/// The modules that belong to a kernel.
#[derive(Debug, Default)]
pub struct ModuleSource {
    /// By name with underscores.
    files: BTreeMap<String, ModuleFile>,
    builtin: BTreeSet<String>,
    given: bool,
}

#[derive(Debug)]
struct ModuleFile {
    compression: Compression,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Bytes(Vec<u8>),
    Path(PathBuf),
}

impl ModuleSource {
    /// For a kernel that came alone.
    pub fn none() -> ModuleSource {
        ModuleSource::default()
    }

    /// Whether there is neither a module nor a list of what is built in.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.builtin.is_empty()
    }

    /// Whether there is a source of modules at all, be it an empty one.
    pub(super) fn is_given(&self) -> bool {
        self.given
    }

    /// Whether this module, a name with underscores, is built into the kernel.
    pub(super) fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(name)
    }

    /// Whether this module, a name with underscores, is there or built in.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.files.contains_key(name) || self.is_builtin(name)
    }

    /// Modules for kernel `version` from a directory `lib/modules/VERSION`, a root that holds
    /// one, or a Debian package. An empty directory stands for a kernel without modules.
    pub fn open(path: &Path, version: &str) -> Result<ModuleSource, BootError> {
        let metadata = fs::metadata(path).map_err(BootError::read(path))?;
        if !metadata.is_dir() {
            if is_deb(path)? {
                let deb = read_deb(path, &mut is_module_file)?;
                return ModuleSource::from_package(path, deb.files, version);
            }
            return Err(BootError::Modules {
                path: path.to_owned(),
                why: "neither a directory of modules nor a Debian package".into(),
            });
        }
        let places = [
            path.to_owned(),
            path.join("lib/modules").join(version),
            path.join("usr/lib/modules").join(version),
            path.join(version),
        ];
        let found = places
            .iter()
            .find(|p| p.join("kernel").is_dir() || p.join("modules.builtin").is_file());
        if let Some(dir) = found {
            return ModuleSource::from_directory(dir);
        }
        let mut entries = fs::read_dir(path).map_err(BootError::read(path))?;
        if entries.next().is_none() {
            return Ok(ModuleSource {
                given: true,
                ..ModuleSource::default()
            });
        }
        Err(BootError::Modules {
            path: path.to_owned(),
            why: format!("holds no modules for kernel {version} (no lib/modules/{version})"),
        })
    }

    fn from_directory(dir: &Path) -> Result<ModuleSource, BootError> {
        let builtin_path = dir.join("modules.builtin");
        let builtin = match File::open(&builtin_path) {
            Ok(file) => read_bounded(file, "the file", MAX_MODULE),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
        .map_err(BootError::read(&builtin_path))?;
        let mut files = BTreeMap::new();
        let mut seen = 0;
        // As depmod does by default: modules in updates/ take precedence.
        for top in ["updates", "kernel", "extra"] {
            walk(&dir.join(top), 0, &mut seen, &mut files)?;
        }
        Ok(ModuleSource {
            files,
            builtin: parse_builtin(&builtin),
            given: true,
        })
    }

    /// Modules out of a package's files, as `is_module_file` chose them.
    pub(super) fn from_package(
        path: &Path,
        package: BTreeMap<String, Vec<u8>>,
        version: &str,
    ) -> Result<ModuleSource, BootError> {
        let mut source = ModuleSource::none();
        for (name, bytes) in package {
            let Some((its_version, rest)) = below_modules(&name) else {
                continue;
            };
            if its_version != version {
                return Err(BootError::Modules {
                    path: path.to_owned(),
                    why: format!("its modules are for kernel {its_version}, not {version}"),
                });
            }
            source.given = true;
            if rest == "modules.builtin" {
                source.builtin = parse_builtin(&bytes);
            } else if let Some((module, compression)) = module_name(rest) {
                source.files.insert(
                    module,
                    ModuleFile {
                        compression,
                        body: Body::Bytes(bytes),
                    },
                );
            }
        }
        Ok(source)
    }

    /// The uncompressed module; `None` if there is none of that name.
    pub(super) fn load(&self, name: &str) -> Result<Option<Vec<u8>>, BootError> {
        let Some(file) = self.files.get(name) else {
            return Ok(None);
        };
        let read = |from: &mut dyn std::io::BufRead| {
            read_bounded(file.compression.decoder(from)?, "the module", MAX_MODULE)
        };
        match &file.body {
            Body::Bytes(bytes) => read(&mut &bytes[..]).map_err(|e| BootError::Module {
                name: name.to_owned(),
                why: format!("can't be decompressed: {e}"),
            }),
            Body::Path(path) => File::open(path)
                .and_then(|f| read(&mut std::io::BufReader::new(f)))
                .map_err(BootError::read(path)),
        }
        .map(Some)
    }
}

/// Whether a package's file is `modules.builtin` or a module of a kind that is kept.
pub(super) fn is_module_file(path: &str) -> bool {
    let Some((_, rest)) = below_modules(path) else {
        return false;
    };
    if rest == "modules.builtin" {
        return true;
    }
    let Some(rest) = rest.strip_prefix("kernel/") else {
        return false;
    };
    // Drivers of network cards that are single files: virtio_net, xen-netfront.
    let flat = rest
        .strip_prefix("drivers/net/")
        .is_some_and(|name| !name.contains('/'));
    module_name(rest).is_some() && (flat || KEPT.iter().any(|dir| rest.starts_with(dir)))
}

/// Splits `[usr/]lib/modules/VERSION/REST`.
fn below_modules(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("usr/")
        .unwrap_or(path)
        .strip_prefix("lib/modules/")?
        .split_once('/')
}

/// Name and compression by the file's name; `None` if it is no module's.
fn module_name(path: &str) -> Option<(String, Compression)> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let (stem, rest) = file.split_once(".ko")?;
    let compression = match rest.strip_prefix('.') {
        Some(extension) if !extension.is_empty() => Compression::from_extension(extension)?,
        None if rest.is_empty() => Compression::None,
        _ => return None,
    };
    let sound = !stem.is_empty()
        && stem.len() <= 128
        && stem
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.+".contains(&b));
    sound.then(|| (normalise(stem), compression))
}

/// `modules.builtin`: a path as of a module per line.
fn parse_builtin(bytes: &[u8]) -> BTreeSet<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .filter_map(|line| module_name(line.trim()))
        .map(|(name, _)| name)
        .collect()
}

/// Adds the modules below `dir`, in name order; the first of a name stays. Symbolic links are
/// not followed.
fn walk(
    dir: &Path,
    depth: usize,
    seen: &mut usize,
    files: &mut BTreeMap<String, ModuleFile>,
) -> Result<(), BootError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if depth == 0 && e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(BootError::read(dir)(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(BootError::read(dir))?;
        let kind = entry.file_type().map_err(BootError::read(dir))?;
        names.push((entry.file_name(), kind));
        *seen += 1;
        if *seen > MAX_FILES || depth > MAX_DIRECTORIES {
            return Err(BootError::Modules {
                path: dir.to_owned(),
                why: "too many files or too deep for a directory of modules".into(),
            });
        }
    }
    names.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, kind) in names {
        let path = dir.join(&name);
        if kind.is_dir() {
            walk(&path, depth + 1, seen, files)?;
        } else if let Some((module, compression)) = name.to_str().and_then(module_name)
            && kind.is_file()
        {
            let body = Body::Path(path);
            files
                .entry(module)
                .or_insert(ModuleFile { compression, body });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ModuleSource {
        /// Reads the files of a directory that is about to go away.
        pub(in crate::boot) fn read_all(&mut self) {
            for file in self.files.values_mut() {
                if let Body::Path(path) = &file.body {
                    file.body = Body::Bytes(fs::read(path).unwrap());
                }
            }
        }
    }

    #[test]
    fn only_modules_for_virtual_machines_are_kept_of_a_package() {
        for (path, kept) in [
            ("lib/modules/6.1/kernel/drivers/block/virtio_blk.ko", true),
            (
                "usr/lib/modules/6.1/kernel/drivers/block/virtio_blk.ko.xz",
                true,
            ),
            ("lib/modules/6.1/kernel/drivers/net/virtio_net.ko.zst", true),
            ("lib/modules/6.1/kernel/fs/mbcache.ko", true),
            ("lib/modules/6.1/modules.builtin", true),
            ("lib/modules/6.1/modules.builtin.modinfo", false),
            ("lib/modules/6.1/kernel/sound/core/snd.ko", false),
            (
                "lib/modules/6.1/kernel/drivers/net/wireless/ath/ath.ko",
                false,
            ),
            (
                "lib/modules/6.1/kernel/drivers/block/virtio_blk.ko.lz4",
                false,
            ),
            ("lib/modules/6.1/kernel/drivers/block/README", false),
            ("boot/vmlinuz-6.1", false),
        ] {
            assert_eq!(is_module_file(path), kept, "{path}");
        }
    }
}
