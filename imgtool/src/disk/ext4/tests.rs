use super::*;
use crate::test_support::{file, trees, write};
use crate::tree::{Kind, Meta, Node, Source};
use ext4_view::{Ext4, Ext4Error};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::process::Command;
use testutils::{oracle, oracle_passes};

fn spec(len: Len) -> Ext4Spec {
    Ext4Spec {
        uuid: [7; 16],
        hash_seed: [1, 2, 3, 4],
        timestamp: 0,
        label: "root".into(),
        len,
    }
}

fn node(kind: Kind, layer: u32) -> Node {
    Node {
        meta: Meta::root(0o644),
        kind,
        layer,
    }
}

/// What another reader sees: path → (mode, owner, size, content or target).
type Listing = BTreeMap<Vec<u8>, (u16, u32, u32, Vec<u8>)>;

fn expected(tree: &Tree) -> Listing {
    let mut out = Listing::new();
    let mut stack = vec![(b"/".to_vec(), Tree::ROOT)];
    while let Some((path, id)) = stack.pop() {
        let node = tree.node(id);
        for (name, &child) in tree.entries(id).into_iter().flatten() {
            stack.push((crate::tree::join(&path, name), child));
        }
        let content = match &node.kind {
            Kind::File(content) => content.read_all(u64::MAX).unwrap().unwrap(),
            Kind::Symlink(target) => target.to_vec(),
            _ => Vec::new(),
        };
        out.insert(
            path,
            (node.meta.mode, node.meta.uid, node.meta.gid, content),
        );
    }
    out
}

fn seen(fs: &Ext4) -> Result<Listing, Ext4Error> {
    let mut out = Listing::new();
    let mut stack = vec![ext4_view::PathBuf::new("/")];
    while let Some(path) = stack.pop() {
        let metadata = fs.symlink_metadata(&path)?;
        let content = if metadata.is_dir() {
            for entry in fs.read_dir(&path)? {
                let child = entry?.path();
                let name = child.as_ref().to_vec();
                if !name.ends_with(b"/.") && !name.ends_with(b"/..") && name != b"/lost+found" {
                    stack.push(child);
                }
            }
            Vec::new()
        } else if metadata.file_type().is_regular_file() {
            fs.read(&path)?
        } else if metadata.is_symlink() {
            fs.read_link(&path)?.as_ref().to_vec()
        } else {
            Vec::new()
        };
        let mode = metadata.mode() & 0o7777;
        out.insert(
            path.as_ref().to_vec(),
            (mode, metadata.uid(), metadata.gid(), content),
        );
    }
    Ok(out)
}

fn check(tree: &Tree, len: Len) -> Ext4Plan {
    let plan = plan(tree, &spec(len)).unwrap();
    let extents = plan.extents.clone().into_extents();
    let image = write(&extents, plan.len, 2);
    oracle_passes(Command::new("e2fsck").arg("-fn").arg(image.path()));
    let fs = Ext4::load_from_path(image.path()).unwrap();
    assert_eq!(seen(&fs).unwrap(), expected(tree));
    plan
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_goes_in_comes_out_by_another_reader(tree in trees()) {
        check(&tree, Len::Fit { extra: 0 });
    }
}

#[test]
fn fit_leaves_less_than_the_alignment_free() {
    let mut tree = Tree::new();
    let bytes: Vec<u8> = (0..40_000_000u32).map(|i| (i >> 3) as u8 | 1).collect();
    tree.insert(Tree::ROOT, b"f", node(file(&bytes), 0))
        .unwrap();
    let fit = check(&tree, Len::Fit { extra: 0 });
    assert!(fit.free < 2 * ALIGN, "{} free", fit.free);
    let roomy = check(&tree, Len::Fit { extra: 200 << 20 });
    assert_eq!(roomy.len, fit.len + (200 << 20));
    let exact = check(&tree, Len::Exact(fit.len));
    assert_eq!(exact.len, fit.len);
}

#[test]
fn too_small_a_size_names_the_one_that_suffices() {
    let mut tree = Tree::new();
    tree.insert(Tree::ROOT, b"f", node(file(&vec![1; 30 << 20]), 0))
        .unwrap();
    let error = plan(&tree, &spec(Len::Exact(20 << 20))).unwrap_err();
    let DiskError::TooSmall { needed, allowed } = error else {
        panic!("{error}")
    };
    assert_eq!(allowed, 20 << 20);
    check(&tree, Len::Exact(needed));
}

#[test]
fn large_directories_and_many_inodes_fit() {
    let mut tree = Tree::new();
    for i in 0..40_000 {
        let name = format!("a-rather-long-name-for-a-file-{i}");
        tree.insert(Tree::ROOT, name.as_bytes(), node(Kind::Fifo, 0))
            .unwrap();
    }
    let plan = check(&tree, Len::Fit { extra: 0 });
    assert_eq!(plan.inodes, 40_001);
}

#[test]
fn a_new_application_leaves_the_base_where_it_is() {
    let content = |seed: u32| -> Vec<u8> {
        (0..90_000_000u32)
            .map(|i| (i.wrapping_mul(seed) >> 7) as u8 | 1)
            .collect()
    };
    let base = content(3);
    let tree = |app: &[u8], more: u32| {
        let mut tree = Tree::new();
        tree.insert(Tree::ROOT, b"zbase", node(file(&base), 0))
            .unwrap();
        tree.insert(Tree::ROOT, b"app", node(file(app), 1)).unwrap();
        for i in 0..more {
            let name = format!("app-file-{i}");
            tree.insert(Tree::ROOT, name.as_bytes(), node(file(&[1; 5000]), 1))
                .unwrap();
        }
        tree
    };
    let place = |tree: &Tree| {
        let plan = plan(tree, &spec(Len::Fit { extra: 0 })).unwrap();
        let id = tree.child(Tree::ROOT, b"zbase").unwrap();
        let Kind::File(content) = &tree.node(id).kind else {
            panic!()
        };
        let Source::Memory(bytes) = &content.segments[0].source else {
            panic!()
        };
        plan.extents
            .into_extents()
            .into_iter()
            .filter_map(|e| match e.source {
                ExtentSource::Content {
                    source: Source::Memory(b),
                    at,
                } if Arc::ptr_eq(&b, bytes) => Some((e.offset, e.len, at)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let before = place(&tree(b"v1", 0));
    assert_eq!(before[0].0 % CONTENT_ALIGN, 0);
    // More directory entries, more inodes, a larger application: the base stays.
    assert_eq!(place(&tree(&[9; 3_000_000], 300)), before);
}

#[test]
fn what_ext4_cannot_hold_is_refused_by_path() {
    let cases: [(&[u8], Node, &str); 4] = [
        (
            b"a\xff",
            node(Kind::Fifo, 0),
            "/d/a\u{fffd}: its name is not UTF-8",
        ),
        (
            b"dev",
            node(
                Kind::Char {
                    major: 5000,
                    minor: 0,
                },
                0,
            ),
            "/d/dev: device number 5000:0",
        ),
        (
            b"link",
            node(Kind::Symlink(b"\xff"[..].into()), 0),
            "/d/link: its target is not UTF-8",
        ),
        (
            b"x",
            Node {
                meta: Meta {
                    xattrs: BTreeMap::from([(b"user.big"[..].into(), vec![0; 5000].into())]),
                    ..Meta::root(0o644)
                },
                kind: Kind::Fifo,
                layer: 0,
            },
            "/d/x: more extended attributes than ext4 holds",
        ),
    ];
    for (name, bad, message) in cases {
        let mut tree = Tree::new();
        let dir = tree
            .insert(Tree::ROOT, b"d", node(Kind::Dir(BTreeMap::new()), 0))
            .unwrap();
        tree.insert(dir, name, bad).unwrap();
        let error = plan(&tree, &spec(Len::Fit { extra: 0 })).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert_eq!(error.class(), crate::Class::Input);
    }
}

#[test]
fn what_is_free_is_what_the_file_system_calls_free() {
    let mut tree = Tree::new();
    tree.insert(Tree::ROOT, b"f", node(file(&vec![1; 3 << 20]), 0))
        .unwrap();
    let plan = plan(&tree, &spec(Len::Fit { extra: 300 << 20 })).unwrap();
    let free: u64 = plan
        .extents
        .clone()
        .into_extents()
        .iter()
        .filter(|e| matches!(e.source, ExtentSource::Free))
        .map(|e| e.len)
        .sum();
    assert_eq!(free, plan.free);
    let image = write(&plan.extents.into_extents(), plan.len, 1);
    let stats = ["-R", "stats -h"];
    let Some(out) = oracle(Command::new("debugfs").args(stats).arg(image.path())) else {
        return;
    };
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = text
        .lines()
        .find(|l| l.starts_with("Free blocks:"))
        .unwrap();
    let blocks: u64 = line.split_whitespace().last().unwrap().parse().unwrap();
    assert_eq!(blocks * BLOCK, free);
}
