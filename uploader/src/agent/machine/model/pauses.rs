//! How often an agent looks at what takes its time: soon at first, and then more and more seldom.

use super::agents::{Model, T0};
use crate::agent::machine::action::{Action, Event, Outcome};
use crate::ami::{Answer, Call, ImageState, SnapshotState};
use std::time::Duration;
use time::OffsetDateTime;

/// How long states last that pass by themselves.
#[derive(Clone, Copy)]
struct Lasting {
    snapshot: Duration,
    image: Duration,
    /// Until the image is seen at all.
    unseen: Duration,
}

/// An agent's pauses, for the snapshot and for the image.
#[derive(Default)]
struct Pauses {
    snapshot: Vec<Duration>,
    image: Vec<Duration>,
    outcome: Option<Outcome>,
}

impl Pauses {
    fn of(lasting: Lasting) -> Pauses {
        let mut model = Model::new();
        let mut pauses = Pauses::default();
        let (mut sealed, mut registered): (Option<OffsetDateTime>, Option<OffsetDateTime>) =
            (None, None);
        for _ in 0..1000 {
            let action = model.agents[0].as_ref().map(|it| it.action.clone());
            let list = match registered {
                None => &mut pauses.snapshot,
                Some(_) => &mut pauses.image,
            };
            match action {
                Some(Action::Wait(pause)) => list.push(pause),
                Some(Action::Done(outcome)) => {
                    pauses.outcome = Some(outcome);
                    return pauses;
                }
                _ => {}
            }
            model.turn(0, |world, action| {
                let event = world.perform(action, false);
                let age = |since: &Option<OffsetDateTime>| since.map(|it| world.now - it);
                match (action, event) {
                    (Action::CompleteSnapshot(_), event) => {
                        sealed = Some(world.now);
                        event
                    }
                    (Action::Ami(Call::RegisterImage(_)), event) => {
                        registered = Some(world.now);
                        event
                    }
                    (Action::Ami(Call::DescribeSnapshot(_)), _)
                        if age(&sealed).is_some_and(|it| it < lasting.snapshot) =>
                    {
                        Event::Ami(Answer::Snapshot(SnapshotState::Pending))
                    }
                    (
                        Action::Ami(Call::FindImage(_)),
                        Event::Ami(Answer::Image(Some(mut image))),
                    ) => {
                        let age = age(&registered).unwrap_or_default();
                        image.state = match age < lasting.image {
                            true => ImageState::Pending,
                            false => ImageState::Available,
                        };
                        Event::Ami(Answer::Image((age >= lasting.unseen).then_some(image)))
                    }
                    (_, event) => event,
                }
            });
        }
        panic!("no end after {}", model.world.now - T0);
    }
}

const AT_ONCE: Lasting = Lasting {
    snapshot: Duration::ZERO,
    image: Duration::ZERO,
    unseen: Duration::ZERO,
};

fn millis(pauses: &[Duration]) -> Vec<u128> {
    pauses.iter().map(Duration::as_millis).collect()
}

#[test]
fn what_is_there_is_not_waited_for() {
    let pauses = Pauses::of(AT_ONCE);
    assert!(pauses.snapshot.is_empty() && pauses.image.is_empty());
    assert!(matches!(pauses.outcome, Some(Outcome::Finished { .. })));
}

#[test]
fn the_images_pauses_begin_anew() {
    let pauses = Pauses::of(Lasting {
        snapshot: Duration::from_secs(1),
        image: Duration::from_millis(300),
        ..AT_ONCE
    });
    assert_eq!(
        millis(&pauses.snapshot),
        [100, 100, 100, 100, 100, 125, 156, 195, 244]
    );
    assert_eq!(millis(&pauses.image), [100, 100, 100]);
}

#[test]
fn what_takes_minutes_is_looked_at_every_few_seconds() {
    let pauses = Pauses::of(Lasting {
        snapshot: Duration::from_secs(300),
        image: Duration::from_secs(120),
        ..AT_ONCE
    });
    assert_eq!(pauses.snapshot.last(), Some(&Duration::from_secs(5)));
    assert!(pauses.snapshot.len() < 80, "{}", pauses.snapshot.len());
    assert_eq!(pauses.image.last(), Some(&Duration::from_secs(5)));
}

#[test]
fn an_image_that_is_never_seen_is_looked_for_two_minutes_and_a_half() {
    let soon = Pauses::of(Lasting {
        unseen: Duration::from_secs(149),
        ..AT_ONCE
    });
    assert!(matches!(soon.outcome, Some(Outcome::Finished { .. })));
    let never = Pauses::of(Lasting {
        unseen: Duration::MAX,
        ..AT_ONCE
    });
    let waited: Duration = never.image.iter().sum();
    assert!((150..156).contains(&waited.as_secs()), "{waited:?}");
    assert!(matches!(never.outcome, Some(Outcome::Released { .. })));
}
