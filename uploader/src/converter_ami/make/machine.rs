//! One try at the converter's AMI, as a pure function of what AWS answers: a [`Creation`] by one process
//! that keeps no record. A call that failed for the moment is made again; if the try fails, or
//! somebody says stop, what it made is taken away.

use super::super::ConverterError;
use super::task::{Retry, Task, may_help};
use super::undo::{Made, OpenEnds, Undo};
use crate::ami::creation::{Attempt, Creation, Late, Lost, Next};
use crate::ami::{
    Answer, Call, FailedCall, FoundImage, ImageState, NewSnapshot, Registered, Started,
};
use std::time::Duration;
use time::OffsetDateTime;

#[cfg(test)]
mod model;

/// How long a state that will change is looked at: EBS takes minutes to complete a snapshot, at most.
const MAX_WAIT: Duration = Duration::from_secs(1800);

/// Why a try failed.
#[derive(Debug)]
pub(super) enum Why {
    /// The parent can't be one.
    Parent,
    /// Somebody said stop.
    Interrupted,
    /// A step failed.
    Error(ConverterError),
}

/// How a try ended.
#[derive(Debug)]
pub(super) enum End {
    /// The AMI is available.
    Made {
        /// Its id.
        ami: String,
        /// The snapshot of its root.
        snapshot: String,
    },
    /// It failed, and what was made is taken away.
    Undone {
        /// Why.
        why: Why,
        /// What could not be taken away.
        left: Vec<String>,
    },
}

/// A try under way.
pub(super) struct Try {
    attempt: Attempt,
    creation: Creation,
    made: Made,
    /// The start of the snapshot, once its answer was lost: there may be one.
    open_start: Option<NewSnapshot>,
    retry: Retry,
    undo: Option<(Why, Undo)>,
}

impl Try {
    /// Begins.
    pub(super) fn start(attempt: Attempt) -> (Try, Task) {
        let mut this = Try {
            creation: Creation::new(attempt.clone()),
            attempt,
            made: Made::default(),
            open_start: None,
            retry: Retry::new(),
            undo: None,
        };
        let task = this.resume();
        let task = this.retry.begin(task);
        (this, task)
    }

    /// Goes on: `answer` is what came of the task, at `now`.
    pub(super) fn answered(
        &mut self,
        answer: Result<Answer, FailedCall>,
        now: OffsetDateTime,
    ) -> Task {
        self.note(&answer, now);
        // Whether a lost start made a snapshot is asked once, and not for minutes.
        let is_asked_once =
            self.undo.is_some() && matches!(self.retry.task(), Task::Call(Call::StartSnapshot(_)));
        if !is_asked_once && let Some(task) = self.retry.again(&answer) {
            return task;
        }
        let task = match (answer, &mut self.undo) {
            (Ok(answer), Some((_, undo))) => {
                undo.answered(answer, Some(now - self.attempt.started))
            }
            (Err(failed), Some((_, undo))) => undo.failed(self.retry.task(), &failed),
            (Ok(answer), None) => {
                let next = self.creation.answered(answer, now);
                self.follow(next)
            }
            (Err(failed), None) => self.fail(step_failed(&self.subject(), failed)),
        };
        self.retry.begin(task)
    }

    /// The blocks can't be put.
    pub(super) fn not_put(&mut self, error: ConverterError) -> Task {
        let task = self.fail(error);
        self.retry.begin(task)
    }

    /// Somebody says stop; `answer` is what came of the task before that. It stops between two calls:
    /// what one has made is known then.
    pub(super) fn stop(&mut self, answer: Result<Answer, FailedCall>, now: OffsetDateTime) -> Task {
        if self.undo.is_some() {
            return self.answered(answer, now);
        }
        self.note(&answer, now);
        let task = self.take_back(Why::Interrupted);
        self.retry.begin(task)
    }

    /// How it ended, after [`Task::Done`].
    pub(super) fn end(self) -> End {
        match (self.undo, self.made) {
            (
                None,
                Made {
                    ami: Some(ami),
                    snapshot: Some(snapshot),
                },
            ) => End::Made { ami, snapshot },
            (Some((why, undo)), _) => End::Undone {
                why,
                left: undo.left(),
            },
            // It is not done.
            (None, Made { ami, snapshot }) => End::Undone {
                why: Why::Interrupted,
                left: ami.into_iter().chain(snapshot).collect(),
            },
        }
    }

    /// What an answer says of what is there now.
    fn note(&mut self, answer: &Result<Answer, FailedCall>, now: OffsetDateTime) {
        match answer {
            Ok(Answer::Started(started)) => {
                self.open_start = None;
                if let Started::Snapshot(id) = started {
                    self.made.snapshot = Some(id.clone());
                    // It may have taken minutes of trying.
                    self.attempt.started = now;
                }
            }
            Ok(Answer::Registered(Registered::Image(id))) => self.made.ami = Some(id.clone()),
            Err(failed) if may_help(failed) => {
                if let Task::Call(Call::StartSnapshot(new)) = self.retry.task() {
                    self.open_start = Some((**new).clone());
                }
            }
            _ => {}
        }
    }

    fn resume(&mut self) -> Task {
        let next = self.creation.resume(self.made.snapshot.clone());
        self.follow(next)
    }

    fn follow(&mut self, next: Next) -> Task {
        match next {
            Next::Call(call) => Task::Call(call),
            Next::PutBlocks(id) => Task::PutBlocks(id),
            Next::Complete(id) => Task::Complete(id),
            Next::Wait(pause) if self.creation.waited() < MAX_WAIT => Task::Wait(pause),
            Next::Wait(_) | Next::Late(_) => self.late(&next),
            Next::Started(_) => {
                self.creation = Creation::new(self.attempt.clone());
                self.resume()
            }
            Next::Surprised => self.resume(),
            Next::Image(image) => self.found(image),
            Next::Lost(lost) => self.lost(lost),
        }
    }

    /// The image of this try's name. Nobody else has that: it is a random one.
    fn found(&mut self, image: FoundImage) -> Task {
        if self.made.snapshot.as_ref() != Some(&image.snapshot) {
            return self.fail(step("no AMI can be registered", "its name is taken"));
        }
        let ami = self.made.ami.insert(image.id).clone();
        match image.state {
            ImageState::Available => Task::Done,
            ImageState::Failed => self.fail(step(&ami, "EC2 says that the AMI is of no use")),
            ImageState::Pending => {
                let next = self.creation.wait_for_image();
                self.follow(next)
            }
        }
    }

    fn lost(&mut self, lost: Lost) -> Task {
        let snapshot = self.made.snapshot.clone().unwrap_or_default();
        let error = match lost {
            Lost::Parent if self.attempt.snapshot.parent.is_some() => {
                return self.take_back(Why::Parent);
            }
            Lost::Parent => step("no snapshot can be started", "its token is taken"),
            Lost::Missing => step(&snapshot, "EC2 says that there is no such snapshot"),
            Lost::Error => step(&snapshot, "EBS says that the snapshot is of no use"),
            Lost::Refuses => step(&snapshot, "EBS refuses to complete it"),
            Lost::Unregistered => {
                let why = "AWS says that its snapshot is in another state";
                step("no AMI can be registered", why)
            }
        };
        self.fail(error)
    }

    fn late(&mut self, next: &Next) -> Task {
        let is_image = matches!(next, Next::Late(Late::Image))
            || matches!(self.retry.task(), Task::Call(Call::FindImage(_)));
        let error = if is_image {
            step(&self.image(), "EC2 does not make the AMI available")
        } else {
            let snapshot = self.made.snapshot.clone().unwrap_or_default();
            step(&snapshot, "EBS does not complete it")
        };
        self.fail(error)
    }

    /// What the task at hand is about, for a message that says why it failed.
    fn subject(&self) -> String {
        match self.retry.task() {
            Task::Call(Call::StartSnapshot(_)) => "no snapshot can be started".to_owned(),
            Task::Call(Call::RegisterImage(_)) => "no AMI can be registered".to_owned(),
            Task::Complete(id) => format!("{id} can't be completed"),
            Task::Call(Call::DescribeSnapshot(id)) => id.clone(),
            _ => self.image(),
        }
    }

    /// The image's id; its name where that is not known.
    fn image(&self) -> String {
        let name = &self.attempt.image.name;
        self.made.ami.as_ref().unwrap_or(name).clone()
    }

    fn fail(&mut self, error: ConverterError) -> Task {
        self.take_back(Why::Error(error))
    }

    fn take_back(&mut self, why: Why) -> Task {
        let open = OpenEnds {
            image: self.attempt.image.name.clone(),
            start: self.open_start.take(),
        };
        let mut undo = Undo::new(std::mem::take(&mut self.made), Some(open));
        let task = undo.next();
        self.undo = Some((why, undo));
        task
    }
}

fn step(what: &str, why: &str) -> ConverterError {
    ConverterError::Step(format!("{what}: {why}"))
}

/// A step whose call failed.
fn step_failed(what: &str, failed: FailedCall) -> ConverterError {
    let why = format!("{what}: {}", failed.text);
    match failed.sign_in {
        Some(sign_in) => ConverterError::SignedOut { why, sign_in },
        None => ConverterError::Step(why),
    }
}
