//! The bootstrap against EC2's model ([`crate::ami::model`]), in any order of lost answers, refusals,
//! lags and vanishing snapshots, with somebody who says stop. Once it is over there is one AMI and its
//! snapshot, or nothing but what is named.

use super::{End, Try, Why};
use crate::ami::creation::Attempt;
use crate::ami::model::Ec2;
use crate::ami::{Answer, BootMode, Call, FailedCall, ImageState, NewImage, NewSnapshot};
use crate::converter_ami::make::task::Task;
use proptest::prelude::*;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

const T0: OffsetDateTime = datetime!(2026-05-01 12:00 UTC);

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// The task is carried out.
    Step,
    /// So, but EC2 does not see what was just made.
    Lag,
    /// So, but the answer is lost.
    Lose,
    /// So, but the answer is lost, and the SDK calls again.
    Again,
    /// Too many requests.
    Throttle,
    /// AWS refuses for good.
    Refuse,
    /// The task is carried out, and then somebody says stop.
    Stop,
    /// So, but the answer is lost.
    LoseAndStop,
    /// Time passes.
    Pass(u16),
    /// Somebody deletes the parent.
    NoParent,
    /// A pending snapshot goes wrong, or goes.
    BreakSnapshot,
    DropSnapshot,
    /// A pending image goes wrong.
    BreakImage,
}

/// A bootstrap in a world.
struct Model {
    ec2: Ec2,
    now: OffsetDateTime,
    this: Try,
    task: Task,
    /// A start may have been carried out, and no answer to it ever came.
    is_start_unknown: bool,
    is_stopped: bool,
}

fn attempt(random: u8, parent: Option<&str>) -> Attempt {
    Attempt {
        snapshot: NewSnapshot {
            token: format!("converter-{random}"),
            parent: parent.map(str::to_owned),
            kms_key: "key".to_owned(),
            gib: 1,
            description: String::new(),
            tags: Vec::new(),
        },
        started: T0,
        image: NewImage {
            name: format!("uploader-converter-vault-{random}"),
            description: String::new(),
            snapshot: String::new(),
            gib: 1,
            boot: BootMode::Uefi,
            tags: Vec::new(),
        },
    }
}

impl Model {
    fn new(attempt: Attempt) -> Model {
        Model::within(Ec2::default(), attempt)
    }

    fn within(ec2: Ec2, attempt: Attempt) -> Model {
        let (this, task) = Try::start(attempt);
        Model {
            ec2,
            now: T0,
            this,
            task,
            is_start_unknown: false,
            is_stopped: false,
        }
    }

    fn perform(&mut self, lag: bool) -> Answer {
        match &self.task {
            Task::Call(call) => self.ec2.call(call, self.now, lag),
            Task::PutBlocks(id) => self.ec2.put_blocks(id),
            Task::Complete(id) => self.ec2.complete(id),
            Task::Wait(pause) => {
                self.now += *pause;
                Answer::Waited
            }
            Task::Done => unreachable!("it is done"),
        }
    }

    fn happen(&mut self, op: Op) {
        if self.task == Task::Done {
            return;
        }
        let is_wait = matches!(self.task, Task::Wait(_));
        let answer = match op {
            Op::Pass(seconds) => {
                self.now += Duration::seconds(seconds.into());
                return;
            }
            Op::NoParent => {
                self.ec2.parent = false;
                return;
            }
            Op::BreakSnapshot => return self.ec2.break_snapshot(),
            Op::DropSnapshot => return self.ec2.drop_snapshot(),
            Op::BreakImage => return self.ec2.break_image(),
            Op::Lag => Ok(self.perform(true)),
            Op::Again => {
                self.perform(false);
                Ok(self.perform(false))
            }
            Op::Lose | Op::LoseAndStop if !is_wait => {
                self.perform(false);
                Err(failed(true))
            }
            Op::Throttle if !is_wait => Err(failed(true)),
            Op::Refuse if !is_wait => Err(failed(false)),
            _ => Ok(self.perform(false)),
        };
        if matches!(self.task, Task::Call(Call::StartSnapshot(_))) {
            // Of one that was refused for good after a lost answer, too.
            self.is_start_unknown = answer.is_err();
        }
        // As the driver does: once somebody said stop, that stays so.
        self.is_stopped |= matches!(op, Op::Stop | Op::LoseAndStop);
        self.task = if self.is_stopped {
            self.this.stop(answer, self.now)
        } else {
            self.this.answered(answer, self.now)
        };
        self.ec2.check();
    }

    /// No more harm, until it is over.
    fn settle(mut self) -> Ended {
        for _ in 0..3000 {
            if self.task == Task::Done {
                return Ended {
                    end: self.this.end(),
                    ec2: self.ec2,
                    is_start_unknown: self.is_start_unknown,
                    now: self.now,
                };
            }
            self.happen(Op::Step);
        }
        panic!("no end: {:?}", self.task);
    }
}

struct Ended {
    end: End,
    ec2: Ec2,
    is_start_unknown: bool,
    now: OffsetDateTime,
}

impl Ended {
    /// One AMI and its snapshot; or nothing, or it is named.
    fn check(&self) {
        match &self.end {
            End::Made { ami, snapshot } => {
                let [image] = self.ec2.images.as_slice() else {
                    panic!("one AMI: {:?}", self.ec2);
                };
                assert_eq!((&image.id, &image.snapshot), (ami, snapshot));
                assert_eq!(image.state, ImageState::Available);
                assert!(self.ec2.snapshots.keys().eq([snapshot]), "its snapshot");
            }
            End::Undone { left, .. } => {
                let is_named = |id: &str| left.iter().any(|text| text.contains(id));
                for image in &self.ec2.images {
                    let named = is_named(&image.id) || is_named(&image.snapshot);
                    assert!(named, "{image:?} is left, and {left:?} named");
                }
                for id in self.ec2.snapshots.keys() {
                    let of_an_image = self.ec2.images.iter().any(|image| image.snapshot == *id);
                    let known = is_named(id) || of_an_image || self.is_start_unknown;
                    assert!(known, "{id} is left, and {left:?} named");
                }
            }
        }
    }
}

fn failed(is_transient: bool) -> FailedCall {
    FailedCall {
        text: "as the model wants it".to_owned(),
        is_transient,
        is_denied: false,
        sign_in: None,
    }
}

/// What a bootstrap survives.
fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        30 => Just(Op::Step),
        4 => Just(Op::Lag),
        3 => Just(Op::Lose),
        3 => Just(Op::Again),
        2 => Just(Op::Throttle),
    ]
}

/// Anything at all.
fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => op(),
        1 => Just(Op::Refuse),
        1 => Just(Op::Stop),
        1 => Just(Op::LoseAndStop),
        2 => (0..200u16).prop_map(Op::Pass),
        1 => Just(Op::NoParent),
        1 => Just(Op::BreakSnapshot),
        1 => Just(Op::DropSnapshot),
        1 => Just(Op::BreakImage),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn lost_answers_and_lags_cost_nothing(ops in prop::collection::vec(op(), 0..60)) {
        let mut model = Model::new(attempt(1, None));
        let mut failures = 0;
        for op in ops {
            // No call fails more often than it is made again.
            failures = if matches!(op, Op::Lose | Op::Throttle) { failures + 1 } else { 0 };
            if failures < 7 {
                model.happen(op);
            }
        }
        let ended = model.settle();
        ended.check();
        prop_assert!(matches!(ended.end, End::Made { .. }), "{:?}", ended.end);
    }

    #[test]
    fn one_ami_or_nothing_but_what_is_named(
        ops in prop::collection::vec(any_op(), 0..80),
        on_parent in any::<bool>(),
    ) {
        let mut model = Model::new(attempt(1, on_parent.then_some("parent")));
        for op in ops {
            model.happen(op);
        }
        model.settle().check();
    }
}

/// How many steps it takes undisturbed.
fn steps() -> usize {
    let mut model = Model::new(attempt(1, None));
    let mut steps = 0;
    while model.task != Task::Done {
        model.happen(Op::Step);
        steps += 1;
    }
    steps
}

#[test]
fn stopped_at_any_step_it_leaves_nothing() {
    for stop in [Op::Stop, Op::LoseAndStop] {
        // The last step makes nothing.
        for before in 0..steps() - 1 {
            let mut model = Model::new(attempt(1, None));
            for _ in 0..before {
                model.happen(Op::Step);
            }
            model.happen(stop);
            let ended = model.settle();
            assert!(ended.ec2.images.is_empty() && ended.ec2.snapshots.is_empty());
            let End::Undone { why, left } = ended.end else {
                panic!("{:?}", ended.end);
            };
            assert!(matches!(why, Why::Interrupted) && left.is_empty());
        }
    }
}

#[test]
fn killed_at_any_step_it_is_in_nobodys_way() {
    for before in 0..steps() {
        let mut killed = Model::new(attempt(1, None));
        for _ in 0..before {
            killed.happen(Op::Step);
        }
        // Its calls may be carried out all the same.
        if killed.task != Task::Done {
            killed.perform(false);
        }
        let left = killed.ec2.snapshots.len();
        assert!(left <= 1 && killed.ec2.images.len() <= 1);
        let ended = Model::within(killed.ec2, attempt(2, None)).settle();
        assert!(matches!(ended.end, End::Made { .. }), "{:?}", ended.end);
        assert_eq!(ended.ec2.snapshots.len(), left + 1);
    }
}

#[test]
fn a_parent_that_is_gone_is_no_error() {
    let mut model = Model::new(attempt(1, Some("parent")));
    model.ec2.parent = false;
    let ended = model.settle();
    ended.check();
    assert!(matches!(
        ended.end,
        End::Undone { why: Why::Parent, ref left } if left.is_empty()
    ));
}

#[test]
fn an_image_whose_registration_was_never_answered_is_taken_away() {
    let mut model = Model::new(attempt(1, None));
    while !matches!(model.task, Task::Call(Call::RegisterImage(_))) {
        model.happen(Op::Step);
    }
    model.happen(Op::Lose);
    assert_eq!(model.ec2.images.len(), 1);
    model.happen(Op::Stop);
    let ended = model.settle();
    assert!(ended.ec2.images.is_empty() && ended.ec2.snapshots.is_empty());
}

#[test]
fn a_call_that_fails_for_two_minutes_ends_it_and_credentials_at_once() {
    let mut model = Model::new(attempt(1, None));
    while !matches!(model.task, Task::Done) {
        model.happen(Op::Throttle);
    }
    assert_eq!(model.now - T0, Duration::minutes(2));
    let ended = model.settle();
    let End::Undone {
        why: Why::Error(error),
        ..
    } = ended.end
    else {
        panic!("{:?}", ended.end);
    };
    let text = "no snapshot can be started: as the model wants it";
    assert_eq!(error.to_string(), text);
    assert_eq!(ended.now - T0, Duration::minutes(2));

    let mut model = Model::new(attempt(1, None));
    let signed_out = FailedCall {
        sign_in: Some("sign in again".to_owned()),
        ..failed(true)
    };
    assert_eq!(model.this.answered(Err(signed_out), T0), Task::Done);
}
