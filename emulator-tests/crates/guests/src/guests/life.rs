//! One instance's machine, from the queue to its end.

use super::control::{Event, Tell};
use super::machine::Machine;
use super::record::{self, End};
use super::{Inner, Order};
use emulator_ec2::PowerOff;
use emulator_state::world::Instance;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// How long a guest has to power off, or to come to where it can be reset, once it was asked to.
const STOPS_WITHIN: Duration = Duration::from_secs(120);
/// The same, where its volumes go with it, or the emulator ends.
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// The same, where it is to be forced.
const FORCED_WITHIN: Duration = Duration::from_secs(10);
/// How often the power button is pressed: firmware and a kernel that is just starting don't see it.
const PRESSED_EVERY: Duration = Duration::from_secs(3);

/// Runs an instance's machine, and writes down how it ended.
pub(super) async fn run(
    inner: Arc<Inner>,
    instance: Instance,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let end = live(&inner, &instance, &mut orders).await;
    match &end {
        End::NotStarted(why) => {
            tracing::error!(
                instance = instance.id,
                why,
                "an instance could not be started"
            );
        }
        End::Died(words) => {
            tracing::error!(instance = instance.id, words, "an instance's QEMU ended");
        }
        End::Asked | End::PowerOff | End::Emulator => {
            tracing::info!(instance = instance.id, ?end, "an instance has ended");
        }
    }
    // Whoever gives orders from now on does what is to be done himself.
    inner.remove(&instance.id);
    inner.ended(&instance.id, &end);
}

async fn live(
    inner: &Arc<Inner>,
    instance: &Instance,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> End {
    let place = tokio::select! {
        place = place(inner, instance) => place,
        end = end_of_wait(orders) => return end,
    };
    let machine = match Machine::start(inner, instance).await {
        Ok(machine) => machine,
        Err(error) => return End::NotStarted(error.to_string()),
    };
    let setup = &inner.setup;
    inner.is_up(&instance.id, &machine);
    if let Err(error) = record::runs(&setup.storage.store, &instance.id, setup.clock.now()) {
        tracing::error!(instance = instance.id, %error, "that it runs can't be written down");
    }
    tracing::info!(instance = instance.id, "an instance runs");
    let mut machine = machine;
    let end = watch(&mut machine, orders).await;
    machine.close().await;
    drop(place);
    end
}

/// What an instance holds while it has a machine.
type Place = (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>);

/// Waits until there is a place, and memory, for one more: whoever came first is first.
async fn place(inner: &Inner, instance: &Instance) -> Place {
    // Neither is ever closed.
    let place = Arc::clone(&inner.places).acquire_owned().await.ok();
    let memory = Arc::clone(&inner.memory)
        .acquire_many_owned(inner.memory_mib(instance))
        .await
        .ok();
    (place, memory)
}

/// Waits for an order that ends what has not begun.
async fn end_of_wait(orders: &mut mpsc::UnboundedReceiver<Order>) -> End {
    loop {
        match orders.recv().await {
            Some(Order::PowerOff { .. }) => return End::Asked,
            Some(Order::Reboot) => {}
            Some(Order::EmulatorEnds { .. }) | None => return End::Emulator,
        }
    }
}

/// What the guest was asked for.
struct Asked {
    /// To boot again, not to stay off.
    reboot: bool,
    end: End,
    until: Instant,
}

impl Asked {
    fn new(reboot: bool, end: End, until: Instant) -> Self {
        Self { reboot, end, until }
    }

    /// To power off. Asked again, it has no more time than it had.
    fn power_off(how: PowerOff, last: bool, before: Option<Self>, now: Instant) -> Self {
        let within = match how {
            PowerOff::Force => FORCED_WITHIN,
            _ if last => ENDS_WITHIN,
            _ => STOPS_WITHIN,
        };
        let mut asked = Self::new(false, End::Asked, now + within);
        if let Some(before) = before.filter(|it| !it.reboot) {
            asked.until = asked.until.min(before.until);
        }
        asked
    }
}

/// Watches a machine until it has to end, or has.
async fn watch(machine: &mut Machine, orders: &mut mpsc::UnboundedReceiver<Order>) -> End {
    let mut asked: Option<Asked> = None;
    let mut press = interval(PRESSED_EVERY);
    press.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut line_is_up, mut is_off) = (true, false);
    loop {
        let until = asked.as_ref().map_or_else(Instant::now, |it| it.until);
        tokio::select! {
            () = machine.process.ended() => return match asked {
                Some(asked) if !asked.reboot => asked.end,
                _ => End::Died(machine.process.last_words()),
            },
            event = machine.control.events.recv(), if line_is_up => match (event, asked.take()) {
                (Some(Event::PoweredOff), Some(Asked { reboot: true, .. })) => {
                    is_off = true;
                    machine.control.tell(Tell::Reset).await;
                }
                // Before it is reset, one that has powered off can't go on.
                (Some(Event::Reset), was) => {
                    asked = was;
                    if std::mem::take(&mut is_off) {
                        machine.control.tell(Tell::Continue).await;
                    }
                }
                (Some(Event::PoweredOff), Some(asked)) => return asked.end,
                (Some(Event::PoweredOff), None) => return End::PowerOff,
                (Some(Event::Failed), was) => return match was {
                    Some(asked) if !asked.reboot => asked.end,
                    _ => End::Died(machine.process.last_words()),
                },
                (Some(Event::Ready), was) => asked = was,
                // QEMU is about to end.
                (None, was) => (line_is_up, asked) = (false, was),
            },
            order = orders.recv() => match order {
                Some(Order::PowerOff { how: PowerOff::Cut, .. }) => return End::Asked,
                Some(Order::PowerOff { how, last }) => {
                    asked = Some(Asked::power_off(how, last, asked.take(), Instant::now()));
                    press.reset_immediately();
                }
                // One that powers off already stays off.
                Some(Order::Reboot) if asked.is_none() => {
                    asked = Some(Asked::new(true, End::Asked, Instant::now() + STOPS_WITHIN));
                    press.reset_immediately();
                }
                Some(Order::Reboot) => {}
                Some(Order::EmulatorEnds { gently: false }) | None => return End::Emulator,
                Some(Order::EmulatorEnds { gently: true }) => {
                    asked = Some(Asked::new(false, End::Emulator, Instant::now() + ENDS_WITHIN));
                    press.reset_immediately();
                }
            },
            () = sleep_until(until), if asked.is_some() => match asked.take() {
                Some(Asked { reboot: true, .. }) => machine.control.tell(Tell::Reset).await,
                Some(asked) => return asked.end,
                None => {}
            },
            _ = press.tick(), if asked.is_some() => {
                machine.control.tell(Tell::PowerButton).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_forced_has_less_time_and_who_is_asked_again_no_more() {
        let start = Instant::now();
        let asked = Asked::power_off(PowerOff::Ask, false, None, start);
        assert_eq!(asked.until - start, STOPS_WITHIN);
        let forced = Asked::power_off(PowerOff::Force, false, Some(asked), start);
        assert_eq!(forced.until - start, FORCED_WITHIN);
        let later = start + Duration::from_secs(1);
        for (how, last) in [(PowerOff::Force, true), (PowerOff::Ask, true)] {
            let until = Some(Asked {
                until: forced.until,
                ..Asked::new(false, End::Asked, later)
            });
            let again = Asked::power_off(how, last, until, later);
            assert_eq!(again.until, forced.until, "{how:?}");
        }
        // The time of a reboot is another one's.
        let reboot = Asked::new(true, End::Asked, start);
        let stopped = Asked::power_off(PowerOff::Ask, true, Some(reboot), later);
        assert_eq!(stopped.until, later + ENDS_WITHIN);
    }
}
