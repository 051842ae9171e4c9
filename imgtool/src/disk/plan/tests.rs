use super::*;
use crate::test_support::{file, write};
use crate::tree::{Meta, Node};
use std::process::Command;
use testutils::oracle_passes;

fn ids() -> Ids {
    let id = |n: u128| Uuid::from_u128(0x8000_0000_0000_8000_8000_0000_0000_0000 + n);
    Ids {
        disk: id(1),
        bios: id(2),
        boot: id(3),
        root: id(4),
        fat_serial: 5,
        ext4: id(6),
        hash_seed: [7; 4],
    }
}

fn spec(boot: Boot, size: Size) -> DiskSpec {
    DiskSpec {
        ids: ids(),
        size,
        label: "root".into(),
        timestamp: 0,
        boot,
    }
}

fn uki(bios: Option<&str>) -> Boot {
    let bytes: Vec<u8> = (0..2_000_000u32).map(|i| (i / 512) as u8).collect();
    Boot::Uki {
        bytes: bytes.into(),
        linux: 1024..1_000_000,
        initrd: 1_000_448..1_900_000,
        bios: bios.map(str::to_string),
    }
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    let node = Node {
        meta: Meta::root(0o755),
        kind: file(&[5; 100_000]),
        layer: 0,
    };
    tree.insert(Tree::ROOT, b"app", node).unwrap();
    tree
}

#[test]
fn the_partition_table_satisfies_sgdisk() {
    let plain: Arc<[u8]> = vec![1; 700_000].into();
    let bios = Boot::Bios {
        kernel: plain.clone(),
        initrd: plain,
        cmdline: "x".into(),
    };
    for boot in [uki(Some("root=x")), uki(None), bios] {
        for size in [Size::Fit { extra: 0 }, Size::Exact(300 << 20)] {
            let plan = plan(&tree(), &spec(boot.clone(), size)).unwrap();
            let disk = write(&plan.extents, plan.len, 1);
            oracle_passes(Command::new("sgdisk").arg("-v").arg(disk.path()));
            if let Size::Exact(len) = size {
                assert_eq!(plan.len, len);
            }
        }
    }
}

#[test]
fn the_stage_is_told_where_the_kernel_really_is() {
    let plan = plan(&tree(), &spec(uki(Some("root=x")), Size::Fit { extra: 0 })).unwrap();
    let disk = std::fs::read(write(&plan.extents, plan.len, 1).path()).unwrap();
    let Boot::Uki {
        bytes,
        linux,
        initrd,
        ..
    } = uki(None)
    else {
        panic!()
    };
    for ((lba, len), range) in [(plan.kernel, linux), (plan.initrd, initrd)] {
        let at = (lba * SECTOR) as usize;
        assert_eq!(
            disk[at..at + len as usize],
            bytes[range.start as usize..range.end as usize]
        );
    }
}

#[test]
fn extents_cover_the_disk_once() {
    let plan = plan(&tree(), &spec(uki(Some("x")), Size::Fit { extra: 5 << 20 })).unwrap();
    let mut at = 0;
    for extent in &plan.extents {
        assert_eq!(extent.offset, at);
        at += extent.len;
    }
    assert_eq!(at, plan.len);
}
