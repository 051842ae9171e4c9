//! What an image is made from, named and digested: for the lock, and for the manifest.

use super::prepare::input_options;
use super::{BuildError, Context};
use crate::boot;
use crate::input::{self, InputKind, Options};
use crate::lock::{Lock, LockedInput, Role, digest_file};
use crate::spec::Spec;
use std::path::Path;

/// Digests every input of `spec`, in the order of roles.
pub fn lock_inputs(spec: &Spec, context: &Context<'_>) -> Result<Lock, BuildError> {
    let options = &input_options(spec, context);
    let mut inputs = vec![tree_input(Role::Application, &spec.input, options)?];
    for (source, target) in &spec.add {
        inputs.push(tree_input(Role::Add(target.clone()), source, options)?);
    }
    inputs.push(boot_input(Role::Kernel, &spec.kernel, options)?);
    if let Some(modules) = &spec.modules {
        inputs.push(boot_input(Role::Modules, modules, options)?);
    }
    if let Some(stub) = &spec.stub {
        inputs.push(boot_input(Role::Stub, stub, options)?);
    }
    Lock::new(inputs).map_err(|role| BuildError::SameRole(role.to_string()))
}

fn tree_input(role: Role, path: &Path, options: &Options<'_>) -> Result<LockedInput, BuildError> {
    let kind = match &role {
        Role::Add(_) if path.is_dir() => "directory",
        Role::Add(_) => "file",
        _ => kind_name(input::detect(path)?),
    };
    let sha256 = input::digest(path, options)?;
    Ok(plain(role, path, kind, sha256))
}

/// Kernel, modules or stub: a package, a file, or a directory.
fn boot_input(role: Role, path: &Path, options: &Options<'_>) -> Result<LockedInput, BuildError> {
    let kind = boot_kind(path)?;
    if kind == "directory" {
        let sha256 = input::digest(path, options)?;
        return Ok(plain(role, path, kind, sha256));
    }
    let sha256 = digest_file(path)?;
    if kind != "deb" {
        return Ok(plain(role, path, kind, sha256));
    }
    let info = boot::deb_info(path)?;
    Ok(LockedInput {
        package: Some(info.package),
        version: Some(info.version),
        architecture: Some(info.architecture),
        ..plain(role, path, kind, sha256)
    })
}

fn plain(role: Role, path: &Path, kind: &str, sha256: String) -> LockedInput {
    LockedInput {
        role,
        path: path.display().to_string(),
        kind: kind.to_string(),
        sha256,
        package: None,
        version: None,
        architecture: None,
    }
}

/// What a file of the kernel, its modules or the stub is called in a lock and in a manifest.
pub(super) fn boot_kind(path: &Path) -> Result<&'static str, BuildError> {
    Ok(if path.is_dir() {
        "directory"
    } else if boot::is_deb(path)? {
        "deb"
    } else {
        "file"
    })
}

/// What a kind of input is called in a lock and in a manifest.
pub(super) fn kind_name(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Elf { .. } => "elf",
        InputKind::Directory => "directory",
        InputKind::Tar => "tar",
        InputKind::OciLayout => "oci-layout",
        InputKind::OciArchive => "oci-archive",
        InputKind::DockerArchive => "docker-archive",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest says the same of an input whether or not the build was locked.
    #[test]
    fn boot_files_are_told_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let deb = dir.path().join("kernel");
        std::fs::write(&deb, "!<arch>\n").unwrap();
        let file = dir.path().join("kernel.deb");
        std::fs::write(&file, "MZ").unwrap();
        assert_eq!(boot_kind(&deb).unwrap(), "deb");
        assert_eq!(boot_kind(&file).unwrap(), "file");
        assert_eq!(boot_kind(dir.path()).unwrap(), "directory");
        assert!(boot_kind(&dir.path().join("none")).is_err());
    }
}
