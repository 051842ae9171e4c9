//! What an input may cost: bytes of content and files, in total.

use super::{InputError, Options};
use crate::tree::{Kind, Node, Tree};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts against [`Options::max_size`] and [`Options::max_files`]. Holes cost nothing.
#[derive(Debug)]
pub(super) struct Budget {
    name: String,
    max_size: u64,
    max_files: u64,
    size: AtomicU64,
    files: AtomicU64,
    spooled: AtomicU64,
}

impl Budget {
    pub(super) fn new(name: &str, options: &Options<'_>) -> Budget {
        Budget {
            name: name.to_string(),
            max_size: options.max_size,
            max_files: options.max_files,
            size: AtomicU64::new(0),
            files: AtomicU64::new(0),
            spooled: AtomicU64::new(0),
        }
    }

    /// As [`Budget::new`], with what `tree` holds already counted.
    pub(super) fn of_tree(name: &str, options: &Options<'_>, tree: &Tree) -> Budget {
        let budget = Budget::new(name, options);
        let nodes = tree.walk();
        budget.files.store(nodes.len() as u64, Ordering::Relaxed);
        let size = nodes
            .iter()
            .map(|(_, id)| content_cost(tree.node(*id)))
            .fold(0, u64::saturating_add);
        budget.size.store(size, Ordering::Relaxed);
        budget
    }

    /// Counts one more file.
    pub(super) fn file(&self) -> Result<(), InputError> {
        if add(&self.files, 1) > self.max_files {
            return Err(InputError::TooManyFiles {
                name: self.name.clone(),
                limit: self.max_files,
            });
        }
        Ok(())
    }

    /// Counts what `node` holds.
    pub(super) fn content(&self, node: &Node) -> Result<(), InputError> {
        self.check(add(&self.size, content_cost(node)))
    }

    /// Counts bytes that decompression put out.
    pub(super) fn spool(&self, bytes: u64) -> Result<(), InputError> {
        self.check(add(&self.spooled, bytes))
    }

    fn check(&self, total: u64) -> Result<(), InputError> {
        if total > self.max_size {
            return Err(InputError::TooLarge {
                name: self.name.clone(),
                limit: self.max_size,
            });
        }
        Ok(())
    }
}

fn add(counter: &AtomicU64, bytes: u64) -> u64 {
    counter
        .fetch_add(bytes, Ordering::Relaxed)
        .saturating_add(bytes)
}

fn content_cost(node: &Node) -> u64 {
    let xattrs = node.meta.xattrs.iter();
    let xattrs = xattrs.map(|(name, value)| (name.len() + value.len()) as u64);
    let data = match &node.kind {
        Kind::File(content) => content
            .segments
            .iter()
            .fold(0, |sum: u64, s| sum.saturating_add(s.len)),
        _ => 0,
    };
    xattrs.fold(data, u64::saturating_add)
}
