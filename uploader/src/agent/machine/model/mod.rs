//! The machine against a model of AWS: two agents on one queue, in every order that proptest finds,
//! with crashes, lost answers, throttles, redelivery, replays, clocks that run, snapshots and
//! parents that vanish.
//!
//! Once the dust has settled there is one AMI for the request, or none and a dead letter; no
//! snapshot that no image needs; and no message.

use super::*;
use crate::agent::action::{Boot, FoundImage, ImageState, SnapshotState};
use crate::agent::record::{Parent, Phase};
use crate::request::{AmiSpec, DEFAULT_LIFE, Envelope, ImageRef, Request};
use crate::vault::Names;
use proptest::prelude::*;
use std::collections::BTreeMap;
use time::Duration;
use time::macros::datetime;

const T0: OffsetDateTime = datetime!(2026-05-01 12:00 UTC);
/// How long EC2 may not see what was just made.
const LAG: Duration = Duration::seconds(119);

/// Something that happens; the agent is 0 or 1.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// An agent does what it is about to, or takes a message.
    Step(usize),
    /// So, but EC2 does not see what was just made.
    Lag(usize),
    /// So, but the answer is lost.
    Lose(usize),
    /// So, but the answer is lost, and the SDK calls again.
    Again(usize),
    /// Too many requests.
    Throttle(usize),
    /// AWS refuses for good.
    Refuse(usize),
    /// kill -9, before or after what it is about to do.
    Crash(usize, bool),
    /// Messages come again, while others have them.
    Redeliver,
    /// Somebody sends the message once more.
    Replay,
    /// Time passes.
    Pass(u16),
    /// Somebody deletes the parent, or its manifest.
    NoParent,
    NoParentManifest,
    /// A pending snapshot goes wrong, or goes.
    BreakSnapshot,
    DropSnapshot,
    /// A pending image goes wrong.
    BreakImage,
}

#[derive(Clone, Debug)]
struct Snapshot {
    token: String,
    born: OffsetDateTime,
    state: SnapshotState,
    full: bool,
}

#[derive(Clone, Debug)]
struct Image {
    id: String,
    name: String,
    snapshot: String,
    request: String,
    state: ImageState,
    born: OffsetDateTime,
}

#[derive(Clone, Debug)]
struct Message {
    receives: u32,
    visible: OffsetDateTime,
    gone: bool,
}

/// What an agent has in its hands.
#[derive(Clone, Debug)]
struct Hands {
    message: usize,
    receipt: u32,
    state: State,
    action: Action,
}

struct World {
    machine: Machine,
    body: String,
    request: Request,
    signed: bool,
    now: OffsetDateTime,
    record: Option<Stored>,
    writes: u32,
    snapshots: BTreeMap<String, Snapshot>,
    made: u32,
    images: Vec<Image>,
    queue: Vec<Message>,
    dead: Vec<String>,
    agents: [Option<Hands>; 2],
    parent: bool,
    parent_manifest: bool,
    outcomes: Vec<Outcome>,
    /// Whether idle agents look for what is left behind.
    sweeps: bool,
}

fn request(now: OffsetDateTime) -> (Request, String) {
    let names = Names::new("image-vault", "123456789012", "eu-west-1", "aws").unwrap();
    let image = ImageRef {
        name: "web".to_owned(),
        digest: "ab".repeat(32).parse().unwrap(),
    };
    let request = Request::new(
        &names,
        image,
        AmiSpec::default(),
        now,
        DEFAULT_LIFE,
        [7; 16],
    );
    let text = serde_json::to_string(&request).unwrap();
    let body = serde_json::to_string(&Envelope::new(text, b"signature")).unwrap();
    (request, body)
}

impl World {
    fn new() -> World {
        let (request, body) = request(T0);
        World {
            machine: Machine {
                own: Whereabouts {
                    account: request.account.clone(),
                    region: request.region.clone(),
                    vault: request.vault.clone(),
                },
                vault_key: "key".to_owned(),
                max_receives: 12,
                max_attempts: 5,
                pause: 15,
            },
            body,
            request,
            signed: true,
            now: T0,
            record: None,
            writes: 0,
            snapshots: BTreeMap::new(),
            made: 0,
            images: Vec::new(),
            queue: vec![Message {
                receives: 0,
                visible: T0,
                gone: false,
            }],
            dead: Vec::new(),
            agents: [None, None],
            parent: true,
            parent_manifest: true,
            outcomes: Vec::new(),
            sweeps: true,
        }
    }

    fn happen(&mut self, op: Op) {
        match op {
            Op::Step(agent) => self.turn(agent, |world, action| world.perform(action, false)),
            Op::Lag(agent) => self.turn(agent, |world, action| world.perform(action, true)),
            Op::Lose(agent) => self.turn(agent, |world, action| {
                world.perform(action, false);
                fault(true)
            }),
            Op::Again(agent) => self.turn(agent, |world, action| {
                world.perform(action, false);
                world.perform(action, false)
            }),
            Op::Throttle(agent) => self.turn(agent, |_, _| fault(true)),
            Op::Refuse(agent) => self.turn(agent, |_, _| fault(false)),
            Op::Crash(agent, after) => {
                let Some(hands) = self.agents[agent].take() else {
                    return;
                };
                if after {
                    self.hold(&hands);
                    self.perform(&hands.action, false);
                }
            }
            Op::Redeliver => {
                let now = self.now;
                self.queue.iter_mut().for_each(|it| it.visible = now);
            }
            Op::Replay => self.queue.push(Message {
                receives: 0,
                visible: self.now,
                gone: false,
            }),
            Op::Pass(seconds) => self.now += Duration::seconds(seconds.into()),
            Op::NoParent => self.parent = false,
            Op::NoParentManifest => self.parent_manifest = false,
            Op::BreakSnapshot => {
                let pending = self.pending();
                if let Some(it) = pending.and_then(|id| self.snapshots.get_mut(&id)) {
                    it.state = SnapshotState::Error;
                }
            }
            Op::DropSnapshot => {
                if let Some(id) = self.pending() {
                    self.snapshots.remove(&id);
                }
            }
            Op::BreakImage => {
                let pending = |it: &&mut Image| it.state == ImageState::Pending;
                if let Some(it) = self.images.iter_mut().find(pending) {
                    it.state = ImageState::Failed;
                }
            }
        }
        self.check_always();
    }

    fn pending(&self) -> Option<String> {
        let mut all = self.snapshots.iter();
        let found = all.find(|(_, it)| it.state == SnapshotState::Pending);
        found.map(|(id, _)| id.clone())
    }

    /// An agent's turn: it takes a message, or carries its action out as `how` says.
    fn turn(&mut self, agent: usize, how: impl FnOnce(&mut World, &Action) -> Event) {
        let Some(mut hands) = self.agents[agent].take() else {
            self.receive(agent);
            return;
        };
        self.hold(&hands);
        if let Action::Done(outcome) = &hands.action {
            self.outcomes.push(outcome.clone());
            return;
        }
        let action = hands.action.clone();
        let event = match &action {
            // Time passes, whatever happens to other calls; the message is this agent's receipt's.
            Action::Wait(seconds) => {
                self.now += Duration::seconds((*seconds).into());
                Event::Woken
            }
            Action::DeleteMessage => {
                let message = &mut self.queue[hands.message];
                // SQS says "deleted" to an old receipt, too.
                message.gone |= message.receives == hands.receipt;
                how(self, &action)
            }
            Action::Release(delay) => {
                let message = &mut self.queue[hands.message];
                if message.receives == hands.receipt {
                    message.visible = self.now + Duration::seconds((*delay).into());
                }
                how(self, &action)
            }
            action => how(self, action),
        };
        (hands.state, hands.action) = self.machine.step(hands.state, event, self.now);
        self.agents[agent] = Some(hands);
    }

    /// The heartbeat: the message stays with whoever has it, unless it went to another.
    fn hold(&mut self, hands: &Hands) {
        let message = &mut self.queue[hands.message];
        if message.receives == hands.receipt && message.visible > self.now {
            message.visible = message.visible.max(self.now + Duration::seconds(60));
        }
    }

    fn receive(&mut self, agent: usize) {
        let now = self.now;
        let visible = |it: &Message| !it.gone && it.visible <= now;
        let Some(at) = self.queue.iter().position(visible) else {
            return;
        };
        let message = &mut self.queue[at];
        message.receives += 1;
        message.visible = now + Duration::seconds(60);
        let delivery = Delivery {
            body: self.body.clone(),
            receives: message.receives,
        };
        let receipt = message.receives;
        let (state, action) = self.machine.start(&delivery);
        self.agents[agent] = Some(Hands {
            message: at,
            receipt,
            state,
            action,
        });
    }

    /// What AWS does.
    fn perform(&mut self, action: &Action, lag: bool) -> Event {
        let now = self.now;
        let unseen = |born: OffsetDateTime| lag && now - born < LAG;
        match action {
            Action::Verify { .. } => Event::Verified(self.signed),
            Action::ReadRecord(_) => Event::Record(self.record.clone().map(Box::new)),
            Action::WriteRecord { record, replaces } => {
                if self.record.as_ref().map(|it| &it.etag) != replaces.as_ref() {
                    return Event::Changed;
                }
                if let Some(before) = &self.record {
                    // See `check_settled` for the one way back.
                    let back =
                        before.record.phase == Phase::Failed && record.phase == Phase::Finished;
                    assert!(
                        !before.record.is_final() || back,
                        "a final record is written"
                    );
                }
                self.writes += 1;
                let etag = self.writes.to_string();
                self.record = Some(Stored {
                    record: (**record).clone(),
                    etag: etag.clone(),
                });
                Event::Written(etag)
            }
            Action::FetchManifest(_) => Event::Manifest(Facts {
                gib: 2,
                boot: Boot::Both,
            }),
            Action::FindParent { image, .. } => {
                Event::Parent((self.parent && self.parent_manifest).then(|| Parent {
                    snapshot: "parent".to_owned(),
                    image: image.clone(),
                }))
            }
            Action::StartSnapshot(new) => {
                let mut all = self.snapshots.iter();
                if let Some((id, _)) = all.find(|(_, it)| it.token == new.token) {
                    return Event::Snapshot(id.clone());
                }
                if new.parent.is_some() && !self.parent {
                    return Event::ParentGone;
                }
                self.made += 1;
                let id = format!("snap-{}", self.made);
                let snapshot = Snapshot {
                    token: new.token.clone(),
                    born: now,
                    state: SnapshotState::Pending,
                    full: false,
                };
                self.snapshots.insert(id.clone(), snapshot);
                Event::Snapshot(id)
            }
            Action::LookAtSnapshot(id) => Event::SnapshotIs(match self.snapshots.get(id) {
                Some(it) if !unseen(it.born) => it.state,
                _ => SnapshotState::NotFound,
            }),
            Action::PutBlocks {
                snapshot, parent, ..
            } => {
                if parent.is_some() && !self.parent_manifest {
                    return Event::ParentGone;
                }
                match self.snapshots.get_mut(snapshot) {
                    Some(it) if it.state == SnapshotState::Pending => {
                        it.full = true;
                        Event::Put
                    }
                    _ => Event::NotPending,
                }
            }
            Action::CompleteSnapshot(id) => match self.snapshots.get_mut(id) {
                Some(it) if it.state == SnapshotState::Pending => {
                    assert!(it.full, "completed before all blocks are put");
                    it.state = SnapshotState::Completed;
                    Event::Sealed
                }
                _ => Event::NotPending,
            },
            Action::RegisterImage(new) => {
                if self.images.iter().any(|it| it.name == new.name) {
                    return Event::NameTaken;
                }
                match self.snapshots.get(&new.snapshot) {
                    Some(it) if it.state == SnapshotState::Completed => {}
                    _ => return Event::NotPending,
                }
                let id = format!("ami-{}", self.images.len());
                let tag = new
                    .tags
                    .iter()
                    .find(|it| it.0 == crate::agent::tags::REQUEST);
                self.images.push(Image {
                    id: id.clone(),
                    name: new.name.clone(),
                    snapshot: new.snapshot.clone(),
                    request: tag.unwrap().1.clone(),
                    state: ImageState::Pending,
                    born: now,
                });
                Event::Registered(id)
            }
            Action::FindImage(name) => {
                let mut all = self.images.iter_mut();
                let found = all.find(|it| it.name == *name && !unseen(it.born));
                Event::Image(found.map(|it| {
                    let answer = FoundImage {
                        id: it.id.clone(),
                        snapshot: it.snapshot.clone(),
                        request: Some(it.request.clone()),
                        state: it.state,
                    };
                    // The next look finds it there.
                    if it.state == ImageState::Pending {
                        it.state = ImageState::Available;
                    }
                    answer
                }))
            }
            Action::ListSnapshots(_) => {
                let seen = self.snapshots.iter().filter(|(_, it)| !unseen(it.born));
                Event::Snapshots(seen.map(|(id, _)| id.clone()).collect())
            }
            Action::DeleteSnapshot(id) => {
                if self.images.iter().any(|it| it.snapshot == *id) {
                    return Event::InUse;
                }
                if self.snapshots.get(id).is_none_or(|it| unseen(it.born)) {
                    return Event::Missing;
                }
                self.snapshots.remove(id);
                Event::Deleted
            }
            Action::DeadLetter { reason, .. } => {
                self.dead.push(reason.clone());
                Event::Sent
            }
            Action::DeleteMessage => Event::MessageDeleted,
            Action::Release(_) => Event::Released,
            Action::Wait(_) | Action::Done(_) => Event::Woken,
        }
    }

    fn check_always(&self) {
        assert!(self.images.len() <= 1 || self.images[0].name != self.images[1].name);
        for image in &self.images {
            let snapshot = self
                .snapshots
                .get(&image.snapshot)
                .expect("an image's snapshot");
            assert!(snapshot.full && snapshot.state == SnapshotState::Completed);
        }
    }

    /// No more harm: both agents go on until there is nothing to do.
    fn settle(&mut self) {
        for _ in 0..3000 {
            self.happen(Op::Step(0));
            self.happen(Op::Step(1));
            let idle = self.agents.iter().all(Option::is_none);
            if idle && self.queue.iter().all(|it| it.gone) {
                self.sweep();
                return;
            }
            if idle {
                self.now += Duration::seconds(30);
            }
        }
        panic!("no end: {:?} {:?}", self.record, self.agents);
    }

    /// What an agent without work does: snapshots of requests that are done with go.
    fn sweep(&mut self) {
        if !self.sweeps {
            return;
        }
        let record = self.record.as_ref().map(|it| &it.record);
        let Some(record) = record.filter(|it| it.is_final()) else {
            return;
        };
        let keep = record
            .snapshot
            .clone()
            .filter(|_| record.phase == Phase::Finished);
        let images = &self.images;
        self.snapshots.retain(|id, _| {
            Some(id) == keep.as_ref() || images.iter().any(|it| it.snapshot == *id)
        });
    }

    fn check_settled(&self) {
        let record = &self.record.as_ref().expect("a record").record;
        match record.phase {
            Phase::Finished => {
                assert_eq!(self.images.len(), 1, "one AMI");
                assert_eq!(Some(&self.images[0].id), record.ami.as_ref());
                assert_eq!(Some(&self.images[0].snapshot), record.snapshot.as_ref());
                assert_eq!(self.images[0].request, self.request.id.to_string());
                let left: Vec<&String> = self.snapshots.keys().collect();
                assert_eq!(left, [&self.images[0].snapshot], "no other snapshot");
            }
            Phase::Failed => {
                assert!(!self.dead.is_empty(), "a dead letter");
                assert!(record.reason.as_ref().is_some_and(|it| !it.is_empty()));
                // But for one that failed, or whose snapshot could not be deleted in time: and then
                // it is named.
                for image in &self.images {
                    let named =
                        |it: &String| it.contains(&image.id) || it.contains(&image.snapshot);
                    assert!(record.left.iter().any(named), "no AMI, or it is named");
                }
                for id in self.snapshots.keys() {
                    let of_an_image = self.images.iter().any(|it| it.snapshot == *id);
                    let named = record.left.iter().any(|it| it.contains(id.as_str()));
                    assert!(of_an_image || named, "{id} is left");
                }
            }
            phase => panic!("{phase:?}, and no message any more"),
        }
    }
}

fn fault(is_transient: bool) -> Event {
    Event::Fault(Fault {
        text: "as the model wants it".to_owned(),
        is_transient,
    })
}

/// Anything that a request survives, mostly progress.
fn op() -> impl Strategy<Value = Op> {
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
        let mut world = World::new();
        world.sweeps = false;
        for op in ops {
            world.happen(op);
        }
        world.settle();
        world.check_settled();
    }

    #[test]
    fn one_ami_whatever_dies_and_whatever_is_lost(ops in prop::collection::vec(op(), 0..120)) {
        let mut world = World::new();
        world.machine.max_receives = 1000;
        for op in ops {
            world.happen(op);
        }
        world.settle();
        world.check_settled();
        let record = &world.record.as_ref().unwrap().record;
        // Parents that vanish cost an attempt each, at most two.
        prop_assert_eq!(record.phase, Phase::Finished);
        prop_assert!(world.dead.is_empty());
    }

    #[test]
    fn one_ami_or_none_and_nothing_left(ops in prop::collection::vec(any_op(), 0..160)) {
        let mut world = World::new();
        for op in ops {
            world.happen(op);
        }
        world.settle();
        world.check_settled();
    }

    #[test]
    fn a_message_that_nobody_signed_makes_nothing(ops in prop::collection::vec(any_op(), 0..40)) {
        let mut world = World::new();
        world.signed = false;
        for op in ops {
            world.happen(op);
        }
        world.settle();
        prop_assert!(world.record.is_none() && world.snapshots.is_empty() && world.images.is_empty());
        prop_assert!(world.dead.iter().all(|it| it.contains("signature")));
        prop_assert!(!world.dead.is_empty());
    }

    #[test]
    fn a_request_that_expired_before_anybody_saw_it_makes_nothing(
        ops in prop::collection::vec(any_op(), 0..40)
    ) {
        let mut world = World::new();
        world.now += DEFAULT_LIFE;
        for op in ops {
            world.happen(op);
        }
        world.settle();
        prop_assert!(world.snapshots.is_empty() && world.images.is_empty());
        prop_assert_eq!(world.record.as_ref().unwrap().record.phase, Phase::Failed);
        prop_assert!(world.dead.iter().any(|it| it.contains("expired")));
    }
}

/// A world after its agents are done.
fn settled(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::new();
    change(&mut world);
    world.settle();
    world
}

#[test]
fn undisturbed_a_request_has_its_ami_at_the_first_try() {
    let world = settled(|_| ());
    let record = &world.record.as_ref().unwrap().record;
    assert_eq!((record.phase, record.attempt), (Phase::Finished, 1));
    assert_eq!(world.images[0].name, "web-abababab-07070707");
    assert_eq!(world.writes, 4, "taken up, start, snapshot, result");
    assert!(matches!(world.outcomes.as_slice(), [Outcome::Finished { ami }] if ami == "ami-0"));
}

#[test]
fn a_replay_finds_it_done() {
    let mut world = settled(|_| ());
    let before = world.record.clone();
    world.now += Duration::days(3);
    world.happen(Op::Replay);
    world.settle();
    assert_eq!(world.record, before);
    assert_eq!(
        (world.images.len(), world.made, world.dead.len()),
        (1, 1, 0)
    );
}

#[test]
fn another_request_under_a_known_id_touches_nothing() {
    let mut world = settled(|_| ());
    let before = world.record.clone();
    let mut other = world.request.clone();
    other.ami.name = Some("another".to_owned());
    let text = serde_json::to_string(&other).unwrap();
    world.body = serde_json::to_string(&Envelope::new(text, b"signature")).unwrap();
    world.happen(Op::Replay);
    world.settle();
    assert_eq!(world.record, before);
    assert_eq!(world.images.len(), 1);
    assert!(
        world.dead[0].contains("was here before"),
        "{:?}",
        world.dead
    );
}

#[test]
fn a_name_that_is_taken_is_a_failure_that_names_the_image() {
    let world = settled(|world| {
        let snapshot = Snapshot {
            token: String::new(),
            born: T0,
            state: SnapshotState::Completed,
            full: true,
        };
        world.snapshots.insert("theirs".to_owned(), snapshot);
        world.images.push(Image {
            id: "ami-theirs".to_owned(),
            name: world.request.ami_name(),
            snapshot: "theirs".to_owned(),
            request: "another".to_owned(),
            state: ImageState::Available,
            born: T0,
        });
    });
    let record = &world.record.as_ref().unwrap().record;
    assert_eq!(record.phase, Phase::Failed);
    assert!(
        record.reason.as_ref().unwrap().contains("ami-theirs"),
        "{record:?}"
    );
    assert_eq!(world.images.len(), 1);
    let theirs: Vec<&str> = world.snapshots.keys().map(String::as_str).collect();
    assert_eq!(theirs, ["theirs"]);
}

#[test]
fn a_message_that_comes_too_often_is_given_up() {
    let mut world = World::new();
    // Taken up, and then killed each time at the same place.
    while !world.queue.iter().all(|it| it.gone) {
        for _ in 0..6 {
            world.happen(Op::Step(0));
        }
        let hands = world.agents[0].clone();
        let working = world
            .record
            .as_ref()
            .is_some_and(|it| it.record.phase == Phase::Working);
        if hands.is_some() && working {
            world.happen(Op::Crash(0, false));
            world.happen(Op::Redeliver);
        }
        world.now += Duration::seconds(61);
    }
    world.settle();
    world.check_settled();
    let record = &world.record.as_ref().unwrap().record;
    assert_eq!(record.phase, Phase::Failed);
    assert!(
        world.dead[0].contains("given up after 12 tries"),
        "{:?}",
        world.dead
    );
}
