use super::*;
use crate::guests::nbd::{NAME, Server};
use emulator_state::clock::Clock as _;
use emulator_state::world::{Snapshot, SnapshotState};
use emulator_testing::{self as testing, TestState};
use std::os::unix::net::UnixListener;
use std::process::Command;

const SNAP: &str = "snap-01111111111111111";
const VOL: &str = "vol-01111111111111111";

fn storage(w: &TestState) -> Storage {
    Storage {
        store: Arc::clone(&w.store),
        layers: w.layers.clone(),
        ids: w.ids.clone(),
    }
}

/// A layer with these blocks, each of one byte over and over.
fn layer(w: &TestState, id: &str, blocks: &[(u32, u8)]) {
    w.layers.create(id).unwrap();
    for (index, byte) in blocks {
        let block = vec![*byte; BLOCK_LEN];
        let digest = Sha256::digest(&block).into();
        w.layers.put(id, *index, &digest, &block).unwrap();
    }
}

/// A volume of a GiB on the snapshot's layer.
fn volume(w: &TestState, blank: Blank) {
    layer(w, "shared", &[(0, 1), (1, 2), (2, 3)]);
    let caller = testing::caller();
    let now = w.clock.now();
    let snapshot = Snapshot {
        id: SNAP.to_owned(),
        owner: caller.account.clone(),
        region: caller.region.clone(),
        volume_id: "vol-ffffffff".to_owned(),
        volume_size: 1,
        description: String::new(),
        encrypted: blank == Blank::Noise,
        kms_key: None,
        parent: None,
        layers: vec!["shared".to_owned()],
        blank,
        full_size: 3 * BLOCK,
        started: now,
        state: SnapshotState::Completed { at: now },
        permissions: Default::default(),
        tags: Default::default(),
        timeout_minutes: None,
        client_token: None,
    };
    let volume = Volume {
        encrypted: snapshot.encrypted,
        snapshot: Some(SNAP.to_owned()),
        layers: snapshot.layers.clone(),
        blank,
        full_size: snapshot.full_size,
        ..testing::volume(&caller, VOL, now)
    };
    w.store
        .write(|_, changes| {
            changes.push(Change::Snapshot(snapshot));
            changes.push(Change::Volume(volume));
            Ok(())
        })
        .unwrap();
}

fn record(w: &TestState) -> Volume {
    w.store.read(|world| world.volumes[VOL].clone())
}

/// What a new volume of these layers reads there.
fn block(w: &TestState, layers: &[String], index: u32) -> u8 {
    let blank = record(w).blank;
    let block = w.layers.read_block(layers, blank, index).unwrap();
    assert!(block.iter().all(|byte| *byte == block[0]), "block {index}");
    block[0]
}

fn read(disk: &Disk, offset: u64, length: usize) -> Vec<u8> {
    let mut buffer = vec![0xee; length];
    disk.read(offset, &mut buffer).unwrap();
    buffer
}

#[test]
fn writes_go_to_a_layer_of_its_own() {
    let w = testing::state();
    volume(&w, Blank::Zero);
    let disk = Disk::open(storage(&w), VOL).unwrap();
    assert_eq!(disk.size(), GIB);
    // Over the border of two blocks.
    disk.write(BLOCK - 10, &[9; 20]).unwrap();
    assert_eq!(
        read(&disk, BLOCK - 11, 22),
        [vec![1], vec![9; 20], vec![2]].concat()
    );
    disk.write(5 * BLOCK, &vec![7; BLOCK_LEN]).unwrap();
    disk.zero(2 * BLOCK, BLOCK).unwrap();
    disk.zero(9 * BLOCK, 3 * BLOCK).unwrap();
    // Not yet: nobody asked for it to last.
    let live = record(&w);
    assert_eq!(live.live, live.layers.first().cloned());
    assert_eq!(w.layers.find(&live.layers[..1], 5).unwrap(), None);
    disk.flush().unwrap();
    assert_eq!(block(&w, &live.layers, 5), 7);
    assert_eq!(block(&w, &live.layers, 2), 0);
    // The snapshot is what it was; zeros where nothing ever was are no block.
    assert_eq!(block(&w, &["shared".to_owned()], 2), 3);
    assert_eq!(w.layers.find(&live.layers, 10).unwrap(), None);
    disk.close().unwrap();
    let closed = record(&w);
    assert_eq!((closed.live, closed.full_size), (None, 4 * BLOCK));
    // Started again, it has what was written; if it writes nothing, it leaves nothing behind.
    let disk = Disk::open(storage(&w), VOL).unwrap();
    assert_eq!(read(&disk, BLOCK - 1, 2), [9, 9]);
    let open = record(&w);
    assert_eq!(open.layers[1..], closed.layers);
    disk.close().unwrap();
    assert_eq!(record(&w).layers, closed.layers);
    assert!(w.layers.layer(&open.layers[0]).is_err());
}

#[test]
fn what_earlier_runs_wrote_is_a_snapshots_from_the_start_of_the_next_on() {
    let w = testing::state();
    volume(&w, Blank::Zero);
    let disk = Disk::open(storage(&w), VOL).unwrap();
    disk.write(5 * BLOCK, &vec![7; BLOCK_LEN]).unwrap();
    disk.close().unwrap();
    let closed = record(&w).layers;
    // Nobody knows of the disk yet, so nobody settles it.
    let disk = Disk::open(storage(&w), VOL).unwrap();
    assert_eq!(record(&w).settled_layers(), closed);
    assert_eq!(block(&w, record(&w).settled_layers(), 5), 7);
    disk.write(5 * BLOCK, &vec![8; BLOCK_LEN]).unwrap();
    disk.flush().unwrap();
    assert_eq!(block(&w, &closed, 5), 7);
}

#[test]
fn what_a_snapshot_took_is_not_written_to() {
    let w = testing::state();
    volume(&w, Blank::Zero);
    let disk = Arc::new(Disk::open(storage(&w), VOL).unwrap());
    let disks = [Arc::clone(&disk)];
    // With nothing written, there is nothing to settle.
    Disk::settle(&disks).unwrap();
    assert_eq!(record(&w).settled_layers(), ["shared"]);
    disk.write(0, &vec![4; BLOCK_LEN]).unwrap();
    Disk::settle(&disks).unwrap();
    let taken = record(&w).settled_layers().to_vec();
    assert_eq!(taken.len(), 2);
    disk.write(0, &vec![5; BLOCK_LEN]).unwrap();
    disk.flush().unwrap();
    assert_eq!(block(&w, &taken, 0), 4);
    assert_eq!(block(&w, &record(&w).layers, 0), 5);
    disk.close().unwrap();
    // One that is closed has no live layer any more.
    Disk::settle(&disks).unwrap();
    assert_eq!(record(&w).live, None);
    assert_eq!(record(&w).settled_layers().len(), 3);
}

#[test]
fn the_cache_is_bounded_and_loses_nothing() {
    let w = testing::state();
    volume(&w, Blank::Zero);
    let disk = Disk::open(storage(&w), VOL).unwrap();
    let mut model = vec![0_u8; 200];
    model[..3].copy_from_slice(&[1, 2, 3]);
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..600 {
        let index = random.usize(..model.len());
        if random.bool() {
            let byte = random.u8(1..);
            model[index] = byte;
            disk.write(index as u64 * BLOCK, &vec![byte; BLOCK_LEN])
                .unwrap();
        } else {
            let offset = index as u64 * BLOCK + random.u64(..BLOCK);
            assert_eq!(read(&disk, offset, 1), [model[index]]);
        }
        assert!(disk.lock().cache.len() <= cache::MOST);
    }
    disk.close().unwrap();
    let layers = record(&w).layers;
    for (index, byte) in (0..).zip(model) {
        assert_eq!(block(&w, &layers, index), byte, "block {index}");
    }
}

#[test]
fn what_was_never_put_into_an_encrypted_snapshot_is_noise() {
    let w = testing::state();
    volume(&w, Blank::Noise);
    let noise = w
        .layers
        .read_block(&["shared".to_owned()], Blank::Noise, 7)
        .unwrap();
    let disk = Disk::open(storage(&w), VOL).unwrap();
    assert_eq!(read(&disk, 7 * BLOCK, BLOCK_LEN), noise);
    // Zeros that are written stay.
    disk.zero(7 * BLOCK, BLOCK).unwrap();
    disk.write(8 * BLOCK + 5, &[1]).unwrap();
    assert_eq!(read(&disk, 7 * BLOCK, BLOCK_LEN), vec![0; BLOCK_LEN]);
    assert_eq!(read(&disk, 8 * BLOCK + 5, 1), [1]);
    assert_eq!(read(&disk, 0, 1), [1]);
}

#[test]
fn qemu_copies_a_volume_and_writes_to_it() {
    let w = testing::state();
    volume(&w, Blank::Zero);
    let disk = Arc::new(Disk::open(storage(&w), VOL).unwrap());
    let socket = w.dir.path().join("nbd");
    let server = Server::start(UnixListener::bind(&socket).unwrap(), disk.clone()).unwrap();
    let url = format!("nbd+unix:///{NAME}?socket={}", socket.display());
    let copy = w.dir.path().join("copy");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-O", "raw", &url]).arg(&copy);
    let Some(done) = testing::oracle(&mut convert) else {
        return;
    };
    assert!(done.status.success(), "{done:?}");
    let copied = std::fs::read(&copy).unwrap();
    assert_eq!(copied.len() as u64, GIB);
    for (index, block) in copied.chunks(BLOCK_LEN).enumerate().take(10) {
        let byte = [1, 2, 3].get(index).copied().unwrap_or_default();
        assert!(block.iter().all(|it| *it == byte), "block {index}");
    }
    // Back again, with a change: what the volume is afterwards is what was given.
    let mut changed = copied;
    changed.truncate(20 << 20);
    fastrand::Rng::with_seed(2).fill(&mut changed[BLOCK_LEN + 100..4 * BLOCK_LEN + 200]);
    std::fs::write(&copy, &changed).unwrap();
    let mut back = Command::new("qemu-img");
    back.args(["convert", "-n", "-f", "raw", "-O", "raw"])
        .arg(&copy)
        .arg(&url);
    let done = testing::oracle(&mut back).unwrap();
    assert!(done.status.success(), "{done:?}");
    drop(server);
    disk.close().unwrap();
    let layers = record(&w).layers;
    for (index, block) in (0..).zip(changed.chunks(BLOCK_LEN)) {
        let found = w.layers.read_block(&layers, Blank::Zero, index);
        assert!(found.unwrap() == block, "block {index}");
    }
}
