//! Agents, one message at a time each, in the hands of chance: an operation lets one of them go on,
//! or does harm to it or to its surroundings.

use super::world::{Receipt, World};
use crate::agent::machine::action::{Action, Event, Outcome};
use crate::agent::machine::{Delivery, Machine, State};
use crate::ami::{Answer, FailedCall};
use crate::request::{AmiSpec, DEFAULT_LIFE, Envelope, ImageRef, Request, Whereabouts};
use crate::vault::Names;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

pub(super) const T0: OffsetDateTime = datetime!(2026-05-01 12:00 UTC);

/// Something that happens; the agent is 0 or 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
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

/// What an agent has in its hands.
#[derive(Clone, Debug)]
pub(super) struct Hands {
    receipt: Receipt,
    state: State,
    pub(super) action: Action,
}

/// Two agents in a world with one request.
pub(super) struct Model {
    pub(super) world: World,
    pub(super) machine: Machine,
    pub(super) request: Request,
    /// The message.
    pub(super) body: String,
    pub(super) agents: [Option<Hands>; 2],
    pub(super) outcomes: Vec<Outcome>,
    /// Whether idle agents look for what is left behind.
    pub(super) sweeps: bool,
}

impl Model {
    pub(super) fn new() -> Model {
        let (request, body) = request(T0);
        Model {
            world: World::new(T0),
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
            request,
            body,
            agents: [None, None],
            outcomes: Vec::new(),
            sweeps: true,
        }
    }

    /// All of these, one after the other.
    pub(super) fn all_happen(&mut self, ops: Vec<Op>) {
        for op in ops {
            self.happen(op);
        }
    }

    pub(super) fn happen(&mut self, op: Op) {
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
                    self.world.hold(hands.receipt);
                    self.world.perform(&hands.action, false);
                }
            }
            Op::Redeliver => self.world.redeliver(),
            Op::Replay => self.world.send(),
            Op::Pass(seconds) => self.world.now += Duration::seconds(seconds.into()),
            Op::NoParent => self.world.ec2.parent = false,
            Op::NoParentManifest => self.world.parent_manifest = false,
            Op::BreakSnapshot => self.world.ec2.break_snapshot(),
            Op::DropSnapshot => self.world.ec2.drop_snapshot(),
            Op::BreakImage => self.world.ec2.break_image(),
        }
        self.world.check_always();
    }

    /// An agent's turn: it takes a message, or carries its action out as `how` says.
    pub(super) fn turn(&mut self, agent: usize, how: impl FnOnce(&mut World, &Action) -> Event) {
        let Some(hands) = self.agents[agent].take() else {
            self.receive(agent);
            return;
        };
        let Hands {
            receipt,
            state,
            action,
        } = hands;
        let world = &mut self.world;
        world.hold(receipt);
        let event = match &action {
            Action::Done(outcome) => {
                self.outcomes.push(outcome.clone());
                return;
            }
            // Time passes, whatever happens to other calls; the message is this agent's receipt's.
            Action::Wait(pause) => {
                world.now += *pause;
                Event::Ami(Answer::Waited)
            }
            Action::DeleteMessage => {
                world.delete_message(receipt);
                how(world, &action)
            }
            Action::Release(delay) => {
                world.release(receipt, *delay);
                how(world, &action)
            }
            action => how(world, action),
        };
        let (state, action) = self.machine.step(state, event, self.world.now);
        self.agents[agent] = Some(Hands {
            receipt,
            state,
            action,
        });
    }

    fn receive(&mut self, agent: usize) {
        let Some(receipt) = self.world.receive() else {
            return;
        };
        let delivery = Delivery {
            body: self.body.clone(),
            receives: receipt.receives,
        };
        let (state, action) = self.machine.start(&delivery);
        self.agents[agent] = Some(Hands {
            receipt,
            state,
            action,
        });
    }

    /// No more harm: both agents go on until there is nothing to do.
    pub(super) fn settle(&mut self) {
        self.settle_by(Op::Step);
    }

    /// The same, each turn as `how` says.
    pub(super) fn settle_by(&mut self, how: fn(usize) -> Op) {
        for _ in 0..3000 {
            self.happen(how(0));
            self.happen(how(1));
            let idle = self.agents.iter().all(Option::is_none);
            if idle && self.world.queue.iter().all(|it| it.gone) {
                if self.sweeps {
                    self.world.sweep();
                }
                return;
            }
            if idle {
                self.world.now += Duration::seconds(30);
            }
        }
        panic!("no end: {:?} {:?}", self.world.record, self.agents);
    }
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

fn fault(is_transient: bool) -> Event {
    Event::Failed(FailedCall {
        text: "as the model wants it".to_owned(),
        is_transient,
        is_denied: false,
        sign_in: None,
    })
}
