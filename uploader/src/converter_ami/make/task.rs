//! What is to be done next, and again if it failed for the moment.

use crate::ami::{Answer, Call, FailedCall};
use std::time::Duration;

/// Pauses after a call that failed for the moment: two minutes in all.
const PAUSES: [u64; 7] = [1, 2, 4, 8, 15, 30, 60];

/// What is to be done next. Each is answered, but for [`Task::Done`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Task {
    /// This call.
    Call(Call),
    /// Put all blocks into this snapshot: [`Answer::BlocksPut`].
    PutBlocks(String),
    /// Complete this snapshot: [`Answer::Completed`].
    Complete(String),
    /// Wait: [`Answer::Waited`].
    Wait(Duration),
    /// Nothing: this was all.
    Done,
}

/// A task under way, and how often it failed.
pub(super) struct Retry {
    task: Task,
    failures: usize,
    /// Whether the answer to come is that of the pause before it is tried again.
    is_pausing: bool,
}

impl Retry {
    pub(super) fn new() -> Retry {
        Retry {
            task: Task::Done,
            failures: 0,
            is_pausing: false,
        }
    }

    /// The task that is, or was last, under way.
    pub(super) fn task(&self) -> &Task {
        &self.task
    }

    /// Begins another.
    pub(super) fn begin(&mut self, task: Task) -> Task {
        self.task = task.clone();
        self.failures = 0;
        self.is_pausing = false;
        task
    }

    /// What to do for the task at hand before its answer counts: a pause, if the call failed for the
    /// moment, and then the call.
    pub(super) fn again(&mut self, answer: &Result<Answer, FailedCall>) -> Option<Task> {
        if self.is_pausing {
            self.is_pausing = false;
            return Some(self.task.clone());
        }
        let failed = answer.as_ref().err().filter(|failed| may_help(failed))?;
        let seconds = *PAUSES.get(self.failures)?;
        tracing::debug!(failed.text, "again");
        self.failures += 1;
        self.is_pausing = true;
        Some(Task::Wait(Duration::from_secs(seconds)))
    }
}

/// Whether the same call may do later what it did not do now. Credentials don't get better by it.
pub(super) fn may_help(failed: &FailedCall) -> bool {
    failed.is_transient && failed.sign_in.is_none()
}
