//! The initramfs: two cpio archives of the "newc" format (Linux's
//! Documentation/driver-api/early-userspace/buffer-format.rst), uncompressed: the kernel is
//! spared the work, and the pack compresses it anyway.
//!
//! The first holds PID 1 and the modules, the second the guest's configuration, so that a changed
//! application changes only the end.

use imgtool_init::config::{self, GuestConfig};
use imgtool_init::modules::{self, Module, ModuleIndex};

use super::error::BootError;
use super::selection::LoadedModule;

/// Archives are padded to a multiple of this.
const BLOCK: usize = 512;
const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
/// Where modules are.
const MODULES: &str = "modules";
/// Mount points and directories of files. Parents come before what is in them.
const DIRECTORIES: &[&str] = &["dev", "proc", "run", "sys", "root", "imgtool", MODULES];

/// What an initramfs is made of.
#[derive(Debug, Clone, Copy)]
pub struct InitramfsSpec<'a> {
    /// PID 1, a static executable.
    pub init: &'a [u8],
    /// What PID 1 is to do.
    pub guest: &'a GuestConfig,
    /// Modules, dependencies first.
    pub modules: &'a [LoadedModule],
}

/// Makes an initramfs: `/init`, `/imgtool/modules.json`, `/modules/*.ko` and `/dev/console`, then
/// `/imgtool/guest.json`. Times are 0, everything is root's.
pub fn initramfs(spec: InitramfsSpec<'_>) -> Result<Vec<u8>, BootError> {
    let path_of = |m: &LoadedModule| format!("{MODULES}/{}.ko", m.name);
    let index = ModuleIndex {
        modules: spec
            .modules
            .iter()
            .map(|m| Module {
                name: m.name.clone(),
                path: format!("/{}", path_of(m)),
                depends: m.depends.clone(),
                aliases: m.aliases.clone(),
                load: m.load,
            })
            .collect(),
    };
    let mut cpio = Cpio::default();
    for name in DIRECTORIES {
        cpio.entry(name, S_IFDIR | 0o755, (0, 0), &[])?;
    }
    // The kernel opens it for PID 1's stdin, stdout and stderr before anything is mounted.
    cpio.entry("dev/console", S_IFCHR | 0o600, (5, 1), &[])?;
    cpio.entry("init", S_IFREG | 0o755, (0, 0), spec.init)?;
    cpio.file(modules::PATH, &json(&index)?)?;
    for module in spec.modules {
        cpio.file(&path_of(module), &module.bytes)?;
    }
    cpio.end()?;
    cpio.file(config::PATH, &json(spec.guest)?)?;
    cpio.end()?;
    Ok(cpio.bytes)
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, BootError> {
    serde_json::to_vec(value).map_err(|e| BootError::Initramfs(e.to_string()))
}

#[derive(Default)]
struct Cpio {
    bytes: Vec<u8>,
    ino: u32,
}

impl Cpio {
    fn file(&mut self, path: &str, content: &[u8]) -> Result<(), BootError> {
        let name = path.trim_start_matches('/');
        self.entry(name, S_IFREG | 0o644, (0, 0), content)
    }

    fn entry(
        &mut self,
        name: &str,
        mode: u32,
        (major, minor): (u32, u32),
        content: &[u8],
    ) -> Result<(), BootError> {
        self.ino += 1;
        let links = if mode & S_IFDIR != 0 { 2 } else { 1 };
        self.record(name, [self.ino, mode, links, major, minor], content)
    }

    /// Ends an archive and fills the block.
    fn end(&mut self) -> Result<(), BootError> {
        self.record("TRAILER!!!", [0, 0, 1, 0, 0], &[])?;
        self.pad(BLOCK);
        Ok(())
    }

    fn record(
        &mut self,
        name: &str,
        [ino, mode, links, major, minor]: [u32; 5],
        content: &[u8],
    ) -> Result<(), BootError> {
        let size = u32::try_from(content.len())
            .map_err(|_| BootError::Initramfs(format!("{name}: larger than 4 GiB")))?;
        let name_size = u32::try_from(name.len() + 1)
            .map_err(|_| BootError::Initramfs("a name longer than 4 GiB".into()))?;
        self.bytes.extend_from_slice(b"070701");
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor,
        // namesize, check
        for field in [
            ino, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0,
        ] {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend_from_slice(content);
        self.pad(4);
        Ok(())
    }

    fn pad(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use imgtool_init::config::Run;
    use imgtool_init::modules::Load;

    use super::*;

    fn guest(hostname: &str) -> GuestConfig {
        GuestConfig {
            identity: "0123".into(),
            root_partition: "00000000-0000-0000-0000-000000000001".into(),
            hostname: hostname.into(),
            grow: true,
            run: Run::Init {
                path: "/sbin/init".into(),
            },
        }
    }

    fn module(name: &str, depends: &[&str]) -> LoadedModule {
        LoadedModule {
            name: name.into(),
            bytes: format!("code of {name}").into(),
            depends: depends.iter().map(|d| d.to_string()).collect(),
            aliases: vec![format!("pci:{name}*")],
            load: Load::ForDevice,
        }
    }

    fn sample(hostname: &str) -> Vec<u8> {
        initramfs(InitramfsSpec {
            init: b"\x7fELF init",
            guest: &guest(hostname),
            modules: &[module("virtio", &[]), module("virtio_blk", &["virtio"])],
        })
        .unwrap()
    }

    /// Name to `(fields, content)`, read as the kernel's init/initramfs.c reads: headers at
    /// multiples of 4, zeros between archives skipped.
    fn read(mut cpio: &[u8]) -> BTreeMap<String, (Vec<u32>, Vec<u8>)> {
        let mut entries = BTreeMap::new();
        let mut trailers = 0;
        while !cpio.is_empty() {
            if cpio[0] == 0 {
                cpio = &cpio[4..];
                continue;
            }
            assert_eq!(&cpio[..6], b"070701");
            let fields: Vec<_> = (0..13)
                .map(|i| std::str::from_utf8(&cpio[6 + 8 * i..14 + 8 * i]).unwrap())
                .map(|hex| u32::from_str_radix(hex, 16).unwrap())
                .collect();
            let (size, name_size) = (fields[6] as usize, fields[11] as usize);
            let name = String::from_utf8(cpio[110..110 + name_size - 1].to_vec()).unwrap();
            assert_eq!(cpio[110 + name_size - 1], 0);
            let at = (110 + name_size).next_multiple_of(4);
            let content = cpio[at..at + size].to_vec();
            cpio = &cpio[(at + size).next_multiple_of(4)..];
            if name == "TRAILER!!!" {
                trailers += 1;
            } else {
                let parent = name.rsplit_once('/').map(|(dir, _)| dir.to_owned());
                assert!(
                    parent.is_none_or(|dir| entries.contains_key(&dir)),
                    "{name}"
                );
                assert!(entries.insert(name, (fields, content)).is_none());
            }
        }
        assert_eq!(trailers, 2);
        entries
    }

    #[test]
    fn holds_what_the_kernel_and_pid_1_look_for() {
        let bytes = sample("a");
        assert_eq!(bytes.len() % BLOCK, 0);
        let entries = read(&bytes);
        let mode = |name: &str| entries[name].0[1];
        assert_eq!(mode("init"), 0o100_755);
        assert_eq!(entries["init"].1, b"\x7fELF init");
        assert_eq!(mode("dev/console"), 0o020_600);
        assert_eq!(entries["dev/console"].0[9..11], [5, 1]);
        for dir in ["dev", "proc", "sys", "run"] {
            assert_eq!(mode(dir), 0o040_755);
        }
        let content = |path: &str| &entries[path.trim_start_matches('/')].1;
        let read: GuestConfig = serde_json::from_slice(content(config::PATH)).unwrap();
        assert_eq!(read, guest("a"));
        let index: ModuleIndex = serde_json::from_slice(content(modules::PATH)).unwrap();
        assert_eq!(index.modules.len(), 2);
        for module in &index.modules {
            assert_eq!(
                *content(&module.path),
                format!("code of {}", module.name).into_bytes()
            );
        }
        assert_eq!(index.modules[1].depends, ["virtio"]);
        let mut inos: Vec<_> = entries.values().map(|(fields, _)| fields[0]).collect();
        inos.sort();
        assert_eq!(inos, (1..=entries.len() as u32).collect::<Vec<_>>());
        assert!(entries.values().all(|(fields, _)| fields[5] == 0), "mtime");
    }

    #[test]
    fn another_configuration_changes_only_the_second_archive() {
        let (a, b) = (sample("a"), sample("b"));
        let end = a.windows(10).position(|w| w == b"TRAILER!!!").unwrap();
        let second = end.next_multiple_of(BLOCK);
        assert_eq!(a[..second], b[..second]);
        assert_ne!(a[second..], b[second..]);
        assert_eq!(a, sample("a"));
    }
}
