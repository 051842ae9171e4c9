//! What holds of agents in any world: in all orders that proptest finds, and in some that are worth
//! a name.

use super::agents::{Model, Op, T0};
use crate::agent::machine::action::Outcome;
use crate::agent::record::Phase;
use crate::ami::model::{Image, Snapshot};
use crate::ami::{ImageState, SnapshotState};
use crate::request::{DEFAULT_LIFE, Envelope};
use proptest::prelude::*;
use time::Duration;

/// What holds once all is done: one AMI and its snapshot, or none and a dead letter. Where S3 refused
/// for good that the record is read or written, as often as the message may come, the dead letter is
/// all: what is left goes when agents look around.
pub(super) fn check_settled(model: &Model) {
    let world = &model.world;
    let is_given_up = world.dead.iter().any(|it| it.contains("given up after"));
    let record = match &world.record {
        Some(stored) if stored.record.is_final() => &stored.record,
        _ => {
            assert!(is_given_up, "no end, and no message any more");
            return;
        }
    };
    match record.phase {
        Phase::Finished => {
            assert_eq!(world.ec2.images.len(), 1, "one AMI");
            assert_eq!(Some(&world.ec2.images[0].id), record.ami.as_ref());
            assert_eq!(
                Some(&world.ec2.images[0].snapshot),
                record.snapshot.as_ref()
            );
            assert_eq!(world.ec2.images[0].request, model.request.id.to_string());
            let left: Vec<&String> = world.ec2.snapshots.keys().collect();
            assert_eq!(left, [&world.ec2.images[0].snapshot], "no other snapshot");
        }
        Phase::Failed => {
            assert!(!world.dead.is_empty(), "a dead letter");
            assert!(record.reason.as_ref().is_some_and(|it| !it.is_empty()));
            // But for one that failed, or whose snapshot could not be deleted in time: and then
            // it is named.
            for image in &world.ec2.images {
                let named = |it: &String| it.contains(&image.id) || it.contains(&image.snapshot);
                assert!(record.left.iter().any(named), "no AMI, or it is named");
            }
            for id in world.ec2.snapshots.keys() {
                let of_an_image = world.ec2.images.iter().any(|it| it.snapshot == *id);
                let named = record.left.iter().any(|it| it.contains(id.as_str()));
                assert!(of_an_image || named, "{id} is left");
            }
        }
        Phase::Working | Phase::Failing => unreachable!("they are no end"),
    }
}

/// Anything that a request survives, mostly progress.
pub(super) fn op() -> impl Strategy<Value = Op> {
    let agent = 0..2usize;
    prop_oneof![
        40 => agent.clone().prop_map(Op::Step),
        4 => agent.clone().prop_map(Op::Lag),
        3 => agent.clone().prop_map(Op::Lose),
        3 => agent.clone().prop_map(Op::Again),
        2 => agent.clone().prop_map(Op::Throttle),
        4 => (agent, any::<bool>()).prop_map(|(agent, after)| Op::Crash(agent, after)),
        4 => Just(Op::Redeliver),
        1 => Just(Op::Replay),
        4 => (0..200u16).prop_map(Op::Pass),
        1 => Just(Op::NoParent),
        1 => Just(Op::NoParentManifest),
    ]
}

/// Anything at all.
fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        24 => op(),
        1 => (0..2usize).prop_map(Op::Refuse),
        1 => Just(Op::BreakSnapshot),
        1 => Just(Op::DropSnapshot),
        1 => Just(Op::BreakImage),
    ]
}

/// What can happen to one agent whose messages nobody else gets.
fn lonely_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        40 => Just(Op::Step(0)),
        3 => Just(Op::Lose(0)),
        3 => Just(Op::Again(0)),
        2 => Just(Op::Throttle(0)),
        4 => any::<bool>().prop_map(|after| Op::Crash(0, after)),
        4 => (0..200u16).prop_map(Op::Pass),
        1 => Just(Op::NoParent),
        1 => Just(Op::NoParentManifest),
        1 => Just(Op::Refuse(0)),
        1 => Just(Op::BreakSnapshot),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn who_has_a_message_alone_leaves_nothing_to_sweep(
        ops in prop::collection::vec(lonely_op(), 0..160)
    ) {
        let mut model = Model::new();
        model.sweeps = false;
        model.all_happen(ops);
        model.settle();
        check_settled(&model);
    }

    #[test]
    fn one_ami_whatever_dies_and_whatever_is_lost(ops in prop::collection::vec(op(), 0..120)) {
        let mut model = Model::new();
        model.machine.max_receives = 1000;
        model.all_happen(ops);
        model.settle();
        check_settled(&model);
        let record = &model.world.record.as_ref().unwrap().record;
        // Parents that vanish cost an attempt each, at most two.
        prop_assert_eq!(record.phase, Phase::Finished);
        prop_assert!(model.world.dead.is_empty());
    }

    #[test]
    fn one_ami_or_none_and_nothing_left(ops in prop::collection::vec(any_op(), 0..160)) {
        let mut model = Model::new();
        model.all_happen(ops);
        model.settle();
        check_settled(&model);
    }

    #[test]
    fn a_message_that_nobody_signed_makes_nothing(ops in prop::collection::vec(any_op(), 0..40)) {
        let mut model = Model::new();
        model.machine.max_receives = 1000;
        model.world.signed = false;
        model.all_happen(ops);
        model.settle();
        let world = &model.world;
        prop_assert!(world.record.is_none() && world.ec2.snapshots.is_empty() && world.ec2.images.is_empty());
        prop_assert!(world.dead.iter().all(|it| it.contains("signature")));
        prop_assert!(!world.dead.is_empty());
    }

    #[test]
    fn a_request_that_expired_before_anybody_saw_it_makes_nothing(
        ops in prop::collection::vec(any_op(), 0..40)
    ) {
        let mut model = Model::new();
        model.machine.max_receives = 1000;
        model.world.now += DEFAULT_LIFE;
        model.all_happen(ops);
        model.settle();
        let world = &model.world;
        prop_assert!(world.ec2.snapshots.is_empty() && world.ec2.images.is_empty());
        prop_assert_eq!(world.record.as_ref().unwrap().record.phase, Phase::Failed);
        prop_assert!(world.dead.iter().any(|it| it.contains("expired")));
    }
}

/// A world after its agents are done.
fn settled(change: impl FnOnce(&mut Model)) -> Model {
    let mut model = Model::new();
    change(&mut model);
    model.settle();
    model
}

#[test]
fn undisturbed_a_request_has_its_ami_at_the_first_try() {
    let model = settled(|_| ());
    let record = &model.world.record.as_ref().unwrap().record;
    assert_eq!((record.phase, record.attempt), (Phase::Finished, 1));
    assert_eq!(model.world.ec2.images[0].name, "web-abababab-07070707");
    assert_eq!(model.world.writes, 4, "taken up, start, snapshot, result");
    assert!(matches!(model.outcomes.as_slice(), [Outcome::Finished { ami }] if ami == "ami-0"));
}

#[test]
fn a_replay_finds_it_done() {
    let mut model = settled(|_| ());
    let before = model.world.record.clone();
    model.world.now += Duration::days(3);
    model.happen(Op::Replay);
    model.settle();
    assert_eq!(model.world.record, before);
    assert_eq!(
        (
            model.world.ec2.images.len(),
            model.world.ec2.made,
            model.world.dead.len()
        ),
        (1, 1, 0)
    );
}

#[test]
fn another_request_under_a_known_id_touches_nothing() {
    let mut model = settled(|_| ());
    let before = model.world.record.clone();
    let mut other = model.request.clone();
    other.ami.name = Some("another".to_owned());
    let text = serde_json::to_string(&other).unwrap();
    model.body = serde_json::to_string(&Envelope::new(text, b"signature")).unwrap();
    model.happen(Op::Replay);
    model.settle();
    assert_eq!(model.world.record, before);
    assert_eq!(model.world.ec2.images.len(), 1);
    assert!(
        model.world.dead[0].contains("was here before"),
        "{:?}",
        model.world.dead
    );
}

#[test]
fn a_name_that_is_taken_is_a_failure_that_names_the_image() {
    let model = settled(|model| {
        let snapshot = Snapshot {
            token: String::new(),
            born: T0,
            state: SnapshotState::Completed,
            full: true,
        };
        model
            .world
            .ec2
            .snapshots
            .insert("theirs".to_owned(), snapshot);
        model.world.ec2.images.push(Image {
            id: "ami-theirs".to_owned(),
            name: model.request.ami_name(),
            snapshot: "theirs".to_owned(),
            request: "another".to_owned(),
            state: ImageState::Available,
            born: T0,
        });
    });
    let record = &model.world.record.as_ref().unwrap().record;
    assert_eq!(record.phase, Phase::Failed);
    assert!(
        record.reason.as_ref().unwrap().contains("ami-theirs"),
        "{record:?}"
    );
    assert_eq!(model.world.ec2.images.len(), 1);
    let theirs: Vec<&str> = model
        .world
        .ec2
        .snapshots
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(theirs, ["theirs"]);
}

#[test]
fn a_message_that_comes_too_often_is_given_up() {
    let mut model = Model::new();
    // Taken up, and then killed each time at the same place.
    while !model.world.queue.iter().all(|it| it.gone) {
        for _ in 0..6 {
            model.happen(Op::Step(0));
        }
        let hands = model.agents[0].clone();
        let record = model.world.record.as_ref();
        let working = record.is_some_and(|it| it.record.phase == Phase::Working);
        if hands.is_some() && working {
            model.happen(Op::Crash(0, false));
            model.happen(Op::Redeliver);
        }
        model.world.now += Duration::seconds(61);
    }
    model.settle();
    check_settled(&model);
    let record = &model.world.record.as_ref().unwrap().record;
    assert_eq!(record.phase, Phase::Failed);
    assert!(
        model.world.dead[0].contains("given up after 12 tries"),
        "{:?}",
        model.world.dead
    );
}

/// One that EC2 refuses to register, though it says that the snapshot is complete, is asked for a
/// while, not all the time; then there is another snapshot, and in the end a reason.
#[test]
fn an_image_that_is_not_registered_is_asked_for_now_and_then() {
    let mut model = Model::new();
    model.world.ec2.registers_none = true;
    model.settle();
    check_settled(&model);
    let world = &model.world;
    assert_eq!(world.record.as_ref().unwrap().record.phase, Phase::Failed);
    assert!(
        world.dead[0].contains("5 snapshots in a row were lost"),
        "{:?}",
        world.dead
    );
    // For two minutes each: after 1, 1, 2, 4, 8, 15, 15 … seconds.
    assert!(
        world.ec2.registrations <= 5 * 14,
        "{}",
        world.ec2.registrations
    );
    assert!(world.now - T0 >= Duration::minutes(10));
}

#[test]
fn an_image_that_is_registered_after_a_while_is_of_the_first_snapshot() {
    let mut model = Model::new();
    model.world.ec2.registers_none = true;
    while model.world.ec2.registrations < 4 {
        model.happen(Op::Step(0));
    }
    model.world.ec2.registers_none = false;
    model.settle();
    check_settled(&model);
    let record = &model.world.record.as_ref().unwrap().record;
    assert_eq!((record.phase, record.attempt), (Phase::Finished, 1));
}

/// What can't even be read is given up, too, and the dead letter says why.
#[test]
fn what_is_refused_before_there_is_a_record_is_given_up() {
    for (step, word) in [("verify", None), ("read-record", Some("07070707"))] {
        let mut model = Model::new();
        let mut turns = 0;
        while !model.world.queue.iter().all(|it| it.gone) {
            let next = model.agents[0].as_ref().map(|it| it.action.name());
            model.happen(match next == Some(step) {
                true => Op::Refuse(0),
                false => Op::Step(0),
            });
            if model.agents[0].is_none() {
                model.world.now += Duration::minutes(15);
            }
            turns += 1;
            assert!(turns < 1000, "{step}: no end");
        }
        let world = &model.world;
        assert!(world.record.is_none() && world.ec2.snapshots.is_empty());
        assert_eq!(
            world.dead,
            ["given up after 12 tries: as the model wants it"],
            "{step}"
        );
        assert_eq!(model.machine.max_receives, world.queue[0].receives - 1);
        // What nobody could verify is not believed, its id least of all.
        assert_eq!(world.dead_ids[0].as_deref().map(|it| &it[..8]), word);
    }
}
