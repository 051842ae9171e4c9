//! What the tests of inputs share: loading, and a dump of a tree.

use error_class::Chain;
use imgtool::input::{Input, InputError, Options, load};
use imgtool::tree::{Content, Kind, NodeId, Tree, lossy};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use testutils::{oracle_passes, scratch};

/// Options with room for everything, spooling to `dir`.
pub(crate) fn options(dir: &Path) -> Options<'_> {
    Options {
        owner: None,
        max_size: 1 << 40,
        max_files: 1_000_000,
        spool_dir: dir,
        library_dirs: &[],
    }
}

/// An input and the directory that holds it: files that are removed count as changed.
pub(crate) struct Loaded {
    input: Input,
    _dir: tempfile::TempDir,
}

impl std::ops::Deref for Loaded {
    type Target = Input;

    fn deref(&self) -> &Input {
        &self.input
    }
}

/// Writes `bytes` to a file of a scratch directory and loads it.
pub(crate) fn load_bytes(bytes: &[u8]) -> Result<Loaded, InputError> {
    let (dir, path) = scratch("in.tar");
    std::fs::write(&path, bytes).unwrap();
    let input = load(&path, &options(dir.path()))?;
    Ok(Loaded { input, _dir: dir })
}

/// The whole message of an error, causes included.
pub(crate) fn message(error: &InputError) -> String {
    Chain(error).to_string()
}

/// Everything about a file's bytes.
pub(crate) fn bytes_of(content: &Content) -> Vec<u8> {
    content.read_all(1 << 30).unwrap().unwrap()
}

/// A line for each name: path, kind, mode, owner, attributes; for files their size, data ranges
/// and digest; a further name of a node says which it is.
pub(crate) fn dump(tree: &Tree) -> String {
    let mut out = String::new();
    let mut seen: BTreeMap<NodeId, String> = BTreeMap::new();
    let mut pending = vec![("/".to_string(), Tree::ROOT)];
    while let Some((path, id)) = pending.pop() {
        let node = tree.node(id);
        let meta = &node.meta;
        if let Some(first) = seen.get(&id) {
            writeln!(out, "{path} = {first}").unwrap();
            continue;
        }
        seen.insert(id, path.clone());
        write!(out, "{path} {:04o} {}:{}", meta.mode, meta.uid, meta.gid).unwrap();
        match &node.kind {
            Kind::Dir(entries) => {
                write!(out, " dir").unwrap();
                for (name, &child) in entries.iter().rev() {
                    let slash = if path == "/" { "" } else { "/" };
                    pending.push((format!("{path}{slash}{}", lossy(name)), child));
                }
            }
            Kind::File(content) => {
                let data: Vec<_> = content.segments.iter().map(|s| (s.offset, s.len)).collect();
                let hash = hex::encode(Sha256::digest(bytes_of(content)));
                write!(out, " file {} {data:?} {}", content.size, &hash[..12]).unwrap();
            }
            Kind::Symlink(target) => write!(out, " -> {}", lossy(target)).unwrap(),
            Kind::Char { major, minor } => write!(out, " char {major},{minor}").unwrap(),
            Kind::Block { major, minor } => write!(out, " block {major},{minor}").unwrap(),
            Kind::Fifo => write!(out, " fifo").unwrap(),
            Kind::Socket => write!(out, " socket").unwrap(),
        }
        for (name, value) in &meta.xattrs {
            write!(out, " {}={}", lossy(name), hex::encode(value)).unwrap();
        }
        out.push('\n');
    }
    out
}

/// The content of a file of the tree.
pub(crate) fn read(tree: &Tree, path: &str) -> Vec<u8> {
    let id = tree.resolve(path.as_bytes()).unwrap();
    match &tree.node(id).kind {
        Kind::File(content) => bytes_of(content),
        other => panic!("{path} is {other:?}"),
    }
}

/// Runs a program of the host; `None` (reported) if it is not there, which CI does not allow.
pub(crate) fn run(program: &str, args: &[&str], dir: &Path) -> Option<()> {
    oracle_passes(Command::new(program).args(args).current_dir(dir)).map(drop)
}
