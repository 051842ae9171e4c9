//! From the canonical tree to the ext4 writer's declarations, in the order that decides the layout.

use super::metadata::BLOCK;
use super::{DiskError, acl};
use crate::tree::{Content, Kind, Node, NodeId, Tree, join, lossy};
use mkext4::{FsBuilder, InodeHandle, Meta, Options, SparseSeg, SpecialKind};

/// Bytes for attributes in an inode of 256, and in one block behind it.
const XATTR_VALUE_MAX: usize = 4000;

/// One name of one node.
struct Entry<'t> {
    parent: NodeId,
    name: &'t str,
    node: NodeId,
}

/// What the ext4 writer was told.
pub struct Declaration {
    /// The writer, ready to be sealed.
    pub fs: FsBuilder,
    /// Every regular file, in declaration order.
    pub files: Vec<(NodeId, InodeHandle)>,
    /// The file that marks the content's end, if one was asked for.
    pub sentinel: Option<InodeHandle>,
}

/// A tree in declaration order, checked for what ext4 can hold.
///
/// The order is by layer, then by name: the base's inodes and content come before the
/// application's, and a new version of the application leaves them where they are.
pub struct Declared<'t> {
    tree: &'t Tree,
    /// The first name of every node but the root, parents before children.
    entries: Vec<Entry<'t>>,
    /// Further names of nodes.
    links: Vec<Entry<'t>>,
}

impl<'t> Declared<'t> {
    /// Orders and checks `tree`.
    pub fn new(tree: &'t Tree) -> Result<Declared<'t>, DiskError> {
        let mut seen = vec![false; tree.arena_len()];
        let mut layer: Vec<u32> = vec![u32::MAX; tree.arena_len()];
        let mut paths = vec![(Vec::from(*b"/"), Tree::ROOT)];
        let (mut entries, mut links) = (Vec::new(), Vec::new());
        while let Some((path, dir)) = paths.pop() {
            check_node(&path, tree.node(dir))?;
            let mut subdirs = Vec::new();
            for (name, &node) in tree.entries(dir).into_iter().flatten() {
                let child = || join(&path, name);
                let name = std::str::from_utf8(name).map_err(|_| {
                    let why =
                        "its name is not UTF-8, and the ext4 writer stores no other: rename it";
                    unrepresentable(&child(), why)
                })?;
                if name == "lost+found" && dir == Tree::ROOT {
                    match &tree.node(node).kind {
                        // Every ext4 file system has one, which a copied tree brings along.
                        Kind::Dir(entries) if entries.is_empty() => continue,
                        _ => {
                            let why = "ext4 keeps this name for itself: remove it";
                            return Err(unrepresentable(&child(), why));
                        }
                    }
                }
                let entry = Entry {
                    parent: dir,
                    name,
                    node,
                };
                if std::mem::replace(&mut seen[tree.index(node)], true) {
                    links.push(entry);
                    continue;
                }
                if matches!(tree.node(node).kind, Kind::Dir(_)) {
                    subdirs.push((child(), node));
                } else {
                    check_node_lazily(tree.node(node), child)?;
                }
                entries.push(entry);
            }
            paths.extend(subdirs.into_iter().rev());
        }
        // A directory belongs to the lowest layer of what is below it, whatever last set its
        // owner: parents are declared before their children.
        for entry in entries.iter().rev() {
            let own = tree.index(entry.node);
            layer[own] = layer[own].min(tree.node(entry.node).layer);
            let parent = tree.index(entry.parent);
            layer[parent] = layer[parent].min(layer[own]);
        }
        entries.sort_by_key(|entry| layer[tree.index(entry.node)]);
        Ok(Declared {
            tree,
            entries,
            links,
        })
    }

    /// How many inodes the tree takes.
    pub fn inodes(&self) -> u64 {
        self.entries.len() as u64 + 1
    }

    /// A number of bytes that surely suffices for all content and metadata.
    pub fn upper_bound(&self) -> u64 {
        let mut blocks = 0u64;
        for entry in &self.entries {
            // A directory entry takes 8 bytes and the name, padded; blocks of an indexed
            // directory may be half full.
            let dirent = (8 + entry.name.len() as u64 + 3) * 2;
            let node = self.tree.node(entry.node);
            let content = match &node.kind {
                Kind::File(content) => content
                    .segments
                    .iter()
                    .fold(0u64, |sum, s| sum.saturating_add(s.len.div_ceil(BLOCK) + 1)),
                Kind::Symlink(_) => 1,
                Kind::Dir(_) => 2,
                _ => 0,
            };
            let xattrs = u64::from(!node.meta.xattrs.is_empty());
            blocks = blocks
                .saturating_add(content + xattrs)
                .saturating_add(dirent.div_ceil(BLOCK));
            // Names are small: many share a block.
            blocks = blocks.saturating_add(1);
        }
        let inode_tables = self.inodes() * 2 * 256;
        let bytes = blocks.saturating_mul(BLOCK).saturating_add(inode_tables);
        // Bitmaps, inode tables and backups of each group are under 1/32, the journal at most
        // 1/32 of a large file system and 64 MiB of a small one.
        bytes.saturating_add(bytes / 16).saturating_add(128 << 20)
    }

    /// Declares everything. With `sentinel`, a file of one block comes last: where it lands is
    /// where the content ends.
    pub fn declare(&self, options: Options, sentinel: bool) -> Result<Declaration, DiskError> {
        let time = (options.epoch, 0);
        let mut fs = FsBuilder::new(options).map_err(DiskError::Ext4)?;
        let mut handles: Vec<InodeHandle> = vec![mkext4::ROOT; self.tree.arena_len()];
        let mut files = Vec::new();
        let root = self.tree.node(Tree::ROOT);
        fs.set_meta(mkext4::ROOT, meta(root, time))
            .map_err(DiskError::Ext4)?;
        set_xattrs(&mut fs, mkext4::ROOT, root)?;
        for entry in &self.entries {
            let node = self.tree.node(entry.node);
            let parent = handles[self.tree.index(entry.parent)];
            let handle = declare_node(&mut fs, parent, entry.name, node, time)?;
            set_xattrs(&mut fs, handle, node)?;
            handles[self.tree.index(entry.node)] = handle;
            if matches!(node.kind, Kind::File(_)) {
                files.push((entry.node, handle));
            }
        }
        for link in &self.links {
            let (parent, target) = (self.tree.index(link.parent), self.tree.index(link.node));
            fs.hardlink(handles[parent], link.name, handles[target])
                .map_err(DiskError::Ext4)?;
        }
        let sentinel = if sentinel {
            let mut name = String::from("\u{1}");
            while self.tree.child(Tree::ROOT, name.as_bytes()).is_some() {
                name.push('\u{1}');
            }
            let meta = Meta::new(0o600, 0, 0, time);
            Some(
                fs.file(mkext4::ROOT, &name, meta, BLOCK)
                    .map_err(DiskError::Ext4)?,
            )
        } else {
            None
        };
        Ok(Declaration {
            fs,
            files,
            sentinel,
        })
    }

    /// The content of a file.
    pub fn content(&self, node: NodeId) -> Option<&'t Content> {
        match &self.tree.node(node).kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }
}

fn declare_node(
    fs: &mut FsBuilder,
    parent: InodeHandle,
    name: &str,
    node: &Node,
    time: (i64, u32),
) -> Result<InodeHandle, DiskError> {
    let meta = meta(node, time);
    match &node.kind {
        Kind::Dir(_) => fs.mkdir(parent, name, meta),
        Kind::File(content) => match sparse(content) {
            None => fs.file(parent, name, meta, content.size),
            Some(segments) => fs.file_sparse(parent, name, meta, &segments),
        },
        Kind::Symlink(target) => {
            let target = std::str::from_utf8(target)
                .map_err(|_| unrepresentable(name.as_bytes(), SYMLINK_NOT_UTF8))?;
            fs.symlink(parent, name, target, meta)
        }
        &Kind::Char { major, minor } => {
            fs.mknod(parent, name, meta, SpecialKind::Char { major, minor })
        }
        &Kind::Block { major, minor } => {
            fs.mknod(parent, name, meta, SpecialKind::Block { major, minor })
        }
        Kind::Fifo => fs.mknod(parent, name, meta, SpecialKind::Fifo),
        Kind::Socket => fs.mknod(parent, name, meta, SpecialKind::Socket),
    }
    .map_err(DiskError::Ext4)
}

const SYMLINK_NOT_UTF8: &str =
    "its target is not UTF-8, and the ext4 writer stores no other: change the link";

/// The segment list of a file with holes; `None` if it has none.
fn sparse(content: &Content) -> Option<Vec<SparseSeg>> {
    let mut segments = Vec::new();
    let mut end = 0;
    for segment in &content.segments {
        if segment.offset > end {
            segments.push(SparseSeg::Hole(segment.offset - end));
        }
        segments.push(SparseSeg::Data(segment.len));
        end = segment.offset + segment.len;
    }
    if content.size > end {
        segments.push(SparseSeg::Hole(content.size - end));
    }
    segments
        .iter()
        .any(|s| matches!(s, SparseSeg::Hole(_)))
        .then_some(segments)
}

fn meta(node: &Node, time: (i64, u32)) -> Meta {
    Meta::new(node.meta.mode & 0o7777, node.meta.uid, node.meta.gid, time)
}

fn set_xattrs(fs: &mut FsBuilder, handle: InodeHandle, node: &Node) -> Result<(), DiskError> {
    for (name, value) in &node.meta.xattrs {
        let name = std::str::from_utf8(name)
            .map_err(|_| unrepresentable(name, "an extended attribute's name is not UTF-8"))?;
        let converted;
        let value = if name.starts_with("system.posix_acl_") {
            converted = acl::to_disk(value)
                .ok_or_else(|| unrepresentable(name.as_bytes(), "not an access control list"))?;
            &converted[..]
        } else {
            value
        };
        fs.set_xattr(handle, name, value).map_err(DiskError::Ext4)?;
    }
    Ok(())
}

fn check_node(path: &[u8], node: &Node) -> Result<(), DiskError> {
    check_node_lazily(node, || path.to_vec())
}

/// Refuses what ext4, or its writer, can't hold, by the path in the image.
fn check_node_lazily(node: &Node, path: impl Fn() -> Vec<u8>) -> Result<(), DiskError> {
    let mut room = XATTR_VALUE_MAX;
    for (name, value) in &node.meta.xattrs {
        room = match room.checked_sub(name.len() + value.len() + 20) {
            Some(room) => room,
            None => {
                let why = "more extended attributes than ext4 holds for one file (4 KiB)";
                return Err(unrepresentable(&path(), why));
            }
        };
    }
    match &node.kind {
        Kind::Symlink(target) => {
            if std::str::from_utf8(target).is_err() {
                return Err(unrepresentable(&path(), SYMLINK_NOT_UTF8));
            }
            if target.is_empty() || target.len() > 4095 || target.contains(&0) {
                let why = "its target has to be 1 to 4095 bytes long, without NUL";
                return Err(unrepresentable(&path(), why));
            }
        }
        &(Kind::Char { major, minor } | Kind::Block { major, minor })
            if major > 0xfff || minor > 0xf_ffff =>
        {
            let why = format!("device number {major}:{minor} is larger than 4095:1048575");
            return Err(unrepresentable(&path(), &why));
        }
        Kind::File(content) => {
            if content.size > 16 << 40 {
                return Err(unrepresentable(&path(), "larger than 16 TiB"));
            }
            let mut end = 0;
            for segment in &content.segments {
                let aligned = segment.offset % BLOCK == 0
                    && (segment.len % BLOCK == 0 || segment.offset + segment.len == content.size);
                if segment.offset < end || segment.len == 0 || !aligned {
                    let why = "its data is not in whole blocks (please report this)";
                    return Err(unrepresentable(&path(), why));
                }
                end = segment.offset + segment.len;
            }
        }
        _ => {}
    }
    Ok(())
}

fn unrepresentable(path: &[u8], why: &str) -> DiskError {
    DiskError::Unrepresentable {
        path: lossy(path),
        why: why.to_string(),
    }
}
