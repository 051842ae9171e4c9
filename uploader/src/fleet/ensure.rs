//! The vault's converters: somebody is there, or is launched. Carries out what [`super::caller`] asks for.

use super::caller::{Action, Caller, Event, Settled};
use super::error::FleetError;
use super::judge::{Machine, MachineState, Patience, Pulse, View, Why};
use super::launch::{self, Launched};
use super::{launch_record, status};
use crate::agent::{Clock, heartbeat};
use crate::aws::AwsError;
use crate::aws::ec2::instances;
use crate::converter_ami::current::{self, Found};
use crate::converter_ami::version::is_older;
use crate::vault::Vault;

/// Rounds of one `ensure`: each ends with somebody else's change, of which there are few.
const MAX_STEPS: u32 = 60;
/// This program's version.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// What a caller wants launched, if it comes to that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The subnet; those of the default VPC if none is named.
    pub subnet: Option<String>,
    /// The type; a small one that there is if none is named.
    pub instance_type: Option<String>,
    /// What the instance is told.
    pub user_data: String,
}

/// A vault's converters, and what to launch where there is none.
#[derive(Clone)]
pub struct Fleet {
    /// The vault that they work for.
    pub vault: Vault,
    /// What to launch.
    pub wish: Wish,
    /// When to believe what.
    pub patience: Patience,
    /// Whether to launch one where nobody is: if not, that is an error.
    pub may_launch: bool,
    /// The time.
    pub clock: Clock,
}

/// What there is to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nobody is there: one is about to be launched.
    Launching,
    /// It was.
    Launched {
        /// The instance.
        id: String,
        /// Its type.
        instance_type: String,
        /// Where.
        zone: String,
    },
    /// The program in the AMI that it was launched from is of this version, older than this one.
    Older(String),
    /// An instance does nothing any more, and is terminated.
    Replaced {
        /// The instance.
        id: String,
        /// How that is known.
        why: Why,
    },
    /// An instance that was launched beside another is terminated.
    Withdrawn(String),
}

impl Fleet {
    /// Sees to it that somebody takes what is in the queue. The request has to be there already.
    /// [`Settled::Undecided`] wants to be asked again in some seconds.
    ///
    /// # Errors
    /// None can be launched, or AWS refuses.
    pub async fn ensure(&self, told: &(dyn Fn(Told) + Send + Sync)) -> Result<Settled, FleetError> {
        let mut failure = None;
        let (mut caller, mut action) = Caller::start();
        for _ in 0..MAX_STEPS {
            if let Action::Done(settled) = action {
                return match (settled, failure) {
                    (Settled::Failed, Some(failure)) => Err(failure),
                    (settled, _) => Ok(settled),
                };
            }
            let event = self.carry_out(&action, told, &mut failure).await?;
            tracing::debug!(?action, ?event, "fleet");
            (caller, action) = caller.step(event, (self.clock)(), &self.patience);
        }
        Ok(Settled::Undecided(
            "others are launching and ending converters",
        ))
    }

    async fn carry_out(
        &self,
        action: &Action,
        told: &(dyn Fn(Told) + Send + Sync),
        failure: &mut Option<FleetError>,
    ) -> Result<Event, FleetError> {
        let vault = &self.vault;
        Ok(match action {
            Action::ReadRecord => Event::Record(launch_record::read(vault).await?),
            Action::Look => Event::Seen(self.look().await?),
            Action::WriteRecord { record, replaces } => {
                match launch_record::write(vault, record, replaces.clone()).await? {
                    Some(etag) => Event::Written(etag),
                    None => Event::Changed,
                }
            }
            Action::Launch { .. } if !self.may_launch => {
                *failure = Some(FleetError::NotAgain);
                Event::NotLaunched
            }
            Action::Launch { generation } => {
                told(Told::Launching);
                match launch::launch(vault, &self.wish, *generation).await {
                    Ok(Launched::Up(id, place, program)) => {
                        told(Told::Launched {
                            id: id.clone(),
                            instance_type: place.instance_type,
                            zone: place.subnet.zone,
                        });
                        if is_older(&program, OURS) {
                            told(Told::Older(program));
                        }
                        Event::Launched(id)
                    }
                    Ok(Launched::Gone(id)) => Event::Spent(id),
                    Err(error) => {
                        *failure = Some(error);
                        Event::NotLaunched
                    }
                }
            }
            Action::Replace(which) => {
                for (id, why) in which {
                    told(Told::Replaced {
                        id: id.clone(),
                        why: *why,
                    });
                    instances::terminate(&vault.session, id).await?;
                    heartbeat::forget(vault, id).await?;
                }
                Event::Ok
            }
            Action::Withdraw(id) => {
                told(Told::Withdrawn(id.clone()));
                instances::terminate(&vault.session, id).await?;
                Event::Ok
            }
            Action::Done(_) => Event::Ok,
        })
    }

    /// What can be known before of why none could be launched, if nobody is there. What may pass is
    /// nothing to know.
    ///
    /// # Errors
    /// There is no AMI, subnet or type as [`Fleet::wish`] says, or AWS refuses.
    pub async fn check(&self) -> Result<(), FleetError> {
        match self.would_launch().await {
            Err(error) if error.is_transient() => Ok(()),
            checked => checked,
        }
    }

    async fn would_launch(&self) -> Result<(), FleetError> {
        let view = self.look().await?;
        let is_up = |it: &Machine| it.state == MachineState::Up;
        let is_there = view.pulses.iter().any(|it| it.age <= heartbeat::FRESH);
        if is_there || view.machines.iter().any(is_up) {
            return Ok(());
        }
        launch::check(&self.vault, &self.wish).await
    }

    /// What there is now.
    ///
    /// # Errors
    /// AWS refuses.
    pub async fn look(&self) -> Result<View, AwsError> {
        let vault = &self.vault;
        let now = (self.clock)();
        let beats = heartbeat::recent(vault, now).await?;
        let mut found = status::of_vault(vault).await?;
        // An agent may be on an instance that has no tag.
        let ids = beats.iter().map(|it| it.heartbeat.id.as_str());
        let others: Vec<&str> = ids
            .filter(|&id| !found.iter().any(|it| it.id == id))
            .collect();
        found.extend(instances::among(&vault.session, &others).await?);
        let machines = found.iter().map(|it| Machine {
            id: it.id.clone(),
            state: match it.is_up() {
                true => MachineState::Up,
                false => MachineState::Down,
            },
            age: it.launched.map_or(0, |it| (now - it).whole_seconds()),
        });
        let pulses = beats.into_iter().map(|it| Pulse {
            age: (now - it.written).whole_seconds(),
            leaving: it.heartbeat.activity == heartbeat::Activity::Leaving,
            busy: it.heartbeat.requests > 0,
            id: it.heartbeat.id,
        });
        Ok(View {
            machines: machines.collect(),
            pulses: pulses.collect(),
        })
    }

    /// Whether the vault has an AMI to launch a converter from.
    ///
    /// # Errors
    /// EC2 refuses.
    pub async fn has_ami(&self) -> Result<bool, AwsError> {
        let found = current::find(&self.vault).await?;
        Ok(matches!(found, Found::Available(_) | Found::Pending(_)))
    }
}
