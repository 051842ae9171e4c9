//! An ELF executable as an image: the program at `/app`, a dynamic one with its interpreter and
//! libraries at the paths where that interpreter looks for them.

mod closure;
mod headers;

pub use headers::ElfHeaders;

use super::span::Span;
use super::{InputError, Options, scan, xattrs};
use crate::tree::{Kind, Meta, Node, Tree, Xattrs};
use std::path::Path;

/// Where the program goes.
pub(super) const APP: &str = "/app";

/// Reads the headers of the executable at `path`; refuses what can't be run, with the reason.
pub(super) fn executable(path: &Path, span: &Span) -> Result<ElfHeaders, InputError> {
    let headers = headers::read(span)?;
    if !headers.executable {
        return Err(InputError::file(
            path,
            "a shared library, not a program: it has no entry point or no interpreter",
        ));
    }
    if headers.interpreter.is_none() && !headers.needed.is_empty() {
        return Err(InputError::file(
            path,
            "needs libraries, but names no interpreter to load them",
        ));
    }
    Ok(headers)
}

/// Reads the headers of an ELF file that is in memory. `name` is what messages call it.
pub fn elf_needed(name: &str, bytes: &[u8]) -> Result<ElfHeaders, InputError> {
    headers::read(&super::in_memory(name, bytes)?)
}

/// The tree of an executable and all that its interpreter loads.
pub(super) fn load(
    path: &Path,
    headers: &ElfHeaders,
    options: &Options<'_>,
) -> Result<Tree, InputError> {
    let budget = super::Budget::new(&path.display().to_string(), options);
    let mut files = vec![(APP.to_string(), path.to_path_buf(), xattrs::read(path)?)];
    if headers.interpreter.is_some() {
        let libraries = closure::find(path, headers, options.library_dirs)?;
        // Attributes of the host's libraries have no meaning in the image.
        let libraries = libraries.into_iter();
        files.extend(libraries.map(|(to, from)| (to, from, Xattrs::new())));
    }
    let mut tree = Tree::new();
    for (to, from, xattrs) in files {
        // A library's name on the host is often a link to the file.
        let from = std::fs::canonicalize(&from).map_err(|e| InputError::io(&from, e))?;
        let found = scan::file(&from, super::OwnerPolicy::Root)?;
        if !matches!(found.kind, Kind::File(_)) {
            return Err(InputError::file(&from, "not a regular file"));
        }
        let node = Node {
            meta: Meta {
                xattrs,
                ..Meta::root(0o755)
            },
            ..found
        };
        budget.file()?;
        budget.content(&node)?;
        super::place_at(&mut tree, &to, node, &budget)?;
    }
    Ok(tree)
}
