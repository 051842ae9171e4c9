//! Kernel modules, loaded when a device asks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;

use imgtool_init::modules::{Load, Module};
use rustix::io::Errno;

use super::wildcard;

/// The initramfs' modules, and what was done with them so far.
#[derive(Clone)]
pub(crate) struct Modules {
    modules: Vec<Module>,
    by_name: BTreeMap<String, usize>,
    /// Whether an attempt was made, for each module.
    tried: Vec<bool>,
    /// `modalias` files that were looked at.
    seen: BTreeSet<PathBuf>,
}

impl Modules {
    pub(crate) fn new(modules: Vec<Module>) -> Self {
        let by_name = modules
            .iter()
            .enumerate()
            .map(|(i, m)| (m.name.clone(), i))
            .collect();
        let tried = vec![false; modules.len()];
        Self {
            modules,
            by_name,
            tried,
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
        // Set before its dependencies are loaded: a cycle ends here.
        if std::mem::replace(&mut self.tried[index], true) {
            return false;
        }
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
        let loaded = File::open(&module.path)
            .and_then(|file| Ok(rustix::system::finit_module(file, c"", 0)?));
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
        let mut modules = Modules::new(vec![a, b]);
        assert!(modules.load(0));
        assert!(!modules.load(1));
    }
}
