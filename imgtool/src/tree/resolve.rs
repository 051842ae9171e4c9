//! Paths through symbolic links, followed inside the tree and never on the host.

use super::{Kind, Meta, Name, Node, NodeId, Tree, TreeError, check_name, lossy};
use std::collections::BTreeMap;

/// Longest path in bytes: Linux opens nothing longer (`PATH_MAX` is 4096 with the final NUL).
const MAX_PATH: usize = 4095;
/// Symbolic links followed on one path before it counts as a loop, as in Linux.
const MAX_LINKS: usize = 40;

/// Why a path leads nowhere in the tree.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResolveError {
    /// A path component is not there.
    #[error("{0:?} is not there")]
    Missing(String),
    /// A path component is a file.
    #[error("{0:?} is not a directory")]
    NotADirectory(String),
    /// The path has a `..` component.
    #[error("its path contains \"..\"")]
    DotDot,
    /// A link on the path leads above the root.
    #[error("the symbolic link {0:?} on its path leads out of the root directory")]
    Escape(String),
    /// Links lead to links without end.
    #[error("its path leads through more than 40 symbolic links: a loop")]
    Loop,
    /// The path is longer than Linux can open.
    #[error("its path is longer than 4095 bytes, which Linux can't open")]
    TooLong,
    /// A component is not a name.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Where a path leads once the links in its directories are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The directory that holds the name.
    pub dir: NodeId,
    /// The last component of the path; `None` if the path is the root directory.
    pub name: Option<Name>,
}

impl Tree {
    /// Follows `path` from the root, and a link at its end, too.
    pub fn resolve(&self, path: &[u8]) -> Result<NodeId, ResolveError> {
        let mut walker = Walker::new(path, true)?;
        match walker.advance(self)? {
            Stop::Node(id) => Ok(id),
            Stop::Last(name) | Stop::Missing(name) => Err(walker.missing(&name)),
        }
    }

    /// Follows the directories of `path`, not its last component, which need not be there.
    pub fn locate(&self, path: &[u8]) -> Result<Place, ResolveError> {
        let mut walker = Walker::new(path, false)?;
        match walker.advance(self)? {
            Stop::Node(dir) => Ok(Place { dir, name: None }),
            Stop::Last(name) => Ok(walker.place(name)),
            Stop::Missing(name) => Err(walker.missing(&name)),
        }
    }

    /// Like [`Tree::locate`], and makes the directories that are missing: mode 0755, owned by
    /// root, in `layer`. `grow` is asked before each of them is made.
    pub fn locate_or_create<E: From<ResolveError>>(
        &mut self,
        path: &[u8],
        layer: u32,
        mut grow: impl FnMut() -> Result<(), E>,
    ) -> Result<Place, E> {
        let mut walker = Walker::new(path, false)?;
        loop {
            match walker.advance(self)? {
                Stop::Node(dir) => return Ok(Place { dir, name: None }),
                Stop::Last(name) => return Ok(walker.place(name)),
                Stop::Missing(name) => {
                    grow()?;
                    let node = Node {
                        meta: Meta::root(0o755),
                        kind: Kind::Dir(BTreeMap::new()),
                        layer,
                    };
                    let id = self
                        .insert(walker.dir(), &name, node)
                        .map_err(ResolveError::from)?;
                    walker.enter(id, &name)?;
                }
            }
        }
    }
}

/// Where [`Walker::advance`] stopped.
enum Stop {
    /// At the end of the path.
    Node(NodeId),
    /// Before the last component, which is not to be followed.
    Last(Name),
    /// At a component that is not there.
    Missing(Name),
}

struct Walker {
    /// Components still to walk, the next one last.
    pending: Vec<Name>,
    /// Directories from the root to here, each with the length of the path to it.
    stack: Vec<(NodeId, usize)>,
    path: Vec<u8>,
    links: usize,
    follow_last: bool,
}

impl Walker {
    fn new(path: &[u8], follow_last: bool) -> Result<Walker, ResolveError> {
        if path.len() > MAX_PATH {
            return Err(ResolveError::TooLong);
        }
        let mut walker = Walker {
            pending: Vec::new(),
            stack: vec![(Tree::ROOT, 0)],
            path: Vec::new(),
            links: 0,
            follow_last,
        };
        walker.push_components(path);
        for name in &walker.pending {
            if **name == *b".." {
                return Err(ResolveError::DotDot);
            }
            check_name(name)?;
        }
        Ok(walker)
    }

    fn push_components(&mut self, path: &[u8]) {
        let names = path
            .split(|&b| b == b'/')
            .filter(|n| !n.is_empty() && *n != b".");
        self.pending.extend(names.rev().map(Name::from));
    }

    fn dir(&self) -> NodeId {
        self.stack.last().map_or(Tree::ROOT, |&(id, _)| id)
    }

    fn place(&self, name: Name) -> Place {
        Place {
            dir: self.dir(),
            name: Some(name),
        }
    }

    fn missing(&self, name: &[u8]) -> ResolveError {
        ResolveError::Missing(self.path_of(name))
    }

    fn path_of(&self, name: &[u8]) -> String {
        let mut path = self.path.clone();
        path.push(b'/');
        path.extend_from_slice(name);
        lossy(&path)
    }

    fn enter(&mut self, id: NodeId, name: &[u8]) -> Result<(), ResolveError> {
        self.check_length(name)?;
        self.path.push(b'/');
        self.path.extend_from_slice(name);
        self.stack.push((id, self.path.len()));
        Ok(())
    }

    /// A path that only links keep short is refused as well: every file must have one that opens.
    fn check_length(&self, name: &[u8]) -> Result<(), ResolveError> {
        if self.path.len() + 1 + name.len() > MAX_PATH {
            return Err(ResolveError::TooLong);
        }
        Ok(())
    }

    fn advance(&mut self, tree: &Tree) -> Result<Stop, ResolveError> {
        while let Some(name) = self.pending.pop() {
            if *name == *b".." {
                // Only a link's target can hold one, see `new`.
                if self.stack.len() < 2 {
                    return Err(ResolveError::Escape(lossy(&name)));
                }
                self.stack.pop();
                let len = self.stack.last().map_or(0, |&(_, len)| len);
                self.path.truncate(len);
                continue;
            }
            // What a link stands for lies above the last component, so this one is the path's own.
            if !self.follow_last && self.pending.is_empty() {
                self.check_length(&name)?;
                return Ok(Stop::Last(name));
            }
            let Some(child) = tree.child(self.dir(), &name) else {
                // A link's target may hold anything.
                check_name(&name)?;
                return Ok(Stop::Missing(name));
            };
            match &tree.node(child).kind {
                Kind::Dir(_) => self.enter(child, &name)?,
                Kind::Symlink(target) => {
                    self.links += 1;
                    if self.links > MAX_LINKS {
                        return Err(ResolveError::Loop);
                    }
                    if target.first() == Some(&b'/') {
                        self.stack.truncate(1);
                        self.path.clear();
                    }
                    self.check_target(&name, target)?;
                    self.push_components(target);
                }
                _ if self.pending.is_empty() => return Ok(Stop::Node(child)),
                _ => return Err(ResolveError::NotADirectory(self.path_of(&name))),
            }
        }
        Ok(Stop::Node(self.dir()))
    }

    /// Refuses a target with more `..` than the link is deep, while the link's name is at hand.
    fn check_target(&self, name: &[u8], target: &[u8]) -> Result<(), ResolveError> {
        let mut depth = self.stack.len() - 1;
        for part in target.split(|&b| b == b'/') {
            match part {
                b"" | b"." => {}
                b".." if depth == 0 => return Err(ResolveError::Escape(self.path_of(name))),
                b".." => depth -= 1,
                _ => depth += 1,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(links: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, target) in links {
            let place = tree
                .locate_or_create::<ResolveError>(path.as_bytes(), 0, || Ok(()))
                .unwrap();
            let node = Node {
                meta: Meta::root(0o777),
                kind: if target.is_empty() {
                    Kind::Fifo
                } else {
                    Kind::Symlink(target.as_bytes().into())
                },
                layer: 0,
            };
            tree.insert(place.dir, &place.name.unwrap(), node).unwrap();
        }
        tree
    }

    #[test]
    fn links_are_followed_inside_the_tree() {
        let tree = tree(&[
            ("usr/lib/f", ""),
            ("lib", "usr/lib"),
            ("abs", "/usr/lib"),
            ("usr/up", "../lib"),
            ("file", "abs/f"),
        ]);
        let f = tree.lookup(b"/usr/lib/f").unwrap();
        for path in ["/lib/f", "abs/f", "usr/up/f", "file", "./usr//lib/f"] {
            assert_eq!(tree.resolve(path.as_bytes()), Ok(f), "{path}");
        }
        let place = tree.locate(b"usr/up/new").unwrap();
        assert_eq!(Some(place.dir), tree.lookup(b"/usr/lib"));
        assert_eq!(place.name.as_deref(), Some(&b"new"[..]));
        // The last component is not followed.
        let place = tree.locate(b"/lib").unwrap();
        assert_eq!(
            (place.dir, tree.locate(b"/").unwrap().name),
            (Tree::ROOT, None)
        );
    }

    #[test]
    fn paths_that_lead_nowhere_are_refused() {
        let mut tree = tree(&[
            ("loop", "loop2/x"),
            ("loop2", "loop/x"),
            ("out", "../etc"),
            ("deep/out", "../../etc"),
            ("f", ""),
            ("dangling", "nowhere/at/all"),
        ]);
        let escape = |s: &str| ResolveError::Escape(s.to_string());
        for (path, error) in [
            ("loop/a", ResolveError::Loop),
            ("out/passwd", escape("/out")),
            ("deep/out/passwd", escape("/deep/out")),
            ("a/../b", ResolveError::DotDot),
            ("f/x", ResolveError::NotADirectory("/f".to_string())),
            ("no/x", ResolveError::Missing("/no".to_string())),
            ("dangling/x", ResolveError::Missing("/nowhere".to_string())),
        ] {
            assert_eq!(tree.locate(path.as_bytes()), Err(error), "{path}");
        }
        assert_eq!(tree.locate(&b"a/".repeat(3000)), Err(ResolveError::TooLong));
        // A dangling link's directories are made where it points, as container runtimes do.
        let place = tree
            .locate_or_create::<ResolveError>(b"dangling/x", 3, || Ok(()))
            .unwrap();
        assert_eq!(Some(place.dir), tree.lookup(b"/nowhere/at/all"));
    }

    #[test]
    fn links_cannot_build_a_path_that_does_not_open() {
        let mut tree = Tree::new();
        let mut at = Vec::new();
        for round in 0..40 {
            let mut path = at.clone();
            path.extend_from_slice(b"/x".repeat(100).as_slice());
            let link = format!("l{round}").into_bytes();
            let mut inner = path.clone();
            inner.extend_from_slice(b"/f");
            let made = tree.locate_or_create::<ResolveError>(&inner, 0, || Ok(()));
            if made == Err(ResolveError::TooLong) {
                return;
            }
            made.unwrap();
            // The link stands for all that was walked so far, by way of the link before it.
            let node = Node {
                meta: Meta::root(0o777),
                kind: Kind::Symlink(path.clone().into()),
                layer: 0,
            };
            tree.insert(Tree::ROOT, &link, node).unwrap();
            at = [b"/".as_slice(), &link].concat();
        }
        panic!("a path of 8000 bytes was made");
    }
}
