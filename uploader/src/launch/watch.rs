//! Waits for an instance's answer, and says how long each stage of the way took.

use super::{LaunchError, Order, Reach, Wait, console, http};
use crate::agent::Clock;
use crate::aws::ec2::instances::{self, Instance};
use crate::aws::{AwsError, Session};
use serde::Serialize;
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How often an instance is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often its console is read: EC2 throttles that call soon.
const CONSOLE_EVERY: time::Duration = time::Duration::seconds(2);

/// Seconds from the launch's call to each stage, as far as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stages {
    /// EC2 says `running`.
    pub running: Option<f64>,
    /// The console's first line was there to be read.
    pub console: Option<f64>,
    /// The answer.
    pub answer: Option<f64>,
}

/// What was seen of an instance.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When.
    pub stages: Stages,
    /// Where the answer was asked for.
    pub address: Option<String>,
    /// The console's output.
    pub console: String,
    /// What was last in the way.
    pub last: String,
}

/// Waits until the instance answers as `order` says. What was seen is in `seen`, even if it fails.
///
/// # Errors
/// The instance ends, gives no answer in time, or has no address; AWS refuses; `cancel`.
pub async fn watch(
    session: &Session,
    order: &Order,
    instance: &str,
    asked: OffsetDateTime,
    clock: &Clock,
    seen: &mut Seen,
    cancel: &CancellationToken,
) -> Result<(), LaunchError> {
    let mut watch = Watch {
        session,
        order,
        instance,
        asked,
        clock,
        read: None,
    };
    loop {
        let looked = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(LaunchError::Cancelled),
            looked = watch.look(seen) => looked,
        };
        match looked {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(LaunchError::Aws(error)) if error.is_transient() => seen.last = error.to_string(),
            Err(error) => {
                // Once more, for whoever wants to know why.
                watch.read = None;
                watch.console(seen).await.ok();
                return Err(error);
            }
        }
        let waited = (clock() - asked).unsigned_abs();
        if waited >= order.patience {
            watch.read = None;
            watch.console(seen).await.ok();
            return Err(LaunchError::Silent {
                instance: instance.to_owned(),
                seconds: waited.as_secs(),
                last: match seen.last.is_empty() {
                    true => "it is not running yet".to_owned(),
                    false => seen.last.clone(),
                },
            });
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = cancel.cancelled() => return Err(LaunchError::Cancelled),
        }
    }
}

struct Watch<'a> {
    session: &'a Session,
    order: &'a Order,
    instance: &'a str,
    asked: OffsetDateTime,
    clock: &'a Clock,
    /// When the console was last read.
    read: Option<OffsetDateTime>,
}

impl Watch<'_> {
    fn since(&self) -> f64 {
        ((self.clock)() - self.asked).as_seconds_f64()
    }

    /// One look: whether it has answered.
    async fn look(&mut self, seen: &mut Seen) -> Result<bool, LaunchError> {
        // EC2 may not know a new one yet.
        let Some(found) = instances::one(self.session, self.instance).await? else {
            seen.last = "EC2 does not list it yet".to_owned();
            return Ok(false);
        };
        match found.state.as_str() {
            "pending" | "" => return Ok(false),
            "running" => {}
            _ => return Err(self.ended(found)),
        }
        if seen.stages.running.is_none() {
            seen.stages.running = Some(self.since());
            seen.last = "it runs".to_owned();
        }
        self.console(seen).await?;
        let answered = match &self.order.wait {
            Wait::Console(text) => {
                let there = seen.console.contains(text.as_str());
                if !there {
                    seen.last = format!("{text:?} is not on its console");
                }
                there
            }
            Wait::Http { port, path } => {
                let address = self.address(&found, *port)?;
                let answer = http::get(&address, path).await;
                seen.address = Some(address);
                match answer {
                    Ok(200..=399) => true,
                    Ok(status) => {
                        seen.last = format!("it answers {path} with status {status}");
                        false
                    }
                    Err(why) => {
                        seen.last = why;
                        false
                    }
                }
            }
        };
        if answered {
            seen.stages.answer = Some(self.since());
        }
        Ok(answered)
    }

    async fn console(&mut self, seen: &mut Seen) -> Result<(), AwsError> {
        let now = (self.clock)();
        let is_due = |it: OffsetDateTime| now - it >= CONSOLE_EVERY;
        if !self.read.is_none_or(is_due) {
            return Ok(());
        }
        self.read = Some(now);
        let text = console::read(self.session, self.instance).await?;
        if !text.trim().is_empty() {
            if seen.stages.console.is_none() {
                seen.stages.console = Some(self.since());
            }
            seen.console = text;
        }
        Ok(())
    }

    fn address(&self, found: &Instance, port: u16) -> Result<String, LaunchError> {
        let host = match &self.order.reach {
            Reach::At(address) => return Ok(address.clone()),
            Reach::Public => &found.public_ip,
            Reach::Private => &found.private_ip,
        };
        let host = host.as_ref().ok_or_else(|| LaunchError::NoAddress {
            instance: self.instance.to_owned(),
        })?;
        Ok(format!("{host}:{port}"))
    }

    fn ended(&self, found: Instance) -> LaunchError {
        LaunchError::Ended {
            instance: self.instance.to_owned(),
            state: found.state,
            why: found.reason,
        }
    }
}
