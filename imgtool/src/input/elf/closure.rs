//! Which files a dynamic executable needs, and where its interpreter finds them (`ld.so(8)`).

use super::headers::{self, ElfHeaders};
use crate::input::InputError;
use crate::input::span::Span;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Component, Path, PathBuf};

/// Directories that interpreters search by themselves: glibc as Debian, Fedora and Alpine's musl
/// build them. What lies elsewhere needs an `ld.so.cache`, which the image does not have.
const DEFAULT_DIRS: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];
/// Most libraries of one program that are believed.
const MAX_LIBRARIES: usize = 4096;

/// An object of the closure: where it is here, where it will be, and what its headers say.
struct Loaded {
    host_dir: PathBuf,
    guest_dir: PathBuf,
    headers: ElfHeaders,
    /// `DT_RPATH` of whatever caused it to be loaded, nearest first, `(here, in the image)`.
    inherited: Vec<(PathBuf, PathBuf)>,
}

/// The interpreter and the libraries of `program`: paths in the image to files of the host.
/// All that is missing is named in one error.
pub(super) fn find(
    program: &Path,
    program_headers: &ElfHeaders,
    library_dirs: &[PathBuf],
) -> Result<BTreeMap<String, PathBuf>, InputError> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut missing: BTreeSet<String> = BTreeSet::new();
    if let Some(interpreter) = &program_headers.interpreter {
        let path = normalize(Path::new(interpreter));
        if Path::new(interpreter).is_file() {
            files.insert(text(&path), PathBuf::from(interpreter));
        } else {
            missing.insert(format!("{interpreter} (its interpreter)"));
        }
    }
    let mut known: BTreeSet<String> = BTreeSet::new();
    // By the rules, not by a search: these are found, but their directory is not one the
    // interpreter searches.
    let mut homeless: Vec<(String, PathBuf)> = Vec::new();
    let mut queue = VecDeque::from([Loaded {
        host_dir: parent(program),
        // The program is moved to the root directory, and `$ORIGIN` with it.
        guest_dir: PathBuf::from("/"),
        headers: program_headers.clone(),
        inherited: Vec::new(),
    }]);
    while let Some(object) = queue.pop_front() {
        let rpaths = search_path(&object);
        for name in &object.headers.needed {
            if !known.insert(name.clone()) {
                continue;
            }
            if known.len() > MAX_LIBRARIES {
                let why = format!("needs more than {MAX_LIBRARIES} libraries");
                return Err(InputError::file(program, why));
            }
            let Some((host, guest, headers)) = locate(name, &rpaths, library_dirs) else {
                missing.insert(name.clone());
                continue;
            };
            let guest_dir = match guest {
                Some(dir) => {
                    files.insert(text(&dir.join(file_name(name))), host.clone());
                    dir
                }
                None => {
                    homeless.push((name.clone(), host.clone()));
                    parent(&host)
                }
            };
            queue.push_back(Loaded {
                host_dir: parent(&host),
                guest_dir,
                inherited: if object.headers.runpath.is_empty() {
                    rpaths.clone()
                } else {
                    object.inherited.clone()
                },
                headers,
            });
        }
    }
    if !missing.is_empty() {
        return Err(InputError::Libraries {
            path: program.display().to_string(),
            missing: missing.into_iter().collect(),
        });
    }
    // Where the C library is, its interpreter looks for others too.
    let home = files
        .keys()
        .filter(|path| file_name(path).starts_with("libc."))
        .map(|path| parent(Path::new(path)))
        .find(|dir| is_default(dir))
        .unwrap_or_else(|| PathBuf::from("/lib"));
    for (name, host) in homeless {
        files.entry(text(&home.join(name))).or_insert(host);
    }
    Ok(files)
}

/// The directories that `object` itself names for its libraries, here and in the image.
fn search_path(object: &Loaded) -> Vec<(PathBuf, PathBuf)> {
    let own = if object.headers.runpath.is_empty() {
        &object.headers.rpath
    } else {
        &object.headers.runpath
    };
    let mut path: Vec<(PathBuf, PathBuf)> = own
        .iter()
        .filter_map(|dir| {
            let host = expand(dir, &object.host_dir)?;
            let guest = expand(dir, &object.guest_dir)?;
            Some((host, guest))
        })
        .collect();
    // A file with a DT_RUNPATH does not look where its ancestors' DT_RPATH says.
    if object.headers.runpath.is_empty() {
        path.extend(object.inherited.iter().cloned());
    }
    path
}

/// `$ORIGIN`, `$LIB` and `$PLATFORM` put in; `None` for a relative directory, which depends on
/// where the program is started.
fn expand(dir: &str, origin: &Path) -> Option<PathBuf> {
    let origin = origin.to_str()?;
    let mut dir = dir.to_string();
    for (token, value) in [
        ("ORIGIN", origin),
        ("LIB", "lib/x86_64-linux-gnu"),
        ("PLATFORM", "x86_64"),
    ] {
        dir = dir.replace(&format!("${{{token}}}"), value);
        dir = dir.replace(&format!("${token}"), value);
    }
    let path = Path::new(&dir);
    path.is_absolute().then(|| normalize(path))
}

/// A library: its file here, its directory in the image (`None` if the interpreter would not
/// look where it is), and its headers.
fn locate(
    name: &str,
    rpaths: &[(PathBuf, PathBuf)],
    library_dirs: &[PathBuf],
) -> Option<(PathBuf, Option<PathBuf>, ElfHeaders)> {
    if name.contains('/') {
        let path = Path::new(name);
        let headers = path.is_absolute().then(|| library(path)).flatten()?;
        return Some((path.to_path_buf(), Some(parent(&normalize(path))), headers));
    }
    let named = rpaths
        .iter()
        .map(|(host, guest)| (host.as_path(), Some(guest.clone())));
    let searched = library_dirs.iter().map(|dir| {
        let guest = is_default(dir).then(|| normalize(dir));
        (dir.as_path(), guest)
    });
    named.chain(searched).find_map(|(dir, guest)| {
        let path = dir.join(name);
        let headers = library(&path)?;
        Some((path, guest, headers))
    })
}

/// The headers of a library that the loader would take: others of that name are passed over.
fn library(path: &Path) -> Option<ElfHeaders> {
    headers::read(&Span::open(path).ok()?).ok()
}

fn is_default(dir: &Path) -> bool {
    let dir = normalize(dir);
    DEFAULT_DIRS.iter().any(|d| dir == Path::new(d))
}

/// Without `.`, and `..` taken back; the files of an image are not behind links.
fn normalize(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            _ => {}
        }
    }
    out
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_path_buf()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_search_paths() {
        let origin = Path::new("/opt/a/bin");
        for (dir, expected) in [
            ("$ORIGIN/../lib", Some("/opt/a/lib")),
            ("${ORIGIN}", Some("/opt/a/bin")),
            ("/usr/$LIB", Some("/usr/lib/x86_64-linux-gnu")),
            ("/a/./b//c", Some("/a/b/c")),
            ("lib", None),
        ] {
            assert_eq!(
                expand(dir, origin).as_deref(),
                expected.map(Path::new),
                "{dir}"
            );
        }
        // Nothing is above the root directory, as for the kernel.
        let moved = expand("$ORIGIN/../lib", Path::new("/"));
        assert_eq!(moved.as_deref(), Some(Path::new("/lib")));
    }
}
