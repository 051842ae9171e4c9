//! Blocks into snapshots and back, on the emulator: what AWS does now and then, and what an enemy
//! can do to a pack.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod image;
mod place;

use emulator_tests::Emulator;
use emulator_tests::gateway::fault::{Fault, Side, When};
use image::{Block, Image, content, mixed};
use libtest_mimic::{Arguments, Failed, Trial};
use place::{Place, reason, status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::blocks::{PutError, plan};
use uploader::verify::{Problem, Reading, Report, VerifyError, verify};

/// Every case by its name.
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        [$((stringify!($case), |emulator: &Emulator| run($case(emulator))),)+]
    };
}

type Case = (&'static str, fn(&Emulator));

const CASES: [Case; 10] = cases![
    every_block_arrives_and_a_child_gets_only_changes,
    faults_of_the_service_are_survived,
    faults_of_the_vault_are_survived,
    what_lasts_ends,
    a_pack_that_is_not_the_manifests_is_named,
    a_snapshot_that_goes_is_told,
    a_key_that_goes_is_told,
    a_stop_is_quick_and_the_rest_can_follow,
    what_differs_is_named,
    what_can_not_be_read_is_told,
];

/// One emulator for all cases: each has an account of its own.
///
/// nextest runs each test in a process of its own, and ten processes would start LocalStack ten times,
/// which takes seconds alone and a minute beside machines that boot. It is given one test, which runs
/// all cases, those behind a failed one as well. `cargo test --test blocks` runs, filters and times
/// them one by one.
fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Cases count what the emulator's faults have hit.
    arguments.test_threads.get_or_insert(1);
    let emulator: Arc<OnceLock<Emulator>> = Arc::default();
    let trials = if std::env::var_os("NEXTEST").is_some() {
        let emulator = Arc::clone(&emulator);
        vec![Trial::test(
            "blocks_get_there_and_nothing_else_does",
            move || all(&emulator),
        )]
    } else {
        let trial = |(name, case): Case| {
            let emulator = Arc::clone(&emulator);
            Trial::test(name, move || {
                case(emulator.get_or_init(|| Emulator::start().unwrap()));
                Ok(())
            })
        };
        CASES.map(trial).into()
    };
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Ends LocalStack, too, which a static would leave running.
    drop(emulator);
    conclusion.exit_code()
}

/// Runs all cases, and says of each how it went.
fn all(emulator: &OnceLock<Emulator>) -> Result<(), Failed> {
    let emulator = emulator.get_or_init(|| Emulator::start().unwrap());
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let start = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(|| case(emulator))).is_ok();
        let outcome = if passed { "ok" } else { "FAILED" };
        println!("{name}: {outcome}, {:.1} s", start.elapsed().as_secs_f64());
        if !passed {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("failed: {}", failed.join(", ")).into())
}

fn run(case: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(case);
}

async fn read_back(place: &Place, image: &Image, snapshot: &str) -> Result<Report, VerifyError> {
    let reading = Reading {
        workers: 8,
        most: 3,
        copy: None,
    };
    let cancel = CancellationToken::new();
    let (session, manifest) = (&place.vault.session, &image.manifest);
    verify(session, manifest, snapshot, &reading, &|_| {}, &cancel).await
}

/// Puts an image, and holds the snapshot against it.
async fn arrives(place: &Place, image: &Image) {
    let (plan, snapshot) = (image.plan(), place.start(None).await);
    place.put(image, &plan, &snapshot).await.unwrap();
    let fired = place.fired().await;
    assert!(fired.iter().all(|it| *it > 0), "{fired:?}");
    place.complete(&plan, &snapshot).await;
    let report = read_back(place, image, &snapshot).await.unwrap();
    assert!(report.is_equal(), "{report:?}");
}

async fn every_block_arrives_and_a_child_gets_only_changes(emulator: &Emulator) {
    let place = Place::new(emulator).await;
    let blocks = mixed();
    let (image, seen) = (Image::new(&blocks), AtomicU64::new(0));
    place.store(&image).await;
    let (all, snapshot) = (image.plan(), place.start(None).await);
    let progress = |now| {
        assert!(seen.swap(now, Ordering::Relaxed) < now);
    };
    let cancel = CancellationToken::new();
    let put = place.put_until(&image, &all, &snapshot, &progress, &cancel);
    put.await.unwrap();
    assert_eq!(seen.into_inner(), 50);
    place.complete(&all, &snapshot).await;
    let report = read_back(&place, &image, &snapshot).await.unwrap();
    assert_eq!((report.is_equal(), report.blocks), (true, 50));

    let mut changed = blocks;
    changed[0] = Block::Data(1000);
    changed[1] = Block::Zero;
    // Noise may be there.
    changed[5] = Block::Zero;
    changed[11] = Block::Data(3);
    let next = Image::new(&changed);
    place.store(&next).await;
    let child = place.start(Some(&snapshot)).await;
    let some = plan(&next.manifest, Some(&image.manifest)).unwrap();
    let indexes: Vec<_> = some.puts.iter().map(|it| it.index).collect();
    assert_eq!(indexes, [0, 1, 5, 11]);
    place.put(&next, &some, &child).await.unwrap();
    place.complete(&some, &child).await;
    let report = read_back(&place, &next, &child).await.unwrap();
    assert!(report.is_equal(), "{report:?}");
}

async fn faults_of_the_service_are_survived(emulator: &Emulator) {
    let place = Place::new(emulator).await;
    let image = Image::new(&mixed());
    place.store(&image).await;
    let chance = |seed| When::Chance {
        probability: 0.15,
        seed,
    };
    let put = "PutSnapshotBlock";
    let (side, after_bytes) = (Side::Request, 100_000);
    for (when, fault) in [
        (When::Every(5), reason("ACCOUNT_THROTTLED")),
        (When::Every(7), reason("RESOURCE_LEVEL_THROTTLE")),
        (When::Every(11), reason("DEPENDENCY_REQUEST_THROTTLED")),
        (When::Every(13), reason("CONFLICTING_BLOCK_UPDATE")),
        (chance(1), status(500)),
        (chance(2), status(503)),
        (When::Every(9), Fault::Cut { side, after_bytes }),
        (When::Every(8), Fault::Lose),
    ] {
        place.fault("ebs", put, when, fault).await;
    }
    let offset = 300_000;
    let corrupt = Fault::Corrupt { side, offset };
    place.faults("ebs", put, When::Nth(3), None, corrupt).await;
    arrives(&place, &image).await;

    // It was started a moment ago, and is not known everywhere.
    let absent = reason("SNAPSHOT_NOT_FOUND");
    place
        .faults("ebs", put, When::Always, Some(40), absent)
        .await;
    arrives(&place, &image).await;
}

async fn faults_of_the_vault_are_survived(emulator: &Emulator) {
    let place = Place::new(emulator).await;
    let image = Image::new(&mixed());
    place.store(&image).await;
    let (side, after_bytes, offset) = (Side::Answer, 100_000, 100_000);
    for fault in [
        status(503),
        Fault::Cut { side, after_bytes },
        Fault::Corrupt { side, offset },
    ] {
        let (service, operation) = ("s3", "GetObject");
        place.fault(service, operation, When::Nth(1), fault).await;
        arrives(&place, &image).await;
    }
}

/// With nothing going through at all, and no time to wait for it: refused calls end at once.
async fn what_lasts_ends(emulator: &Emulator) {
    let place = Place::new(emulator).await;
    let image = Image::new(&mixed());
    place.store(&image).await;
    let (plan, snapshot) = (image.plan(), place.start(None).await);
    for (service, operation, fault, said) in [
        ("ebs", "PutSnapshotBlock", status(403), "AccessDenied"),
        ("s3", "GetObject", status(403), "AccessDenied"),
        (
            "ebs",
            "PutSnapshotBlock",
            reason("INVALID_BLOCK"),
            "ValidationException",
        ),
    ] {
        place.fault(service, operation, When::Always, fault).await;
        let error = place.put(&image, &plan, &snapshot).await.unwrap_err();
        assert!(matches!(error, PutError::Aws(_)), "{error:?}");
        assert!(error.is_permanent());
        assert!(error.to_string().contains(said), "{error}");
        place.fired().await;
    }
}

async fn a_pack_that_is_not_the_manifests_is_named(emulator: &Emulator) {
    let place = Place::new(emulator).await;
    let blocks: Vec<_> = (0..10).map(Block::Data).collect();
    let refused = async |image: &Image| {
        let snapshot = place.start(None).await;
        let error = place
            .put(image, &image.plan(), &snapshot)
            .await
            .unwrap_err();
        assert!(error.is_permanent(), "{error}");
        assert_eq!(error.class(), Class::Input);
        error
    };
    let corrupt = async |image: &Image, block: usize, wanted: &str| {
        place.store(image).await;
        let entry = &image.manifest.blocks.data[block];
        match refused(image).await {
            PutError::Corrupt {
                pack,
                index,
                offset,
                why,
            } => {
                assert_eq!(pack, image.manifest.packs[0].digest);
                assert_eq!((u64::from(index), offset), (entry.0, entry.3));
                assert!(why.contains(wanted), "{why:?} has no {wanted:?}");
            }
            error => panic!("{error:?}"),
        }
    };
    // Missing.
    let image = Image::new(&blocks);
    let error = refused(&image).await;
    assert!(matches!(error, PutError::NoPack { .. }), "{error:?}");
    // Another block, that decompresses well.
    let other = |number| zstd::bulk::compress(&content(if number == 4 { 99 } else { number }), 1);
    let image = Image::with_frames(&blocks, |number| other(number).unwrap());
    corrupt(&image, 4, "not what the manifest says").await;
    // A byte of a frame is another.
    let mut image = Image::new(&blocks);
    let (offset, len) = (
        image.manifest.blocks.data[7].3,
        image.manifest.blocks.data[7].4,
    );
    image.pack[usize::try_from(offset).unwrap() + len as usize - 5] ^= 1;
    corrupt(&image, 7, "").await;
    // 1 GiB in 100 KiB.
    let bomb = zstd::bulk::compress(&vec![0; 1 << 30], 1).unwrap();
    let image = Image::with_frames(&blocks[..1], |_| bomb.clone());
    corrupt(&image, 0, "holds 1073741824 bytes").await;
    // A length that is not the frame's.
    let mut image = Image::new(&blocks[..1]);
    image.manifest.blocks.data[0].4 -= 1;
    corrupt(&image, 0, "cut short").await;
    // A pack that is shorter than it is said to be: where a frame would begin, and within one.
    let mut image = Image::new(&blocks[..1]);
    image.manifest.packs[0].size += 1000;
    image.manifest.blocks.data[0].4 += 1000;
    corrupt(&image, 0, "behind the pack's end").await;
    let mut image = Image::new(&blocks[..1]);
    image.manifest.packs[0].size *= 3;
    image.manifest.blocks.data[0].3 = image.pack.len() as u64;
    corrupt(&image, 0, "behind the pack's end").await;
}

async fn a_snapshot_that_goes_is_told(emulator: &Emulator) {
    let place = Place::new(emulator).await;
    let image = Image::new(&mixed());
    place.store(&image).await;
    let plan = image.plan();
    let delay = Fault::Delay { milliseconds: 100 };
    let put = "PutSnapshotBlock";
    place.fault("ebs", put, When::Always, delay).await;

    let (snapshot, first) = (place.start(None).await, CancellationToken::new());
    let told = first.clone();
    let progress = move |_| told.cancel();
    let never = CancellationToken::new();
    let delete = async {
        first.cancelled().await;
        let ec2 = &place.vault.session.ec2;
        ec2.delete_snapshot().snapshot_id(&snapshot).send().await
    };
    let (put, deleted) = tokio::join!(
        place.put_until(&image, &plan, &snapshot, &progress, &never),
        delete
    );
    deleted.unwrap();
    let error = put.unwrap_err();
    assert!(matches!(&error, PutError::SnapshotGone { snapshot: it, .. } if *it == snapshot));
    assert!(!error.is_permanent());
    place.fired().await;

    // Somebody else was quicker.
    let snapshot = place.start(None).await;
    place.put(&image, &plan, &snapshot).await.unwrap();
    place.complete(&plan, &snapshot).await;
    let error = place.put(&image, &plan, &snapshot).await.unwrap_err();
    assert!(matches!(error, PutError::SnapshotGone { .. }), "{error:?}");
}

async fn a_key_that_goes_is_told(emulator: &Emulator) {
    let place = Place::new(emulator).await;
    let image = Image::new(&mixed());
    place.store(&image).await;
    let key = place.vault.session.kms.create_key().send().await.unwrap();
    let arn = key.key_metadata.and_then(|it| it.arn).unwrap();
    let ebs = &place.vault.session.ebs;
    let started = ebs
        .start_snapshot()
        .volume_size(1)
        .encrypted(true)
        .kms_key_arn(&arn);
    let snapshot = started.send().await.unwrap().snapshot_id.unwrap();
    place
        .vault
        .session
        .kms
        .disable_key()
        .key_id(&arn)
        .send()
        .await
        .unwrap();
    // The service may go on for a second with what it knows.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let error = place
        .put(&image, &image.plan(), &snapshot)
        .await
        .unwrap_err();
    assert!(error.is_permanent(), "{error:?}");
    assert!(error.to_string().contains("disabled"), "{error}");
}

async fn a_stop_is_quick_and_the_rest_can_follow(emulator: &Emulator) {
    let place = Place::new(emulator).await;
    let image = Image::new(&mixed());
    place.store(&image).await;
    let (plan, snapshot) = (image.plan(), place.start(None).await);
    let slow = Fault::Delay {
        milliseconds: 20_000,
    };
    let put = "PutSnapshotBlock";
    place.fault("ebs", put, When::Every(20), slow).await;
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let progress = move |now| {
        if now == 10 {
            stop.cancel();
        }
    };
    let work = place.put_until(&image, &plan, &snapshot, &progress, &cancel);
    let ended = tokio::time::timeout(Duration::from_secs(10), work).await;
    let error = ended.expect("it waits for what is under way").unwrap_err();
    assert!(matches!(error, PutError::Cancelled), "{error:?}");
    place.fired().await;
    // Again, from the start: what is there already does no harm.
    place.put(&image, &plan, &snapshot).await.unwrap();
    place.complete(&plan, &snapshot).await;
    let report = read_back(&place, &image, &snapshot).await.unwrap();
    assert!(report.is_equal(), "{report:?}");
}

async fn what_differs_is_named(emulator: &Emulator) {
    let place = Place::new(emulator).await;
    let blocks = mixed();
    // Block 2 is another, block 8 is missing, block 4 (zero) is missing, block 16 is not zero;
    // and block 5, which is free, holds something.
    let mut wrong = blocks.clone();
    wrong[2] = Block::Data(1000);
    wrong[8] = Block::Free;
    wrong[4] = Block::Free;
    wrong[5] = Block::Data(5);
    wrong[16] = Block::Data(16);
    let (right, wrong) = (Image::new(&blocks), Image::new(&wrong));
    place.store(&wrong).await;
    let (plan, snapshot) = (wrong.plan(), place.start(None).await);
    place.put(&wrong, &plan, &snapshot).await.unwrap();
    place.complete(&plan, &snapshot).await;

    // What comes back changed or broken is asked for again.
    let (side, offset, after_bytes) = (Side::Answer, 77, 1000);
    let get = "GetSnapshotBlock";
    for (when, fault) in [
        (When::Nth(3), Fault::Corrupt { side, offset }),
        (When::Nth(6), Fault::Cut { side, after_bytes }),
        (When::Every(5), reason("ACCOUNT_THROTTLED")),
        (When::Every(7), status(500)),
    ] {
        place.fault("ebs", get, when, fault).await;
    }
    let list = "ListSnapshotBlocks";
    place.fault("ebs", list, When::Nth(1), status(500)).await;
    let report = read_back(&place, &right, &snapshot).await.unwrap();
    let fired = place.fired().await;
    assert!(fired.iter().all(|it| *it > 0), "{fired:?}");
    assert_eq!(
        (report.blocks, report.missing, report.different),
        (50, 2, 2)
    );
    let first: Vec<_> = report
        .first
        .iter()
        .map(|it| (it.index, it.problem))
        .collect();
    let (different, missing) = (Problem::Different, Problem::Missing);
    assert_eq!(first, [(2, different), (4, missing), (8, missing)]);
    let report = read_back(&place, &wrong, &snapshot).await.unwrap();
    assert!(report.is_equal(), "{report:?}");
}

async fn what_can_not_be_read_is_told(emulator: &Emulator) {
    let place = Place::new(emulator).await;
    let image = Image::new(&mixed());
    let pending = place.start(None).await;
    for snapshot in [pending.as_str(), "snap-0123456789abcdef0"] {
        let error = read_back(&place, &image, snapshot).await.unwrap_err();
        assert!(error.to_string().contains(snapshot), "{error}");
        assert!(matches!(error, VerifyError::Unreadable { .. }), "{error:?}");
        assert_eq!(error.class(), Class::Input);
    }
}
