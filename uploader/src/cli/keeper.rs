//! Sees to it that somebody takes a request, as long as it is waited for.

use super::Failure;
use super::aws_args::{AwsArgs, Place};
use clap::Args;
use cli_support::seconds;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::agent::journal;
use uploader::fleet::caller::Settled;
use uploader::fleet::judge::Patience;
use uploader::fleet::userdata::UserData;
use uploader::fleet::{Fleet, FleetError, Told, Wish};
use uuid::Uuid;

/// How often there is a look around.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// The same, while something is about to be decided.
const SOON: Duration = Duration::from_secs(3);
/// How long an agent that somebody starts at the same time may take to say that it is there.
const GRACE: Duration = Duration::from_secs(15);
/// How long an agent that takes a single request may have this one without a record of it.
const OWN: Duration = Duration::from_secs(15);
/// How long a caller who does not wait for the AMI waits until somebody is there.
const MOST: Duration = Duration::from_secs(180);
/// Instances that one caller launches for one request: if the second did nothing either, neither
/// will the third.
const MAX_LAUNCHES: u32 = 2;

/// What is launched if nobody is there.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Converter")]
pub(crate) struct ConverterArgs {
    /// Launch no converter if none is there: agents are run by somebody else
    #[arg(long)]
    no_launch: bool,
    /// Subnet of a converter that is launched; AWS has to be reached from there [default: those of
    /// the default VPC]
    #[arg(long, value_name = "SUBNET", conflicts_with = "no_launch")]
    subnet: Option<String>,
    /// Its instance type [default: t2.micro, or a similar one where that is not to be had]
    #[arg(long, value_name = "TYPE", conflicts_with = "no_launch")]
    instance_type: Option<String>,
    /// How long it stays without a request, as 90s, 60m or 1h
    #[arg(long, value_name = "TIME", default_value = "60m", value_parser = seconds::<u32>)]
    idle: u32,
    /// How long a converter may show no sign of life until it is terminated and replaced: at least
    /// a minute, or those that live are taken for dead [default: 5m; 10m while it starts]
    #[arg(long, value_name = "TIME", value_parser = seconds::<u32>)]
    replace_after: Option<u32>,
    /// Where all services answer for it, if not at their own names
    #[arg(long, value_name = "URL", conflicts_with = "no_launch")]
    converter_endpoint: Option<String>,
}

impl ConverterArgs {
    /// What has to be there in a region; nothing with `--no-launch`.
    pub(crate) fn fleet(&self, aws: &AwsArgs, place: &Place) -> Result<Option<Fleet>, Failure> {
        if self.no_launch {
            return Ok(None);
        }
        let mut data = UserData::new(&place.vault.names, self.idle);
        data.endpoint_url.clone_from(&self.converter_endpoint);
        data.ca = aws.private_ca()?;
        let user_data = data.to_text()?;
        Ok(Some(Fleet {
            vault: place.vault.clone(),
            wish: Wish {
                subnet: self.subnet.clone(),
                instance_type: self.instance_type.clone(),
                user_data,
            },
            patience: self.patience(),
            may_launch: true,
            clock: Arc::new(OffsetDateTime::now_utc),
        }))
    }
}

impl ConverterArgs {
    fn patience(&self) -> Patience {
        let usual = Patience::default();
        match self.replace_after.map(i64::from) {
            None => usual,
            Some(after) => Patience {
                fresh: usual.fresh.min(after),
                stuck: after,
                boot: after,
                ..usual
            },
        }
    }
}

/// Looks again and again whether somebody is there for one request.
pub(crate) struct Keeper {
    place: Place,
    fleet: Fleet,
    began: Instant,
    next: Instant,
    launches: u32,
    said: Option<String>,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    /// Somebody is there, or comes.
    Settled,
    /// To be seen soon.
    Undecided,
}

impl Keeper {
    pub(crate) fn new(place: Place, fleet: Fleet) -> Keeper {
        let now = Instant::now();
        Keeper {
            place,
            fleet,
            began: now,
            next: now,
            launches: 0,
            said: None,
        }
    }

    /// Says before anything is sent why none could be launched, if that has to be. An agent that
    /// somebody starts at the same time does without the vault's AMI.
    ///
    /// # Errors
    /// A setting is wrong, there is no AMI, or AWS refuses.
    pub(crate) async fn check(&self, cancel: &CancellationToken) -> Result<(), Failure> {
        loop {
            match self.fleet.check().await {
                Err(FleetError::NoAmi { .. }) if self.began.elapsed() < GRACE => {}
                checked => return checked.map_err(Failure::from),
            }
            tokio::select! {
                () = tokio::time::sleep(SOON) => {}
                () = cancel.cancelled() => return Err(Failure::interrupted()),
            }
        }
    }

    /// Looks, if it is time to. `taken`: somebody has the request already, so that there is no need
    /// to fail here.
    pub(crate) async fn keep(&mut self, request: &Uuid, taken: bool) -> Result<(), Failure> {
        if Instant::now() < self.next {
            return Ok(());
        }
        let pause = match self.look(request, taken).await? {
            Looked::Settled => LOOK_EVERY,
            Looked::Undecided => SOON,
        };
        self.next = Instant::now() + pause;
        Ok(())
    }

    /// Looks until somebody is there, or has taken the request, for those who don't wait for the AMI.
    pub(crate) async fn settle(
        mut self,
        request: &Uuid,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        while self.look(request, false).await? == Looked::Undecided {
            if self.began.elapsed() >= MOST {
                self.say("nobody has taken the request, and it is not clear who will".to_owned());
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(SOON) => {}
                () = cancel.cancelled() => return Err(Failure::interrupted()),
            }
            // An agent that takes one request and ends is gone once it is done: nobody is needed then.
            if let Ok(Some(_)) = journal::read(&self.fleet.vault, request).await {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn look(&mut self, request: &Uuid, taken: bool) -> Result<Looked, Failure> {
        self.fleet.may_launch = self.launches < MAX_LAUNCHES;
        self.fleet.patience.own = taken || self.began.elapsed() < OWN;
        let place = &self.place;
        let settled = self.fleet.ensure(&|it| place.say(&told(it))).await;
        match settled {
            Ok(Settled::Alive(_)) => {
                self.said = None;
                Ok(Looked::Settled)
            }
            Ok(Settled::Starting(id)) => {
                self.say(format!("waits for the converter {id} to start"));
                Ok(Looked::Settled)
            }
            Ok(Settled::Launched(_)) => {
                self.launches += 1;
                Ok(Looked::Settled)
            }
            Err(FleetError::NotAgain) => Err(Failure::new(
                Class::Failed,
                format!(
                    "{MAX_LAUNCHES} converters were launched for request {request}, and ended \
                     without it"
                ),
            )
            .hint("uploader converter logs says why")),
            Ok(Settled::Undecided(why)) => {
                self.say(why.to_owned());
                Ok(Looked::Undecided)
            }
            // Its error comes as such.
            Ok(Settled::Failed) => Ok(Looked::Undecided),
            Err(error) if error.is_transient() => {
                self.say(error.to_string());
                Ok(Looked::Undecided)
            }
            // An agent may be on its way, without an AMI of the vault's.
            Err(FleetError::NoAmi { .. }) if taken || self.began.elapsed() < GRACE => {
                Ok(Looked::Undecided)
            }
            Err(error) if taken => {
                self.say(error.to_string());
                Ok(Looked::Settled)
            }
            Err(error) => {
                self.place.say(&format!(
                    "request {request} is sent, and stays until it expires; but nobody is there to \
                     take it"
                ));
                Err(error.into())
            }
        }
    }

    /// Says something once.
    fn say(&mut self, what: String) {
        if self.said.as_ref() != Some(&what) {
            self.place.say(&what);
            self.said = Some(what);
        }
    }
}

fn told(told: Told) -> String {
    match told {
        Told::Launching => "no converter is there: launches one".to_owned(),
        Told::Launched {
            id,
            instance_type,
            zone,
        } => format!("launched the converter {id}, a {instance_type} in {zone}"),
        Told::Older(version) => format!(
            "its AMI is of uploader {version}, older than this one ({}): uploader converter \
             bootstrap replaces it",
            env!("CARGO_PKG_VERSION")
        ),
        Told::Replaced { id, why } => {
            format!("terminates the converter {id}, which is stuck: {why}")
        }
        Told::Withdrawn(id) => {
            format!("terminates {id}: somebody else launched a converter, too")
        }
    }
}
