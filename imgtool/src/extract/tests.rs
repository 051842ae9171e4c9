use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};

use super::destination::{Destination, Pending};

/// Writes a file as an extraction does, without giving it its name yet.
fn pending(destination: &mut Destination, path: &str) -> std::io::Result<Pending> {
    let Some(place) = destination.place(path.as_bytes())? else {
        return Err(std::io::ErrorKind::IsADirectory.into());
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let made = destination.make(&place, |directory, name| {
        openat(directory, name, flags, Mode::RUSR)
    });
    made.map(|(pending, _)| pending)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn no_path_leads_out_of_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
    fs::create_dir_all(inside.join("real")).unwrap();
    fs::create_dir(&outside).unwrap();
    symlink("../out", inside.join("link")).unwrap();
    symlink(&outside, inside.join("real/absolute")).unwrap();
    symlink("real", inside.join("within")).unwrap();
    let mut destination = Destination::open(&inside).unwrap();
    assert!(destination.existed);
    for path in [
        "/../x",
        "/..",
        "/real/../../x",
        "/real//x",
        "/real/",
        "/.",
        "/link/x",
        "/real/absolute/x",
        "/real/absolute/y/z",
        // Not even to where it would do no harm.
        "/within/x",
    ] {
        assert!(pending(&mut destination, path).is_err(), "{path}");
        assert!(destination.directory(path.as_bytes()).is_err(), "{path}");
    }
    for path in ["/link", "/within", "/real/absolute"] {
        assert!(destination.directory(path.as_bytes()).is_err(), "{path}");
    }
    assert!(names(&outside).is_empty());
    assert_eq!(names(&inside), ["link", "real", "within"]);
}

#[test]
fn a_file_gets_its_name_when_it_is_whole_or_goes() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("old"), "old").unwrap();
    let mut destination = Destination::open(dir.path()).unwrap();
    let place = |destination: &mut Destination, path: &str| {
        destination.place(path.as_bytes()).unwrap().unwrap()
    };
    drop(pending(&mut destination, "/new").unwrap());
    assert_eq!(names(dir.path()), ["old"]);

    let new = pending(&mut destination, "/new").unwrap();
    assert_eq!(names(dir.path()).len(), 2);
    new.finish(&place(&mut destination, "/new"), false).unwrap();
    assert_eq!(names(dir.path()), ["new", "old"]);

    let other = pending(&mut destination, "/old").unwrap();
    let refused = other.finish(&place(&mut destination, "/old"), false);
    assert_eq!(
        refused.unwrap_err().kind(),
        std::io::ErrorKind::AlreadyExists
    );
    assert_eq!(fs::read(dir.path().join("old")).unwrap(), b"old");
    assert_eq!(names(dir.path()), ["new", "old"]);

    let other = pending(&mut destination, "/old").unwrap();
    other
        .finish(&place(&mut destination, "/old"), true)
        .unwrap();
    assert_eq!(fs::read(dir.path().join("old")).unwrap(), b"");
    assert_eq!(names(dir.path()), ["new", "old"]);
}

#[test]
fn a_directory_that_is_made_is_closed_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    assert!(!Destination::open(&made).unwrap().existed);
    let mode = fs::metadata(&made).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
    assert!(Destination::open(&made.join("no/such")).is_err());
}

#[test]
fn paths_below_others_are_extracted_once() {
    assert!(super::is_below(b"/a/b", b"/a"));
    assert!(super::is_below(b"/a", b"/"));
    assert!(!super::is_below(b"/a-b", b"/a"));
    assert!(!super::is_below(b"/a", b"/a/b"));
}
