//! Snapshots of earlier attempts that EC2 does not show: what was just made is in no list, and its
//! deletion is answered with "there is none". The record alone knows of them then, and sweeps are
//! off, for an agent that looks around without work would hide what was forgotten.

use super::agents::{Model, Op};
use super::properties::{check_settled, op};
use crate::agent::machine::action::Action;
use crate::agent::record::Phase;
use crate::ami::Call;
use proptest::prelude::*;

/// Much is not seen yet, attempts are given up, and whoever knows what was made is killed.
fn lagging_op() -> impl Strategy<Value = Op> {
    let agent = 0..2usize;
    prop_oneof![
        8 => op(),
        8 => agent.clone().prop_map(Op::Lag),
        1 => agent.prop_map(|agent| Op::Crash(agent, false)),
        1 => Just(Op::Redeliver),
        1 => Just(Op::BreakSnapshot),
        1 => Just(Op::NoParentManifest),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_the_record_names_is_deleted_without_a_list(
        ops in prop::collection::vec(lagging_op(), 0..120)
    ) {
        let mut model = Model::new();
        model.machine.max_receives = 1000;
        model.sweeps = false;
        model.all_happen(ops);
        model.settle_by(Op::Lag);
        let world = &model.world;
        let record = &world.record.as_ref().unwrap().record;
        for id in &record.earlier {
            let of_an_image = world.ec2.images.iter().any(|it| it.snapshot == *id);
            prop_assert!(of_an_image || !world.ec2.snapshots.contains_key(id), "{} is left", id);
        }
        prop_assert_eq!(world.ec2.images.len(), usize::from(record.phase == Phase::Finished));
    }
}

/// An agent goes on, as `how` says, until it is about to do something.
fn until(model: &mut Model, how: fn(usize) -> Op, agent: usize, is_next: fn(&Action) -> bool) {
    for _ in 0..300 {
        let hands = model.agents[agent].as_ref();
        if hands.is_some_and(|it| is_next(&it.action)) {
            return;
        }
        model.happen(how(agent));
    }
    panic!("it never is: {:?}", model.agents[agent]);
}

fn puts(action: &Action) -> bool {
    matches!(action, Action::PutBlocks { .. })
}

/// The agent that is about to put blocks learns that the parent is of no use, and gives the attempt
/// up. It is told that there is no snapshot to delete, but there is.
fn give_up_unseen(model: &mut Model, agent: usize) {
    let writes = |it: &Action| matches!(it, Action::WriteRecord { .. });
    model.happen(Op::NoParentManifest);
    model.happen(Op::Lag(agent));
    until(model, Op::Lag, agent, writes);
    model.happen(Op::Lag(agent));
    let record = &model.world.record.as_ref().unwrap().record;
    assert_eq!((record.attempt, record.earlier.len()), (2, 1));
    assert_eq!(model.world.ec2.snapshots.len(), 1);
}

#[test]
fn an_earlier_attempts_snapshot_that_is_in_no_list_is_deleted() {
    let mut model = Model::new();
    model.sweeps = false;
    until(&mut model, Op::Step, 0, puts);
    give_up_unseen(&mut model, 0);
    // It remembers what it started; its successor does not.
    model.happen(Op::Crash(0, false));
    model.happen(Op::Redeliver);
    until(&mut model, Op::Step, 1, |it| {
        matches!(it, Action::ListSnapshots(_))
    });
    until(&mut model, Op::Lag, 1, |it| matches!(it, Action::Done(_)));
    model.settle();
    check_settled(&model);
    let record = &model.world.record.as_ref().unwrap().record;
    assert_eq!((record.phase, record.attempt), (Phase::Finished, 2));
}

/// Rule 4 of the machine's, for earlier attempts: another agent is about to register one of their
/// snapshots, and is killed once it has, so that nobody is left to take the image over.
#[test]
fn a_request_that_failed_gets_no_image_of_an_earlier_attempt() {
    let mut model = Model::new();
    model.sweeps = false;
    until(&mut model, Op::Step, 0, puts);
    model.happen(Op::Redeliver);
    until(&mut model, Op::Step, 1, puts);
    until(&mut model, Op::Step, 0, |it| {
        matches!(it, Action::Ami(Call::RegisterImage(_)))
    });
    give_up_unseen(&mut model, 1);
    until(&mut model, Op::Step, 1, |it| {
        matches!(it, Action::Ami(Call::StartSnapshot(_)))
    });
    model.happen(Op::Refuse(1));
    until(&mut model, Op::Lag, 1, |it| matches!(it, Action::Done(_)));
    model.happen(Op::Crash(0, true));
    model.settle();
    check_settled(&model);
    let world = &model.world;
    assert_eq!(world.record.as_ref().unwrap().record.phase, Phase::Failed);
    assert!(world.ec2.images.is_empty() && world.ec2.snapshots.is_empty());
}
