//! The way back: what was made is taken away, and what can't be is named.

use super::task::Task;
use crate::ami::creation::GRACE;
use crate::ami::{Answer, Call, Deleted, FailedCall, NewSnapshot, Started};
use std::time::Duration;

/// How often the image that needs a snapshot is looked for.
const LOOKS_FOR_IMAGE: u32 = 5;
/// Pause before what may not be seen yet is asked for again.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What was made so far, and is not taken away again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::converter_ami) struct Made {
    pub(in crate::converter_ami) snapshot: Option<String>,
    pub(in crate::converter_ami) ami: Option<String>,
}

/// A try whose calls may have made more than their answers said.
#[derive(Clone, Debug)]
pub(super) struct OpenEnds {
    /// Name of the image, which a registration may have made.
    pub(super) image: String,
    /// The start of a snapshot, if its answer was lost.
    pub(super) start: Option<NewSnapshot>,
}

/// The way back, under way.
pub(super) struct Undo {
    made: Made,
    open: Option<OpenEnds>,
    /// How often the image that needs the snapshot may still be looked for.
    looks: u32,
    left: Vec<String>,
}

impl Undo {
    /// Begins to take away what was made, and what may have been by calls whose answers were lost.
    pub(super) fn new(made: Made, open: Option<OpenEnds>) -> Undo {
        Undo {
            made,
            looks: open.as_ref().map_or(0, |_| LOOKS_FOR_IMAGE),
            open,
            left: Vec::new(),
        }
    }

    /// What could not be taken away, and why.
    pub(super) fn left(self) -> Vec<String> {
        self.left
    }

    /// What is to be done next.
    pub(super) fn next(&mut self) -> Task {
        let start = self.open.as_mut().and_then(|open| open.start.take());
        match (start, &self.made.ami, &self.made.snapshot) {
            // The same token gives the same snapshot, if there is one.
            (Some(new), _, _) => Task::Call(Call::StartSnapshot(Box::new(new))),
            (None, Some(ami), _) => Task::Call(Call::DeregisterImage(ami.clone())),
            (None, None, Some(id)) => Task::Call(Call::DeleteSnapshot(id.clone())),
            (None, None, None) => Task::Done,
        }
    }

    /// A step is done. `age` is how long ago the snapshot was started, if that is known: EC2 may not
    /// see a young one yet.
    pub(super) fn answered(&mut self, answer: Answer, age: Option<time::Duration>) -> Task {
        match answer {
            Answer::Started(Started::Snapshot(id)) => self.made.snapshot = Some(id),
            Answer::Deregistered => self.made.ami = None,
            Answer::Deleted(Deleted::Missing) if age.is_some_and(|age| age < GRACE) => {
                return Task::Wait(LOOK_EVERY);
            }
            Answer::Deleted(Deleted::Gone | Deleted::Missing) => self.made.snapshot = None,
            Answer::Deleted(Deleted::InUse) => return self.find_image(),
            Answer::Image(Some(image)) if Some(&image.snapshot) == self.made.snapshot.as_ref() => {
                self.made.ami = Some(image.id);
            }
            Answer::Image(_) => return Task::Wait(LOOK_EVERY),
            _ => {}
        }
        self.next()
    }

    /// A step failed: what it was about is left behind.
    pub(super) fn failed(&mut self, task: &Task, failed: &FailedCall) -> Task {
        match task {
            Task::Call(Call::DeregisterImage(ami)) => {
                self.left.push(format!("{ami} ({failed})"));
                self.made.ami = None;
                self.looks = 0;
            }
            Task::Call(Call::DeleteSnapshot(snapshot)) => {
                self.left.push(format!("{snapshot} ({failed})"));
                self.made.snapshot = None;
            }
            Task::Call(Call::FindImage(_)) => self.looks = 0,
            _ => {}
        }
        self.next()
    }

    /// EC2 decides whether there is an image of the snapshot: by a registration whose answer was lost.
    fn find_image(&mut self) -> Task {
        let name = self.open.as_ref().map(|open| open.image.clone());
        if let Some(name) = name.filter(|_| self.looks > 0) {
            self.looks -= 1;
            return Task::Call(Call::FindImage(name));
        }
        let snapshot = self.made.snapshot.take().unwrap_or_default();
        self.left.push(format!("{snapshot} (an image needs it)"));
        self.next()
    }
}
