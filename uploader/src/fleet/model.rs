//! A model of a vault, of EC2, of agents and of callers: whatever the order of their steps, no
//! request is lost, and never are two converters launched for what one can do.
//!
//! One is excepted: where agents are killed and hang, the request of a caller who does not wait. It
//! was seen that an agent lives, and when that is killed a moment later, nobody is there to see it.
//! The next caller launches another, who takes that request, too.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::caller::{Action, Caller, Event, Settled};
use super::judge::{Machine, MachineState, Patience, Pulse, View};
use super::launch_record::{LaunchRecord, StoredLaunch};
use crate::agent::idle::{Idle, Next};
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

const START: OffsetDateTime = time::macros::datetime!(2026-11-01 12:00 UTC);
/// Seconds for which a message is hidden after it was taken.
const VISIBILITY: i64 = 60;
const NEVER: i64 = i64::MAX;

/// What may happen in a schedule.
#[derive(Clone, Copy)]
struct Rules {
    /// Agents are killed or hang, instances never boot, callers die or stall.
    faults: bool,
    /// Callers want different things launched.
    wishes: bool,
    /// Agents say that they leave, before their last look.
    announced: bool,
}

struct Message {
    visible: i64,
    done: bool,
}

struct Instance {
    id: String,
    token: (u64, u8),
    launched: i64,
    listed: i64,
    up: bool,
}

struct Agent {
    instance: usize,
    boots: i64,
    idle: Idle,
    leaving: bool,
    hung: bool,
    gone: bool,
    polling: Option<(i64, bool)>,
    work: Vec<(usize, i64)>,
    beat: i64,
    next: i64,
}

struct Requester {
    wish: u8,
    waits: bool,
    dies: bool,
    request: Option<usize>,
    machine: Option<(Caller, Action)>,
    dead: bool,
    done: bool,
    next: i64,
}

struct World {
    rng: fastrand::Rng,
    rules: Rules,
    now: i64,
    calm: i64,
    idle: i64,
    messages: Vec<Message>,
    beats: BTreeMap<String, (i64, bool)>,
    record: Option<(LaunchRecord, u64)>,
    etags: u64,
    instances: Vec<Instance>,
    agents: Vec<Agent>,
    requesters: Vec<Requester>,
    most: usize,
}

impl World {
    fn new(seed: u64, rules: Rules) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let idle = [120, 600, 3600][rng.usize(0..3)];
        let requesters = (0..rng.usize(1..=6)).map(|_| {
            // Around each other, around the end of an idle agent, or whenever.
            let start = match rng.u8(0..3) {
                0 => rng.i64(0..20),
                1 => idle + rng.i64(30..400),
                _ => rng.i64(0..4 * idle),
            };
            Requester {
                wish: if rules.wishes { rng.u8(0..2) } else { 0 },
                waits: rng.bool(),
                dies: rules.faults && rng.u8(0..8) == 0,
                request: None,
                machine: None,
                dead: false,
                done: false,
                next: start,
            }
        });
        let requesters = requesters.collect();
        World {
            rng,
            rules,
            now: 0,
            calm: 6 * idle,
            idle,
            messages: Vec::new(),
            beats: BTreeMap::new(),
            record: None,
            etags: 0,
            instances: Vec::new(),
            agents: Vec::new(),
            requesters,
            most: 0,
        }
    }

    fn time(&self) -> OffsetDateTime {
        START + Duration::seconds(self.now)
    }

    fn is_rough(&self) -> bool {
        self.rules.faults && self.now < self.calm
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.is_rough() && self.rng.u32(0..one_in) == 0
    }

    /// Runs until there is nothing more to happen.
    fn run(&mut self) {
        loop {
            let agents = self.agents.iter().map(|it| it.next);
            let requesters = self.requesters.iter().map(|it| it.next);
            let next = agents.chain(requesters).min().unwrap_or(NEVER);
            if next == NEVER {
                return;
            }
            assert!(next < self.calm + 200_000, "it does not come to an end");
            self.now = next;
            // Whoever is due, in any order.
            let agents = (0..self.agents.len()).filter(|it| self.agents[*it].next == next);
            let mut due: Vec<(bool, usize)> = agents.map(|it| (true, it)).collect();
            let all = 0..self.requesters.len();
            due.extend(
                all.filter(|it| self.requesters[*it].next == next)
                    .map(|it| (false, it)),
            );
            match due[self.rng.usize(0..due.len())] {
                (true, index) => self.agent(index),
                (false, index) => self.requester(index),
            }
            self.count();
        }
    }

    /// How many converters were launched that could do the same work.
    fn count(&mut self) {
        let counts = |it: &&Agent| !it.hung && !it.gone && !it.leaving;
        let up = self.agents.iter().filter(counts);
        let up = up.filter(|it| self.instances[it.instance].up).count();
        self.most = self.most.max(up);
    }

    fn agent(&mut self, index: usize) {
        let instance = self.agents[index].instance;
        if !self.instances[instance].up {
            self.agents[index].gone = true;
        }
        if self.agents[index].gone || self.agents[index].hung {
            self.agents[index].next = NEVER;
            return;
        }
        if self.now < self.agents[index].boots {
            self.agents[index].next = self.agents[index].boots;
            return;
        }
        if self.chance(300) {
            // kill -9 of the guest: EC2 sees an instance that has ended.
            self.instances[instance].up = false;
            self.agents[index].next = self.now;
            return;
        }
        if self.chance(600) {
            self.agents[index].hung = true;
            self.agents[index].next = NEVER;
            return;
        }
        let (now, time) = (self.now, self.time());
        for (message, ends) in std::mem::take(&mut self.agents[index].work) {
            if ends <= now {
                self.messages[message].done = true;
                self.agents[index].idle.worked(time);
            } else {
                self.messages[message].visible = now + VISIBILITY;
                self.agents[index].work.push((message, ends));
            }
        }
        if now - self.agents[index].beat >= 30 {
            self.beat(index);
        }
        let pause = match self.agents[index].polling {
            Some((until, last)) => self.poll(index, until, last),
            None => self.think(index),
        };
        self.agents[index].next = now + pause;
    }

    fn beat(&mut self, index: usize) {
        let leaving = self.agents[index].leaving && self.rules.announced;
        let id = self.instances[self.agents[index].instance].id.clone();
        self.beats.insert(id, (self.now, leaving));
        self.agents[index].beat = self.now;
    }

    fn poll(&mut self, index: usize, until: i64, last: bool) -> i64 {
        let (now, time) = (self.now, self.time());
        let visible = |it: &Message| !it.done && it.visible <= now;
        if let Some(message) = self.messages.iter().position(visible) {
            let takes = self.rng.i64(1..200);
            self.messages[message].visible = now + VISIBILITY;
            let agent = &mut self.agents[index];
            agent.polling = None;
            agent.work.push((message, now + takes));
            agent.idle.worked(time);
            return 0;
        }
        if now < until {
            return self.rng.i64(1..=5).min(until - now);
        }
        self.agents[index].polling = None;
        if last {
            let pending = self.messages.iter().filter(|it| !it.done).count();
            let pending = (self.rng.u8(0..20) > 0).then_some(pending as u64);
            self.agents[index].idle.looked(time, pending);
            // The end takes its time, too: that is the race.
            return self.rng.i64(0..=10);
        }
        self.rng.i64(0..=2)
    }

    fn think(&mut self, index: usize) -> i64 {
        let (now, time) = (self.now, self.time());
        let working = self.agents[index].work.len();
        match self.agents[index].idle.next(time, working) {
            Next::Poll(wait) if working < 2 => {
                self.agents[index].polling = Some((now + wait, false))
            }
            Next::Poll(_) => return 1,
            Next::LastPoll(wait) => self.agents[index].polling = Some((now + wait, true)),
            Next::Announce => {
                let said = self.rng.u8(0..10) > 0;
                self.agents[index].leaving |= said;
                if said {
                    self.beat(index);
                }
                self.agents[index].idle.announced(time, said);
            }
            Next::Stay => {
                self.agents[index].leaving = false;
                self.beat(index);
                self.agents[index].idle.stayed();
            }
            Next::Leave => {
                // The heartbeat first, the instance some seconds later.
                let instance = self.agents[index].instance;
                self.beats.remove(&self.instances[instance].id);
                self.instances[instance].up = false;
                self.agents[index].gone = true;
            }
        }
        self.rng.i64(0..=3)
    }

    fn requester(&mut self, index: usize) {
        let now = self.now;
        let Some(request) = self.requesters[index].request else {
            self.requesters[index].request = Some(self.messages.len());
            self.messages.push(Message {
                visible: now,
                done: false,
            });
            self.requesters[index].next = now + self.rng.i64(0..4);
            return;
        };
        let waits = self.requesters[index].waits;
        if waits && self.messages[request].done {
            self.requesters[index].done = true;
            self.requesters[index].next = NEVER;
            return;
        }
        if self.requesters[index].dies && self.rng.u8(0..12) == 0 {
            self.requesters[index].dead = true;
            self.requesters[index].next = NEVER;
            return;
        }
        let machine = self.requesters[index].machine.take();
        let (caller, action) = machine.unwrap_or_else(Caller::start);
        let pause = match action {
            Action::Done(settled) => {
                let is_open = matches!(settled, Settled::Undecided(_) | Settled::Failed);
                if !waits && !is_open {
                    self.requesters[index].done = true;
                    self.requesters[index].next = NEVER;
                    return;
                }
                if is_open { 3 } else { 15 }
            }
            action => {
                let wish = self.requesters[index].wish;
                let event = self.carry_out(&action, wish);
                let stepped = caller.step(event, self.time(), &Patience::default());
                self.requesters[index].machine = Some(stepped);
                match self.chance(40) {
                    true => self.rng.i64(0..400),
                    false => self.rng.i64(0..=2),
                }
            }
        };
        self.requesters[index].next = now + pause;
    }

    fn carry_out(&mut self, action: &Action, wish: u8) -> Event {
        match action {
            Action::ReadRecord => {
                Event::Record(self.record.as_ref().map(|(record, etag)| StoredLaunch {
                    record: record.clone(),
                    etag: etag.to_string(),
                }))
            }
            Action::Look => Event::Seen(self.view()),
            Action::WriteRecord { record, replaces } => {
                let there = self.record.as_ref().map(|(_, etag)| etag.to_string());
                if there != *replaces {
                    return Event::Changed;
                }
                self.etags += 1;
                self.record = Some((record.clone(), self.etags));
                Event::Written(self.etags.to_string())
            }
            Action::Launch { generation } => self.launch(*generation, wish),
            Action::Replace(which) => {
                for (id, _) in which {
                    self.terminate(id);
                    self.beats.remove(id);
                }
                Event::Ok
            }
            Action::Withdraw(id) => {
                self.terminate(id);
                Event::Ok
            }
            Action::Done(_) => Event::Ok,
        }
    }

    fn terminate(&mut self, id: &str) {
        for it in &mut self.instances {
            it.up &= it.id != id;
        }
    }

    fn view(&self) -> View {
        let listed = self.instances.iter().filter(|it| it.listed <= self.now);
        View {
            machines: listed
                .map(|it| Machine {
                    id: it.id.clone(),
                    state: if it.up {
                        MachineState::Up
                    } else {
                        MachineState::Down
                    },
                    age: self.now - it.launched,
                })
                .collect(),
            pulses: self
                .beats
                .iter()
                .map(|(id, (written, leaving))| Pulse {
                    id: id.clone(),
                    age: self.now - written,
                    leaving: *leaving,
                    busy: false,
                })
                .collect(),
        }
    }

    fn launch(&mut self, generation: u64, wish: u8) -> Event {
        let token = (generation, wish);
        if let Some(known) = self.instances.iter().find(|it| it.token == token) {
            return match known.up {
                true => Event::Launched(known.id.clone()),
                false => Event::Spent(known.id.clone()),
            };
        }
        if self.chance(10) {
            return Event::NotLaunched;
        }
        let id = format!("i-{:017x}", self.instances.len());
        let never_boots = self.chance(10);
        let boots = match never_boots {
            true => NEVER,
            false => self.now + self.rng.i64(5..120),
        };
        self.instances.push(Instance {
            id: id.clone(),
            token,
            launched: self.now,
            listed: self.now + self.rng.i64(0..20),
            up: true,
        });
        let limit = Some(Duration::seconds(self.idle));
        let began = START + Duration::seconds(boots.min(self.now + 120));
        self.agents.push(Agent {
            instance: self.instances.len() - 1,
            boots,
            idle: Idle::new(limit, began),
            leaving: false,
            hung: false,
            gone: false,
            polling: None,
            work: Vec::new(),
            beat: -1000,
            next: boots,
        });
        Event::Launched(id)
    }

    /// The requests that nobody carried out. Where there are faults, those of callers who did not wait
    /// do not count.
    fn lost(&self) -> usize {
        let counts = |it: &&Requester| !it.dead && (it.waits || !self.rules.faults);
        let mut requests = self
            .requesters
            .iter()
            .filter(counts)
            .filter_map(|it| it.request);
        requests
            .by_ref()
            .filter(|it| !self.messages[*it].done)
            .count()
    }
}

fn run(seed: u64, rules: Rules) -> World {
    let mut world = World::new(seed, rules);
    world.run();
    world
}

const QUIET: Rules = Rules {
    faults: false,
    wishes: false,
    announced: true,
};

/// Without faults, no request at all.
#[test]
fn in_ten_thousand_schedules_no_request_that_is_waited_for_is_lost_and_one_converter_is_enough() {
    for faults in [false, true] {
        let rules = Rules { faults, ..QUIET };
        for seed in 0..5_000 {
            let world = run(seed, rules);
            assert_eq!(world.lost(), 0, "seed {seed}, faults {faults}: lost");
            assert!(
                world.most <= 1,
                "seed {seed}, faults {faults}: {} at a time",
                world.most
            );
            let up = world.agents.iter().zip(&world.instances);
            let left = up.filter(|(agent, it)| it.up && !agent.hung && agent.boots != NEVER);
            assert_eq!(left.count(), 0, "seed {seed}: left running");
        }
    }
}

/// Callers who want different things: the one who was slower takes its own back.
#[test]
fn with_different_wishes_nothing_is_lost_and_nothing_stays() {
    let rules = Rules {
        faults: true,
        wishes: true,
        ..QUIET
    };
    let mut more = 0;
    for seed in 0..2_000 {
        let world = run(seed, rules);
        assert_eq!(world.lost(), 0, "seed {seed}: lost");
        more += usize::from(world.most > 1);
    }
    assert!(more < 20, "{more} of 2000 with two at a time");
}

/// What the model is for: without the word before the last look, requests are lost in it.
#[test]
fn without_a_word_before_the_last_look_requests_are_lost() {
    let rules = Rules {
        announced: false,
        ..QUIET
    };
    let mut lost = 0;
    for seed in 0..3_000 {
        lost += run(seed, rules).lost();
    }
    assert!(lost > 0);
}
