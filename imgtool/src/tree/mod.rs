//! The canonical tree: what the root file system will hold, whatever it came from.
//!
//! A tree is an arena of nodes. Names are bytes; directories are sorted by name; hard links are
//! several names for one node; times are not kept, because every time in an image is the spec's.

mod content;
mod holes;
mod resolve;

pub use content::{Content, ContentError, HostFile, Region, Regions, Segment, Source};
pub use holes::{CHUNK, find_data, is_zero};
pub use resolve::{Place, ResolveError};

use std::collections::BTreeMap;

/// A name in a directory: 1 to 255 bytes, no `/`, no NUL, not `.` or `..`.
pub type Name = Box<[u8]>;

/// Extended attributes by full name (`user.…`, `security.capability`, …), values as the
/// `getxattr(2)` system call returns them.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Index of a node in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

/// Permission bits, owner and extended attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with set-id and sticky bits: `0o7777` at most.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Meta {
    /// Owned by root, without extended attributes.
    pub fn root(mode: u16) -> Meta {
        Meta {
            mode,
            uid: 0,
            gid: 0,
            xattrs: Xattrs::new(),
        }
    }
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Directory.
    Dir(BTreeMap<Name, NodeId>),
    /// Regular file.
    File(Content),
    /// Symbolic link: 1 to 4095 bytes, no NUL.
    Symlink(Box<[u8]>),
    /// Character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Named pipe.
    Fifo,
    /// Unix socket.
    Socket,
}

/// One inode of the future file system.
#[derive(Debug, Clone)]
pub struct Node {
    /// Permission bits, owner, extended attributes.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
    /// Position in the order of inputs: 0 is the base. Content of a lower layer lies before that
    /// of a higher one on the disk, so a new application leaves the base's blocks alone.
    pub layer: u32,
}

/// Why a change to a tree is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TreeError {
    /// A name ext4 (or Linux) can't hold.
    #[error("{path:?}: {why}")]
    Name {
        /// The name, or path, lossily decoded.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The parent is not a directory.
    #[error("{0:?}: not a directory")]
    NotADirectory(String),
    /// A directory can't have a second name.
    #[error("{0:?}: a hard link to a directory")]
    LinkToDirectory(String),
    /// More nodes than an ext4 file system can have inodes.
    #[error("more than {} files", u32::MAX - 16)]
    TooManyNodes,
}

/// The canonical tree.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// The root directory.
    pub const ROOT: NodeId = NodeId(0);

    /// A tree of just a root directory, mode 0755, owned by root.
    pub fn new() -> Tree {
        Tree {
            nodes: vec![Node {
                meta: Meta::root(0o755),
                kind: Kind::Dir(BTreeMap::new()),
                layer: 0,
            }],
        }
    }

    /// The node behind `id`.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The node behind `id`, to change it.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// How many nodes the arena holds, unlinked ones too; ids are below it.
    pub fn arena_len(&self) -> usize {
        self.nodes.len()
    }

    /// The arena index of `id`, for side tables.
    pub fn index(&self, id: NodeId) -> usize {
        id.0 as usize
    }

    /// The entries of a directory in name order; `None` if `id` is something else.
    pub fn entries(&self, id: NodeId) -> Option<&BTreeMap<Name, NodeId>> {
        match &self.node(id).kind {
            Kind::Dir(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry `name` of directory `dir`.
    pub fn child(&self, dir: NodeId, name: &[u8]) -> Option<NodeId> {
        self.entries(dir)?.get(name).copied()
    }

    /// Puts a new node at `dir`/`name`. An entry of that name is replaced, with all below it.
    pub fn insert(&mut self, dir: NodeId, name: &[u8], node: Node) -> Result<NodeId, TreeError> {
        check_name(name)?;
        if self.nodes.len() >= (u32::MAX - 16) as usize {
            return Err(TreeError::TooManyNodes);
        }
        let id = NodeId(self.nodes.len() as u32);
        self.put_entry(dir, name, id)?;
        self.nodes.push(node);
        Ok(id)
    }

    /// Gives `target` the further name `dir`/`name`. An entry of that name is replaced.
    pub fn link(&mut self, dir: NodeId, name: &[u8], target: NodeId) -> Result<(), TreeError> {
        check_name(name)?;
        if matches!(self.node(target).kind, Kind::Dir(_)) {
            return Err(TreeError::LinkToDirectory(lossy(name)));
        }
        self.put_entry(dir, name, target)
    }

    /// Removes `dir`/`name` with all below it; says whether it was there.
    pub fn remove(&mut self, dir: NodeId, name: &[u8]) -> bool {
        match &mut self.node_mut(dir).kind {
            Kind::Dir(entries) => entries.remove(name).is_some(),
            _ => false,
        }
    }

    /// Walks path components from the root without following symbolic links.
    pub fn lookup(&self, path: &[u8]) -> Option<NodeId> {
        let mut at = Tree::ROOT;
        for name in path
            .split(|&b| b == b'/')
            .filter(|n| !n.is_empty() && *n != b".")
        {
            at = self.child(at, name)?;
        }
        Some(at)
    }

    /// The highest layer of any node.
    pub fn top_layer(&self) -> u32 {
        self.nodes.iter().map(|n| n.layer).max().unwrap_or(0)
    }

    /// Every linked node once, parents before children, entries in name order, each with one of
    /// its paths (absolute, `/` for the root). Further names of a node are not visited again.
    pub fn walk(&self) -> Vec<(Vec<u8>, NodeId)> {
        let mut seen = vec![false; self.nodes.len()];
        let mut out = Vec::new();
        let mut stack = vec![(b"/".to_vec(), Tree::ROOT)];
        while let Some((path, id)) = stack.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            if let Kind::Dir(entries) = &self.node(id).kind {
                for (name, &child) in entries.iter().rev() {
                    stack.push((join(&path, name), child));
                }
            }
            out.push((path, id));
        }
        out
    }

    fn put_entry(&mut self, dir: NodeId, name: &[u8], id: NodeId) -> Result<(), TreeError> {
        match &mut self.node_mut(dir).kind {
            Kind::Dir(entries) => {
                entries.insert(name.into(), id);
                Ok(())
            }
            _ => Err(TreeError::NotADirectory(lossy(name))),
        }
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new()
    }
}

/// Refuses what can't be a name in a directory.
pub fn check_name(name: &[u8]) -> Result<(), TreeError> {
    let why = if name.is_empty() {
        "an empty name"
    } else if name.len() > 255 {
        "a name longer than 255 bytes, which ext4 can't hold"
    } else if name.contains(&0) {
        "a name with a NUL byte"
    } else if name.contains(&b'/') {
        "a name with a slash"
    } else if name == b"." || name == b".." {
        "a reserved name"
    } else {
        return Ok(());
    };
    Err(TreeError::Name {
        path: lossy(name),
        why,
    })
}

/// Joins a directory's path and a name.
pub fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = dir.to_vec();
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Bytes as text for a message.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> Node {
        Node {
            meta: Meta::root(0o755),
            kind: Kind::Dir(BTreeMap::new()),
            layer: 0,
        }
    }

    #[test]
    fn walk_is_in_name_order_and_visits_a_hard_link_once() {
        let mut tree = Tree::new();
        let b = tree.insert(Tree::ROOT, b"b", dir()).unwrap();
        tree.insert(Tree::ROOT, b"a", dir()).unwrap();
        let fifo = Node {
            meta: Meta::root(0o600),
            kind: Kind::Fifo,
            layer: 0,
        };
        let f = tree.insert(b, b"f", fifo).unwrap();
        tree.link(Tree::ROOT, b"c", f).unwrap();
        let paths: Vec<_> = tree.walk().into_iter().map(|(p, _)| lossy(&p)).collect();
        assert_eq!(paths, ["/", "/a", "/b", "/b/f"]);
    }

    #[test]
    fn names_ext4_cannot_hold_are_refused() {
        for name in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'x'; 256]] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        check_name(&[b'x'; 255]).unwrap();
    }
}
