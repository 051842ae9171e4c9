//! What a user has (an executable, a directory, an archive, a container image) as a
//! [`Tree`], with what a container's configuration says of how it runs.

mod add;
mod budget;
mod compression;
mod detect;
mod digest;
mod elf;
mod error;
mod oci;
mod scan;
mod span;
mod tar;
mod user;
mod xattrs;

pub use add::add;
pub use detect::detect;
pub use digest::digest;
pub use elf::{ElfHeaders, elf_needed};
pub use error::InputError;
pub use oci::container_config;
pub use user::resolve_user;

use crate::tree::{Node, NodeId, ResolveError, Tree};
use budget::Budget;
use span::Span;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Whose the files of a directory become. Archives and container images keep their owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerPolicy {
    /// User 0, group 0: a tree checked out by one user here and another there is one image.
    Root,
    /// As they are on the host.
    Keep,
}

/// How inputs are read, and how much they may be.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Owners of a directory's files; `None` is [`OwnerPolicy::Root`].
    pub owner: Option<OwnerPolicy>,
    /// Most bytes of content in total, holes not counted; also most bytes that decompression
    /// may put out.
    pub max_size: u64,
    /// Most files (directories and entries of archives included) in total.
    pub max_files: u64,
    /// Directory for unnamed temporary files: decompressed archives.
    pub spool_dir: &'a Path,
    /// Directories searched for the libraries of a dynamic executable, in order.
    pub library_dirs: &'a [PathBuf],
}

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// An executable; a dynamic one has an interpreter.
    Elf {
        /// Whether it has an interpreter.
        dynamic: bool,
    },
    /// A directory that is a root file system.
    Directory,
    /// A tar archive of a root file system, compressed or not.
    Tar,
    /// A directory that is an OCI image layout.
    OciLayout,
    /// A tar archive of an OCI image layout.
    OciArchive,
    /// What `docker save` wrote.
    DockerArchive,
}

/// What a container image says of how it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerConfig {
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, or the program if there is no entrypoint.
    pub cmd: Vec<String>,
    /// Environment, in order.
    pub env: Vec<(String, String)>,
    /// User, as [`resolve_user`] takes it.
    pub user: Option<String>,
    /// Working directory.
    pub working_dir: Option<String>,
}

/// A loaded input.
#[derive(Debug, Clone)]
pub struct Input {
    /// What it is.
    pub kind: InputKind,
    /// Its files.
    pub tree: Tree,
    /// What it says of how it runs; empty but for container images. An executable's entrypoint
    /// is `/app`.
    pub config: ContainerConfig,
    /// What a person should know, in a fixed order.
    pub warnings: Vec<String>,
}

/// Reads the input at `path`: its names and metadata, and where its content is. Content is read
/// later, except that archives are decompressed and blobs of container images are verified.
pub fn load(path: &Path, options: &Options<'_>) -> Result<Input, InputError> {
    let name = path.display().to_string();
    let real = std::fs::canonicalize(path).map_err(|e| InputError::io(path, e))?;
    let budget = Budget::new(&name, options);
    let mut warnings = BTreeSet::new();
    let mut config = ContainerConfig::default();
    let (kind, tree) = match detect::first_look(path)? {
        detect::FirstLook::Directory => {
            let owner = options.owner.unwrap_or(OwnerPolicy::Root);
            (
                InputKind::Directory,
                scan::directory(&real, owner, &budget)?,
            )
        }
        detect::FirstLook::OciLayout => {
            let store = oci::Store::directory(&name, &real);
            let image = oci::layout(&store, options, &budget, &mut warnings)?;
            config = image.config;
            (InputKind::OciLayout, image.tree)
        }
        detect::FirstLook::Elf(headers) => {
            let dynamic = headers.interpreter.is_some();
            config.entrypoint.push(elf::APP.to_string());
            (
                InputKind::Elf { dynamic },
                elf::load(&real, &headers, options)?,
            )
        }
        detect::FirstLook::Archive(compression) => {
            let mut span = Span::open(&real)?.named(&name);
            if let Some(compression) = compression {
                span = compression::spool(&span, compression, options, &budget)?.span;
                detect::check_tar(&span)?;
            }
            archive(&span, options, &budget, &mut config, &mut warnings)?
        }
    };
    Ok(Input {
        kind,
        tree,
        config,
        warnings: warnings.into_iter().collect(),
    })
}

/// A tar archive: a container image if it holds one, else a root file system.
fn archive(
    span: &Span,
    options: &Options<'_>,
    budget: &Budget,
    config: &mut ContainerConfig,
    warnings: &mut BTreeSet<String>,
) -> Result<(InputKind, Tree), InputError> {
    let (kind, image) = match oci::Store::archive(span, options)? {
        Some((oci::Form::Layout, store)) => (
            InputKind::OciArchive,
            oci::layout(&store, options, budget, warnings)?,
        ),
        Some((oci::Form::Docker, store)) => (
            InputKind::DockerArchive,
            oci::docker(&store, options, budget, warnings)?,
        ),
        None => {
            let mut tree = Tree::new();
            let mode = tar::Mode {
                layer: 0,
                whiteouts: false,
                require_end: true,
                holes: true,
            };
            tar::apply(&mut tree, span, mode, budget, warnings)?;
            // A file of zeros is an archive of nothing, but nobody means it.
            if tree.entries(Tree::ROOT).is_none_or(|e| e.is_empty()) {
                return Err(InputError::File {
                    path: span.name.to_string(),
                    why: "an archive without files".to_string(),
                });
            }
            return Ok((InputKind::Tar, tree));
        }
    };
    *config = image.config;
    Ok((kind, image.tree))
}

/// Reads a plain tar archive that is in memory, as [`load`] reads one from a file. `name` is what
/// messages call it.
pub fn tar_from_bytes(name: &str, bytes: &[u8], options: &Options<'_>) -> Result<Tree, InputError> {
    let span = in_memory(name, bytes)?;
    let budget = Budget::new(name, options);
    let mut config = ContainerConfig::default();
    let mut warnings = BTreeSet::new();
    archive(&span, options, &budget, &mut config, &mut warnings).map(|(_, tree)| tree)
}

/// Bytes as an unnamed file in memory.
fn in_memory(name: &str, bytes: &[u8]) -> Result<Span, InputError> {
    use std::io::Write;
    let io = |source: std::io::Error| InputError::Io {
        path: name.to_string(),
        source,
    };
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let fd = rustix::fs::memfd_create("imgtool", flags).map_err(|e| io(e.into()))?;
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes).map_err(io)?;
    Ok(Span::unnamed(file, name, bytes.len() as u64))
}

/// Puts `node` at the absolute path `to`, whose directories are made if they are missing.
fn place_at(tree: &mut Tree, to: &str, node: Node, budget: &Budget) -> Result<NodeId, InputError> {
    let refuse = |why: String| InputError::File {
        path: to.to_string(),
        why: format!("can't be a path in the image: {why}"),
    };
    let place = tree
        .locate_or_create(to.as_bytes(), node.layer, || {
            budget.file().map_err(Blocked::Budget)
        })
        .map_err(|blocked| match blocked {
            Blocked::Budget(error) => error,
            Blocked::Path(error) => refuse(error.to_string()),
        })?;
    let name = place
        .name
        .ok_or_else(|| refuse("it is the root directory".to_string()))?;
    tree.insert(place.dir, &name, node)
        .map_err(|e| refuse(e.to_string()))
}

/// Why a path can't be made.
enum Blocked {
    Budget(InputError),
    Path(ResolveError),
}

impl From<ResolveError> for Blocked {
    fn from(error: ResolveError) -> Blocked {
        Blocked::Path(error)
    }
}
