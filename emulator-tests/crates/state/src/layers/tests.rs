use super::*;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

fn layers() -> (TempDir, Layers) {
    let dir = tempfile::tempdir().unwrap();
    let layers = Layers::open(dir.path().join("layers")).unwrap();
    (dir, layers)
}

/// A block that no other number gives, and its digest.
fn block(number: u64) -> (Vec<u8>, Digest) {
    let mut block = vec![0xa5; BLOCK_LEN];
    block[..8].copy_from_slice(&number.to_le_bytes());
    let digest = Sha256::digest(&block).into();
    (block, digest)
}

fn put(layers: &Layers, layer: &str, index: u32, number: u64) {
    let (block, digest) = block(number);
    layers.put(layer, index, &digest, &block).unwrap();
}

fn files(dir: &TempDir) -> usize {
    std::fs::read_dir(dir.path().join("layers"))
        .unwrap()
        .count()
}

#[test]
fn the_newest_layer_wins() {
    let (_dir, layers) = layers();
    layers.create("old").unwrap();
    layers.create("new").unwrap();
    put(&layers, "old", 0, 1);
    put(&layers, "old", 1, 2);
    put(&layers, "new", 1, 3);
    let stack = ["new".to_owned(), "old".to_owned()];
    let read = |index| layers.read_block(&stack, Blank::Zero, index).unwrap();
    assert_eq!(read(0), block(1).0);
    assert_eq!(read(1), block(3).0);
    assert_eq!(read(2), vec![0; BLOCK_LEN]);
    assert_eq!(layers.find(&stack, 1).unwrap(), Some(("new", block(3).1)));
    assert_eq!(layers.find(&stack, 2).unwrap(), None);
    let written: Vec<_> = layers
        .written(&stack, 0)
        .map(|block| block.map(|block| (block.index, block.layer)).unwrap())
        .collect();
    assert_eq!(written, [(0, 1), (1, 0)]);
}

#[test]
fn the_last_block_of_the_largest_volume_can_be_put() {
    let (dir, layers) = layers();
    layers.create("a").unwrap();
    let last = 65_536 * 2_048 - 1;
    for index in [last, 0, 100_000, last - 1] {
        put(&layers, "a", index, index.into());
    }
    let stack = ["a".to_owned()];
    let written: Vec<u32> = layers
        .written(&stack, 1)
        .map(|block| block.unwrap().index)
        .collect();
    assert_eq!(written, [100_000, last - 1, last]);
    assert_eq!(layers.read("a", last).unwrap(), block(last.into()).0);
    let data = dir.path().join("layers/a.data").metadata().unwrap();
    assert_eq!(data.len(), 4 * BLOCK_LEN as u64);
}

#[test]
fn rewrites_take_no_room_and_survive_reopening() {
    let (dir, layers) = layers();
    layers.create("a").unwrap();
    for number in 0..20 {
        put(&layers, "a", 7, number);
    }
    let length = dir.path().join("layers/a.data").metadata().unwrap().len();
    assert!(length <= 2 * BLOCK_LEN as u64, "{length}");
    drop(layers);
    let layers = Layers::open(dir.path().join("layers")).unwrap();
    assert_eq!(layers.read("a", 7).unwrap(), block(19).0);
    // What is put after reopening does not land on what was put before.
    put(&layers, "a", 8, 100);
    put(&layers, "a", 9, 101);
    assert_eq!(layers.read("a", 7).unwrap(), block(19).0);
}

#[test]
fn a_slot_that_no_entry_names_is_no_block() {
    // As after a kill between the block and its entry.
    let (dir, layers) = layers();
    layers.create("a").unwrap();
    put(&layers, "a", 1, 1);
    let path = dir.path().join("layers/a.data");
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend_from_slice(&[1; 1000]);
    std::fs::write(&path, torn).unwrap();
    let layers = Layers::open(dir.path().join("layers")).unwrap();
    assert_eq!(layers.find(&["a".to_owned()], 0).unwrap(), None);
    put(&layers, "a", 2, 2);
    assert_eq!(layers.read("a", 1).unwrap(), block(1).0);
    assert_eq!(layers.read("a", 2).unwrap(), block(2).0);
}

#[test]
fn noise_is_one_per_root_and_index_and_does_not_compress() {
    let (_dir, layers) = layers();
    layers.create("root").unwrap();
    layers.create("child").unwrap();
    let read = |stack: &[&str], index| {
        let stack: Vec<String> = stack.iter().map(ToString::to_string).collect();
        layers.read_block(&stack, Blank::Noise, index).unwrap()
    };
    let noise = read(&["root"], 3);
    assert_eq!(noise, read(&["root"], 3));
    assert_eq!(noise, read(&["child", "root"], 3));
    assert_ne!(noise, read(&["root"], 4));
    assert_ne!(noise, read(&["child"], 3));
    // Every byte is about as frequent as any other.
    let mut counts = [0_u32; 256];
    noise
        .iter()
        .for_each(|byte| counts[usize::from(*byte)] += 1);
    assert!(counts.iter().all(|count| (1700..2400).contains(count)));
}

#[test]
fn open_files_are_capped() {
    let (_dir, layers) = layers();
    let stack: Vec<String> = (0..MAX_OPEN + 40).map(|n| format!("l{n}")).collect();
    for (number, id) in (0..).zip(&stack) {
        layers.create(id).unwrap();
        put(&layers, id, number, number.into());
    }
    let held = layers.layer("l3").unwrap();
    let written: Vec<_> = layers.written(&stack, 0).map(Result::unwrap).collect();
    assert_eq!(written.len(), stack.len());
    assert!(written.iter().all(|it| it.index as usize == it.layer));
    assert!(layers.lock().layers.len() <= MAX_OPEN);
    // Who holds a layer holds the same as everyone else.
    assert!(Arc::ptr_eq(&held, &layers.layer("l3").unwrap()));
}

#[test]
fn garbage_is_what_no_record_names() {
    let (dir, layers) = layers();
    for id in ["a", "b", "c"] {
        layers.create(id).unwrap();
    }
    std::fs::remove_file(dir.path().join("layers/c.index")).unwrap();
    let live = BTreeSet::from(["b".to_owned()]);
    assert_eq!(layers.collect_garbage(&live).unwrap(), 2);
    assert_eq!(files(&dir), 2);
    assert_eq!(layers.collect_garbage(&live).unwrap(), 0);
    layers.layer("b").unwrap();
    assert!(layers.layer("a").is_err());
}

#[test]
fn a_full_disk_leaves_the_earlier_block() {
    let (dir, layers) = layers();
    layers.create("a").unwrap();
    put(&layers, "a", 0, 1);
    let index = dir.path().join("layers/a.index");
    let before = std::fs::read(&index).unwrap();
    // Of all that fails like a full disk, what needs no privilege.
    layers.create("full").unwrap();
    let data = dir.path().join("layers/full.data");
    std::fs::remove_file(&data).unwrap();
    std::os::unix::fs::symlink("/dev/full", &data).unwrap();
    std::fs::copy(&index, dir.path().join("layers/full.index")).unwrap();
    let (new, digest) = block(2);
    let error = layers.put("full", 0, &digest, &new).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(
        std::fs::read(dir.path().join("layers/full.index")).unwrap(),
        before
    );
}

#[test]
fn a_sealed_layer_takes_nothing() {
    let (_dir, layers) = layers();
    layers.create("a").unwrap();
    put(&layers, "a", 5, 1);
    put(&layers, "a", 3, 2);
    put(&layers, "a", 5, 3);
    let layer = layers.layer("a").unwrap();
    let linear: Digest = Sha256::new()
        .chain_update(block(2).1)
        .chain_update(block(3).1)
        .finalize()
        .into();
    assert_eq!(layer.seal(|_| Err("no")).unwrap(), Err("no"));
    let (new, digest) = block(9);
    assert_eq!(
        layer
            .put_unless_sealed(5, &block(3).1, &[&block(3).0])
            .unwrap(),
        Ok(())
    );
    layer
        .seal(|found| {
            assert_eq!(found, Ok((2, linear)));
            Ok::<(), ()>(())
        })
        .unwrap()
        .unwrap();
    assert_eq!(
        layer.put_unless_sealed(0, &digest, &[&new]).unwrap(),
        Err(Sealed)
    );
    assert_eq!(layer.seal(|found| found.map(drop)).unwrap(), Err(Sealed));
    layer.unseal();
    assert_eq!(
        layer.put_unless_sealed(0, &digest, &[&new]).unwrap(),
        Ok(())
    );
}
