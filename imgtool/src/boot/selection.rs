//! Which of a kernel's modules the guest gets.

use std::collections::BTreeMap;

use imgtool_init::modules::Load;

use super::error::BootError;
use super::kernel::Kernel;
use super::modinfo::{modinfo, normalise};

/// Size of all modules that the guest gets, at most.
const MAX_SELECTED: usize = 256 << 20;
/// How deep dependencies nest, at most. Real ones nest about five deep.
const MAX_DEPTH: usize = 64;

/// A module that the guest is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedModule<'a> {
    /// Its name, with hyphens or underscores.
    pub name: &'a str,
    /// When it is loaded.
    pub load: Load,
    /// No error if the kernel does not have it.
    pub optional: bool,
}

/// A module for the initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedModule {
    /// Name with underscores.
    pub name: String,
    /// The uncompressed `.ko`.
    pub bytes: Vec<u8>,
    /// Names of modules that must be loaded before.
    pub depends: Vec<String>,
    /// `alias=` patterns.
    pub aliases: Vec<String>,
    /// When it is loaded.
    pub load: Load,
}

/// The wanted modules of a kernel and what they depend on, dependencies first, otherwise in the
/// order of `wanted`. What is built in is left out.
pub fn select_modules(
    kernel: &Kernel,
    wanted: &[WantedModule<'_>],
) -> Result<Vec<LoadedModule>, BootError> {
    if wanted.iter().all(|w| w.optional) && !kernel.modules.is_given() {
        return Ok(Vec::new());
    }
    if !kernel.modules.is_given() {
        return Err(BootError::NoModules {
            version: kernel.version.clone(),
        });
    }
    if kernel.modules.is_empty() {
        // The user said so: all drivers are built in.
        return Ok(Vec::new());
    }
    let mut selection = Selection {
        kernel,
        modules: Vec::new(),
        state: BTreeMap::new(),
        bytes: 0,
    };
    for w in wanted {
        let name = normalise(w.name);
        if w.optional && !kernel.modules.knows(&name) {
            continue;
        }
        if let Some(at) = selection.add(&name, None, 0)? {
            let selected = &mut selection.modules[at];
            selected.load = selected.load.max(w.load);
        }
    }
    Ok(selection.modules)
}

enum State {
    /// Its dependencies are being added.
    Begun,
    /// Index among the modules; `None` if built in.
    Done(Option<usize>),
}

struct Selection<'a> {
    kernel: &'a Kernel,
    modules: Vec<LoadedModule>,
    state: BTreeMap<String, State>,
    bytes: usize,
}

impl Selection<'_> {
    /// Adds a module after its dependencies; its index, or `None` if it is built in.
    fn add(
        &mut self,
        name: &str,
        needed_by: Option<&str>,
        depth: usize,
    ) -> Result<Option<usize>, BootError> {
        let wrong = |why: String| BootError::Module {
            name: name.to_owned(),
            why,
        };
        match self.state.get(name) {
            Some(State::Done(at)) => return Ok(*at),
            Some(State::Begun) => return Err(wrong("depends on itself".into())),
            None => {}
        }
        if depth > MAX_DEPTH {
            return Err(wrong(format!("dependencies more than {MAX_DEPTH} deep")));
        }
        let Some(bytes) = self.kernel.modules.load(name)? else {
            if !self.kernel.modules.is_builtin(name) {
                return Err(BootError::ModuleMissing {
                    version: self.kernel.version.clone(),
                    name: name.to_owned(),
                    needed_by: needed_by.map(str::to_owned),
                });
            }
            self.state.insert(name.to_owned(), State::Done(None));
            return Ok(None);
        };
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > MAX_SELECTED {
            return Err(wrong("the modules take more than 256 MiB".into()));
        }
        let info = modinfo(&bytes).map_err(wrong)?;
        if let Some(release) = &info.release
            && *release != self.kernel.version
        {
            return Err(wrong(format!(
                "built for kernel {release}, not {}",
                self.kernel.version
            )));
        }
        self.state.insert(name.to_owned(), State::Begun);
        let mut depends = Vec::new();
        for dependency in info.depends {
            if self.add(&dependency, Some(name), depth + 1)?.is_some() {
                depends.push(dependency);
            }
        }
        let at = self.modules.len();
        self.modules.push(LoadedModule {
            name: name.to_owned(),
            bytes,
            depends,
            aliases: info.aliases,
            load: Load::ForDevice,
        });
        self.state.insert(name.to_owned(), State::Done(Some(at)));
        Ok(Some(at))
    }
}

#[cfg(test)]
mod tests;
