//! Whether somebody is there to take a request: a pure function of what was seen.

use super::launch_record::StoredLaunch;
use time::OffsetDateTime;

/// Seconds after which something is no longer believed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A heartbeat without a successor.
    pub fresh: i64,
    /// An agent that said it was leaving, and neither stayed nor went.
    pub leaving: i64,
    /// Whether one is waited for that ends with the request in its hands: it may be the caller's own,
    /// as long as there is no record of it.
    pub own: bool,
    /// An instance whose heart stopped.
    pub stuck: i64,
    /// An instance that never had a heartbeat.
    pub boot: i64,
    /// A caller who set out to launch.
    pub claim: i64,
    /// An instance that EC2 does not list yet.
    pub listed: i64,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            fresh: crate::agent::heartbeat::FRESH,
            leaving: 60,
            own: true,
            stuck: 300,
            boot: 600,
            claim: 90,
            listed: 120,
        }
    }
}

/// A converter's instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its id.
    pub id: String,
    /// What it is.
    pub state: MachineState,
    /// Seconds since it was launched.
    pub age: i64,
}

/// What an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineState {
    /// Pending or running.
    Up,
    /// On its way down, or gone.
    Down,
}

/// A heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Of which agent.
    pub id: String,
    /// Seconds since it was written.
    pub age: i64,
    /// Whether the agent said that it leaves.
    pub leaving: bool,
    /// Whether it has a request in hand.
    pub busy: bool,
}

/// What a caller sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The vault's instances.
    pub machines: Vec<Machine>,
    /// The heartbeats.
    pub pulses: Vec<Pulse>,
}

/// What to make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This agent asks the queue again.
    Alive(String),
    /// This instance is about to.
    Starting(String),
    /// It is not decided yet: to be looked at again in some seconds. Why, in words.
    Undecided(&'static str),
    /// These instances do nothing any more: to be terminated.
    Stuck(Vec<(String, Why)>),
    /// Nobody is there: to be launched.
    Nobody,
    /// Nobody is there, and who set out to launch did not: the same launch, again.
    Abandoned,
}

/// Why an instance is taken for stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its last heartbeat is so many seconds old.
    Silent(i64),
    /// It was launched so many seconds ago, and had none.
    NeverBeat(i64),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Silent(age) => write!(f, "its last heartbeat is {age} s old"),
            Why::NeverBeat(age) => {
                write!(f, "it was launched {age} s ago and had no heartbeat yet")
            }
        }
    }
}

/// Judges. `record` has to be read *before* `view` was seen: then nobody can have launched between
/// the two and the next write of the record.
pub fn judge(
    record: Option<&StoredLaunch>,
    view: &View,
    now: OffsetDateTime,
    patience: &Patience,
) -> Verdict {
    let machine = |id: &str| view.machines.iter().find(|it| it.id == id);
    let is_down = |id: &str| machine(id).is_some_and(|it| it.state == MachineState::Down);
    let mut beating = view.pulses.iter().filter(|it| !is_down(&it.id));
    if let Some(alive) = beating
        .clone()
        .find(|it| !it.leaving && it.age <= patience.fresh)
    {
        return Verdict::Alive(alive.id.clone());
    }
    // One that leaves with a request in hand takes no other.
    let may_take = |it: &Pulse| it.leaving && (patience.own || !it.busy);
    if beating.any(|it| may_take(it) && it.age <= patience.leaving) {
        return Verdict::Undecided("a converter is about to end: whether it stays is seen soon");
    }
    let up = || {
        view.machines
            .iter()
            .filter(|it| it.state == MachineState::Up)
    };
    let pulse = |it: &Machine| view.pulses.iter().find(|pulse| pulse.id == it.id);
    let stuck: Vec<(String, Why)> = up()
        .filter_map(|it| {
            let why = match pulse(it) {
                Some(pulse) if pulse.age > patience.stuck => Why::Silent(pulse.age),
                None if it.age > patience.boot => Why::NeverBeat(it.age),
                _ => return None,
            };
            Some((it.id.clone(), why))
        })
        .collect();
    if !stuck.is_empty() {
        return Verdict::Stuck(stuck);
    }
    if let Some(starting) = up().find(|it| pulse(it).is_none()) {
        return Verdict::Starting(starting.id.clone());
    }
    if up().next().is_some() {
        return Verdict::Undecided("a converter's heartbeat is late");
    }
    let Some(record) = record.map(|it| &it.record) else {
        return Verdict::Nobody;
    };
    let claimed = (now - record.claimed).whole_seconds();
    match &record.instance {
        Some(id) if machine(id).is_none() && claimed <= patience.listed => {
            Verdict::Starting(id.clone())
        }
        Some(_) => Verdict::Nobody,
        None if claimed <= patience.claim => {
            Verdict::Undecided("somebody else is launching a converter")
        }
        None => Verdict::Abandoned,
    }
}

#[cfg(test)]
mod tests {
    use super::super::launch_record::LaunchRecord;
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-01 12:00 UTC);

    fn up(id: &str, age: i64) -> Machine {
        Machine {
            id: id.to_owned(),
            state: MachineState::Up,
            age,
        }
    }

    fn down(id: &str) -> Machine {
        Machine {
            state: MachineState::Down,
            ..up(id, 1000)
        }
    }

    fn pulse(id: &str, age: i64, leaving: bool) -> Pulse {
        Pulse {
            id: id.to_owned(),
            age,
            leaving,
            busy: false,
        }
    }

    fn record(age: i64, instance: Option<&str>) -> StoredLaunch {
        StoredLaunch {
            record: LaunchRecord {
                version: 1,
                generation: 7,
                claimed: NOW - time::Duration::seconds(age),
                instance: instance.map(str::to_owned),
            },
            etag: "e".to_owned(),
        }
    }

    #[test]
    fn what_is_seen_decides() {
        use Verdict::*;
        let at = |id: &str| id.to_owned();
        let undecided = |verdict: &Verdict| matches!(verdict, Undecided(_));
        let judged = |record: Option<StoredLaunch>, machines: &[Machine], pulses: &[Pulse]| {
            let view = View {
                machines: machines.to_vec(),
                pulses: pulses.to_vec(),
            };
            judge(record.as_ref(), &view, NOW, &Patience::default())
        };
        assert_eq!(judged(None, &[], &[]), Nobody);
        // An agent that is no instance counts as one that is.
        assert_eq!(
            judged(None, &[], &[pulse("host-1", 5, false)]),
            Alive(at("host-1"))
        );
        assert_eq!(judged(None, &[], &[pulse("host-1", 500, false)]), Nobody);
        assert_eq!(
            judged(None, &[up("i-1", 50)], &[pulse("i-1", 5, false)]),
            Alive(at("i-1"))
        );
        // Its heartbeat outlives an instance that was killed.
        assert_eq!(
            judged(None, &[down("i-1")], &[pulse("i-1", 5, false)]),
            Nobody
        );
        assert!(undecided(&judged(
            None,
            &[up("i-1", 50)],
            &[pulse("i-1", 5, true)]
        )));
        assert!(undecided(&judged(
            None,
            &[up("i-1", 900)],
            &[pulse("i-1", 200, false)]
        )));
        assert_eq!(judged(None, &[], &[pulse("host-1", 100, true)]), Nobody);
        // An agent for one request, before it has it and then: the request may be this caller's.
        let once = pulse("host-1", 5, true);
        let busy = Pulse {
            busy: true,
            ..once.clone()
        };
        for (pulse, own, waits) in [
            (&once, false, true),
            (&busy, true, true),
            (&busy, false, false),
        ] {
            let view = View {
                pulses: vec![pulse.clone()],
                ..View::default()
            };
            let patience = Patience {
                own,
                ..Patience::default()
            };
            let verdict = judge(None, &view, NOW, &patience);
            assert_eq!(undecided(&verdict), waits, "{verdict:?}");
            assert!(waits || verdict == Nobody);
        }
        assert_eq!(judged(None, &[up("i-1", 50)], &[]), Starting(at("i-1")));
        assert_eq!(
            judged(None, &[up("i-1", 700)], &[]),
            Stuck(vec![(at("i-1"), Why::NeverBeat(700))])
        );
        assert_eq!(
            judged(None, &[up("i-1", 900)], &[pulse("i-1", 400, true)]),
            Stuck(vec![(at("i-1"), Why::Silent(400))])
        );
        // One that lives is enough, whatever else there is.
        assert_eq!(
            judged(
                None,
                &[up("i-1", 900)],
                &[pulse("i-1", 400, false), pulse("h", 1, false)]
            ),
            Alive(at("h"))
        );
        assert!(undecided(&judged(Some(record(5, None)), &[], &[])));
        assert_eq!(judged(Some(record(100, None)), &[], &[]), Abandoned);
        assert_eq!(
            judged(Some(record(5, Some("i-1"))), &[], &[]),
            Starting(at("i-1"))
        );
        assert_eq!(judged(Some(record(500, Some("i-1"))), &[], &[]), Nobody);
        assert_eq!(
            judged(Some(record(5, Some("i-1"))), &[down("i-1")], &[]),
            Nobody
        );
    }
}
