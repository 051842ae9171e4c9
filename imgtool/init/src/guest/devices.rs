//! Kernel modules, loaded when a device asks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use imgtool_init::modules::{Load, Module};
use rustix::io::Errno;

use super::failure::{Context, Failure, Result};
use super::wildcard;

/// The initramfs' modules, and what was done with them so far.
pub(crate) struct Modules {
    modules: Vec<Module>,
    by_name: BTreeMap<String, usize>,
    /// The file of each module that no attempt was made to load: they are open, so that the initramfs
    /// may go.
    files: Vec<Option<io::Result<File>>>,
    /// `modalias` files that were looked at.
    seen: BTreeSet<PathBuf>,
}

impl Modules {
    pub(crate) fn open(modules: Vec<Module>) -> Self {
        let by_name = modules
            .iter()
            .enumerate()
            .map(|(i, m)| (m.name.clone(), i))
            .collect();
        let files = modules.iter().map(|m| Some(File::open(&m.path))).collect();
        Self {
            modules,
            by_name,
            files,
            seen: BTreeSet::new(),
        }
    }

    /// Loads those that no device asks for and whose time it is.
    pub(crate) fn load_all(&mut self, due: Load) {
        for index in 0..self.modules.len() {
            if self.modules[index].load == due {
                self.load(index);
            }
        }
    }

    /// Loads what the devices ask for that are new since the last call, and then what the devices
    /// ask for that came with those modules, until there are no more.
    pub(crate) fn load_for_devices(&mut self) {
        loop {
            let wanted: Vec<usize> = self
                .new_devices()
                .iter()
                .flat_map(|modalias| wanted(&self.modules, modalias))
                .collect();
            if wanted.iter().filter(|&&index| self.load(index)).count() == 0 {
                return;
            }
        }
    }

    /// Loads in a thread of its own what the devices ask for: the kernel checks a signature for each
    /// module, which takes time.
    pub(crate) fn load_in_background(mut self) -> Result<Loading> {
        let loading = thread::Builder::new()
            .name("modules".into())
            .spawn(move || {
                self.load_for_devices();
                self
            })
            .context(|| "can't start a thread".to_owned())?;
        Ok(Loading(loading))
    }

    /// The `modalias` of each device that was not there at the last call.
    fn new_devices(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for bus in list("/sys/bus".into()) {
            for device in list(bus.join("devices")) {
                let path = device.join("modalias");
                if !self.seen.contains(&path)
                    && let Ok(modalias) = fs::read_to_string(&path)
                {
                    found.push(modalias.trim_end().to_owned());
                    self.seen.insert(path);
                }
            }
        }
        found
    }

    /// Loads one module after those it depends on; whether anything was new about it.
    fn load(&mut self, index: usize) -> bool {
        // Taken before its dependencies are loaded: a cycle ends here.
        let Some(file) = self.files[index].take() else {
            return false;
        };
        for name in self.modules[index].depends.clone() {
            match self.by_name.get(&name) {
                Some(&needed) => {
                    self.load(needed);
                }
                None => say!(
                    "warning: module {} needs {name}, which the initramfs lacks",
                    self.modules[index].name
                ),
            }
        }
        let module = &self.modules[index];
        let loaded = file.and_then(|file| Ok(rustix::system::finit_module(file, c"", 0)?));
        match loaded {
            Ok(()) => true,
            Err(error) if Errno::from_io_error(&error) == Some(Errno::EXIST) => true,
            Err(error) => {
                say!("warning: can't load module {}: {error}", module.name);
                true
            }
        }
    }
}

/// Modules that are being loaded.
pub(crate) struct Loading(JoinHandle<Modules>);

impl Loading {
    /// Waits for those that devices ask for; [`Load::Always`] is left to do.
    pub(crate) fn wait(self) -> Result<Modules> {
        let mut modules = self
            .0
            .join()
            .map_err(|_| Failure::new("loading modules ended early".to_owned()))?;
        // While root became `/`, there was no `/sys` for a moment.
        modules.load_for_devices();
        Ok(modules)
    }
}

/// The modules that have an alias for `modalias`.
fn wanted(modules: &[Module], modalias: &str) -> Vec<usize> {
    let fits = |module: &Module| {
        module
            .aliases
            .iter()
            .any(|a| wildcard::matches(a, modalias))
    };
    (0..modules.len())
        .filter(|&index| fits(&modules[index]))
        .collect()
}

/// A directory's entries, sorted; none when it can't be read.
pub(crate) fn list(directory: PathBuf) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, aliases: &[&str]) -> Module {
        Module {
            name: name.into(),
            path: format!("/nonexistent/{name}.ko"),
            depends: Vec::new(),
            aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
            load: Load::ForDevice,
        }
    }

    #[test]
    fn a_device_gets_each_module_with_an_alias_for_it() {
        let modules = [
            module("virtio_blk", &["virtio:d00000002v*"]),
            module("virtio_net", &["virtio:d00000001v*"]),
            module("other", &["pci:*", "virtio:*"]),
        ];
        assert_eq!(wanted(&modules, "virtio:d00000001v00001AF4"), [1, 2]);
        assert_eq!(wanted(&modules, "acpi:PNP0A03:"), [0; 0]);
    }

    #[test]
    fn modules_that_depend_on_each_other_end() {
        let mut a = module("a", &[]);
        let mut b = module("b", &[]);
        a.depends = vec!["b".into(), "missing".into()];
        b.depends = vec!["a".into()];
        let mut modules = Modules::open(vec![a, b]);
        assert!(modules.load(0));
        assert!(!modules.load(1));
    }
}
