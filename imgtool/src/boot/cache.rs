//! What was wanted of a Debian package, kept uncompressed: unpacking a kernel's package takes a
//! second, which is most of a small build.
//!
//! An entry is named by the package's SHA-256 and holds its own, so that neither another package
//! nor a damaged entry is ever taken for it. A cache that can't be read or written costs time,
//! nothing else.

use super::deb::{Deb, DebInfo, data, read_deb};
use super::error::BootError;
use crate::lock::digest_reader;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Changes with the format of an entry, or with what is wanted of a package.
const FORMAT: &str = "kernel-1";
/// Size of an entry, at most.
const MAX_ENTRY: u64 = 512 << 20;
const CONTROL: &str = "control";

/// As [`read_deb`], through the cache in directory `cache`. `want` has to be the same function at
/// each call.
pub(super) fn read_deb_cached(
    path: &Path,
    cache: &Path,
    want: &mut dyn FnMut(&str) -> bool,
) -> Result<Deb, BootError> {
    let mut file = File::open(path).map_err(BootError::read(path))?;
    let digest = digest_reader(&mut file).map_err(BootError::read(path))?;
    let entry = cache.join(format!("{FORMAT}-{digest}"));
    if let Some(deb) = read_entry(&entry) {
        return Ok(deb);
    }
    let deb = read_deb(path, want)?;
    // A full or read-only cache is no reason to fail.
    let _ = write_entry(cache, &entry, &deb);
    Ok(deb)
}

/// The package, if the entry is there and whole.
fn read_entry(entry: &Path) -> Option<Deb> {
    let file = File::open(entry).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_ENTRY).read_to_end(&mut bytes).ok()?;
    let (digest, archive) = bytes.split_first_chunk::<32>()?;
    if *digest != *Sha256::digest(archive) {
        return None;
    }
    let mut files = data(Box::new(archive), MAX_ENTRY, &mut |_| true).ok()?;
    let info = DebInfo::parse(&files.remove(CONTROL)?).ok()?;
    Some(Deb { info, files })
}

fn write_entry(cache: &Path, entry: &PathBuf, deb: &Deb) -> io::Result<()> {
    let mut archive = tar::Builder::new(Vec::new());
    let DebInfo {
        package,
        version,
        architecture,
        depends,
    } = &deb.info;
    let mut control =
        format!("Package: {package}\nVersion: {version}\nArchitecture: {architecture}\n");
    if !depends.is_empty() {
        control.push_str(&format!("Depends: {depends}\n"));
    }
    append(&mut archive, CONTROL, control.as_bytes())?;
    for (name, bytes) in &deb.files {
        append(&mut archive, name, bytes)?;
    }
    let archive = archive.into_inner()?;
    std::fs::create_dir_all(cache)?;
    let mut file = tempfile::NamedTempFile::new_in(cache)?;
    file.write_all(&Sha256::digest(&archive))?;
    file.write_all(&archive)?;
    file.persist(entry)?;
    Ok(())
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use testutils::{Packed, control, deb};

    /// An entry like one that a package gave, and the package's stand-in, which is no package.
    fn cached(dir: &Path) -> (PathBuf, PathBuf) {
        let package = dir.join("package.deb");
        std::fs::write(&package, "not a package").unwrap();
        let name = format!("{FORMAT}-{}", hex::encode(Sha256::digest("not a package")));
        let entry = dir.join(name);
        let info = DebInfo {
            package: "linux-image".into(),
            version: "6.1-1".into(),
            architecture: "amd64".into(),
            depends: "kmod".into(),
        };
        let long = format!("lib/modules/6.1/kernel/{}m.ko", "d/".repeat(90));
        let files = [
            ("boot/vmlinuz-6.1".into(), vec![1; 5000]),
            (long, vec![2; 10]),
        ]
        .into();
        write_entry(dir, &entry, &Deb { info, files }).unwrap();
        (package, entry)
    }

    #[test]
    fn an_entry_gives_back_what_was_wanted_of_the_package() {
        let dir = tempfile::tempdir().unwrap();
        let (package, _) = cached(dir.path());
        // The package can't be read, so what comes back is the entry.
        let deb = read_deb_cached(&package, dir.path(), &mut |_| true).unwrap();
        assert_eq!(deb.info.version, "6.1-1");
        assert_eq!(deb.info.depends, "kmod");
        assert_eq!(deb.files["boot/vmlinuz-6.1"], vec![1; 5000]);
        assert_eq!(deb.files.len(), 2);
    }

    #[test]
    fn a_damaged_entry_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let (package, entry) = cached(dir.path());
        let good = std::fs::read(&entry).unwrap();
        for at in [0, 40, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&entry, &bad).unwrap();
            assert!(
                read_deb_cached(&package, dir.path(), &mut |_| true).is_err(),
                "byte {at}"
            );
        }
        std::fs::write(&entry, &good[..good.len() - 512]).unwrap();
        assert!(read_deb_cached(&package, dir.path(), &mut |_| true).is_err());
    }

    #[test]
    fn a_changed_package_is_another_entry() {
        let dir = tempfile::tempdir().unwrap();
        let (package, _) = cached(dir.path());
        std::fs::write(&package, "not a package either").unwrap();
        assert!(read_deb_cached(&package, dir.path(), &mut |_| true).is_err());
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("p.deb");
        let files: [(&str, &[u8]); 1] = [("boot/vmlinuz-6.1", b"kernel")];
        std::fs::write(&package, deb(&control("linux-image"), &files, Packed::Gz)).unwrap();
        let cache = dir.path().join("cache");
        std::fs::write(&cache, "a file where the directory should be").unwrap();
        std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o400)).unwrap();
        read_deb_cached(&package, &cache, &mut |_| true).unwrap();
    }
}
