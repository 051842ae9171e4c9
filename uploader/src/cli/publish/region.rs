//! One region's way to its AMI: it is there already, or made there, or a copy of another region's.

use super::super::Failure;
use super::super::aws_args::Place;
use super::super::convert::{AmiArgs, random};
use super::super::follow::Followed;
use super::super::push::{KEPT, plan, send};
use super::super::regions::InRegion;
use super::super::table::Row;
use super::no_copy;
use super::sources::{Announcer, Sources};
use std::sync::Arc;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::agent::heartbeat::FRESH;
use uploader::agent::{AgentError, Clock, vault_key};
use uploader::fleet::Fleet;
use uploader::push::{Image, Limits, Plan, PushError};
use uploader::regions::{
    Capabilities, Choice, CopyError, Found, RegionVault, Source, There, Via, Wish, copy, find,
};
use uploader::request::ImageRef;

/// What is chosen where a copy was begun before.
const UNDER_WAY: Choice = Choice {
    via: Via::Copy,
    why: "one is under way",
};

/// What is to be done in all regions.
pub(super) struct Work {
    pub(super) ami: AmiArgs,
    pub(super) image: Arc<Image>,
    /// Each region's.
    pub(super) limits: Limits,
    /// Of all regions: their records tell AMIs that are there.
    pub(super) vaults: Vec<RegionVault>,
    pub(super) is_dry: bool,
    pub(super) is_again: bool,
    pub(super) cancel: CancellationToken,
}

/// A region, and what is asked for there.
pub(super) struct Region {
    pub(super) place: Place,
    pub(super) vault: RegionVault,
    pub(super) fleet: Option<Fleet>,
}

/// A region's part in the whole.
pub(super) enum Part {
    /// It makes the AMI, and says so to those that get a copy.
    Convert {
        /// Why, where there was a choice.
        choice: Option<Choice>,
        announcer: Announcer,
    },
    /// It gets a copy.
    Copy {
        choice: Choice,
        /// The regions to copy from.
        sources: Sources,
    },
}

impl Work {
    /// Waits for something, or for Ctrl-C.
    async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            done = work => Ok(done),
            () = self.cancel.cancelled() => Err(Failure::interrupted()),
        }
    }
}

impl Region {
    /// What it has to make an AMI with.
    pub(super) async fn capabilities(&self) -> Result<Capabilities, Failure> {
        let vault = self.place.vault.bucket().exists().await?;
        Ok(Capabilities {
            vault,
            converter: vault && self.has_converter().await?,
        })
    }

    /// Whether a converter is there, or can be launched.
    async fn has_converter(&self) -> Result<bool, Failure> {
        let Some(fleet) = &self.fleet else {
            // Somebody else sees to that.
            return Ok(true);
        };
        let is_there = fleet
            .look()
            .await?
            .pulses
            .iter()
            .any(|pulse| pulse.age <= FRESH);
        Ok(is_there || fleet.has_ami().await?)
    }

    /// Sees to it that the region has the AMI.
    pub(super) async fn publish(self, work: &Work, part: Result<Part, Failure>) -> InRegion<Row> {
        let mut result = InRegion::new(&self.place, Row::default());
        let row = &mut result.what;
        let done = match part {
            Ok(Part::Convert { choice, announcer }) => {
                self.convert(work, choice, &announcer, row).await
            }
            Ok(Part::Copy { choice, sources }) => self.copy(work, choice, &sources, row).await,
            Err(failure) => Err(failure),
        };
        result.ended(&self.place, done)
    }

    async fn convert(
        &self,
        work: &Work,
        choice: Option<Choice>,
        announcer: &Announcer,
        row: &mut Row,
    ) -> Result<(), Failure> {
        let plan = self.plan(work).await?;
        let image = of(&plan);
        row.image = Some(image.clone());
        announcer.image(&image);
        let request = match self.find(work, &image).await? {
            Some(Found::There(there)) => {
                self.is_there(there, row);
                row.request
            }
            Some(Found::Coming(source)) => {
                row.choice = Some(self.chosen(UNDER_WAY));
                self.copied(work, &source, row).await?;
                Some(source.request)
            }
            None => {
                row.choice = choice.map(|choice| self.chosen(choice));
                self.make(work, plan, row).await?;
                row.request
            }
        };
        if let (Some(made), Some(name), Some(request)) = (&row.followed, &row.ami_name, request) {
            announcer.ami(Source {
                region: self.place.vault.session.region.clone(),
                ami: made.ami.clone(),
                name: name.clone(),
                request,
            });
        }
        Ok(())
    }

    async fn copy(
        &self,
        work: &Work,
        choice: Choice,
        sources: &Sources,
        row: &mut Row,
    ) -> Result<(), Failure> {
        let no_source = || Failure::new(Class::Failed, "no other region has made an AMI to copy");
        let image = match &*work.image {
            Image::Pack(pack) => ImageRef {
                name: pack.manifest.name.clone(),
                digest: pack.digest,
            },
            // Only the regions that convert read it.
            Image::Disk(_) => work
                .unless_interrupted(sources.image())
                .await?
                .ok_or_else(no_source)?,
        };
        row.image = Some(image.clone());
        let coming = match self.find(work, &image).await? {
            Some(Found::There(there)) => {
                self.is_there(there, row);
                return Ok(());
            }
            Some(Found::Coming(source)) => Some(source),
            None => None,
        };
        let choice = if coming.is_some() { UNDER_WAY } else { choice };
        row.choice = Some(self.chosen(choice));
        if work.is_dry {
            return Ok(());
        }
        if work.ami.is_no_wait() {
            return Err(no_copy(&self.place.vault.session.region));
        }
        let source = match coming {
            Some(source) => source,
            None => work
                .unless_interrupted(sources.ami())
                .await?
                .ok_or_else(no_source)?,
        };
        self.copied(work, &source, row).await
    }

    async fn plan(&self, work: &Work) -> Result<Plan, Failure> {
        let planned = plan(&self.place, &work.image, &work.limits, &work.cancel).await;
        planned.map_err(|error| self.interrupted(error))
    }

    /// Ctrl-C is told in its own words: what goes on is another thing in each region.
    fn interrupted(&self, error: PushError) -> Failure {
        if error.is_interrupt() {
            self.place.say(KEPT);
        }
        error.into()
    }

    /// Looks for an AMI that is there already.
    async fn find(&self, work: &Work, image: &ImageRef) -> Result<Option<Found>, Failure> {
        if work.is_again {
            return Ok(None);
        }
        Ok(find(&self.vault, image, &work.vaults).await?)
    }

    fn is_there(&self, there: There, row: &mut Row) {
        self.place.say(&format!(
            "{} is there already, as asked for; --again makes another",
            there.ami
        ));
        row.is_there = true;
        row.ami_name = Some(there.name);
        row.request = Some(there.request);
        row.followed = Some(Followed {
            ami: there.ami,
            snapshot: there.snapshot,
        });
    }

    /// Says what was chosen, and why.
    fn chosen(&self, choice: Choice) -> Choice {
        self.place.say(&format!("{}: {}", choice.via, choice.why));
        choice
    }

    /// Sends the image, and has its AMI made.
    async fn make(&self, work: &Work, plan: Plan, row: &mut Row) -> Result<(), Failure> {
        let Work { ami, cancel, .. } = work;
        let image = of(&plan);
        if !work.is_dry {
            let pushed = send(&self.place, &work.image, plan, &work.limits, cancel);
            pushed.await.map_err(|error| self.interrupted(error))?;
        }
        let request = ami.request(&self.place, image, self.vault.ami.clone())?;
        row.asks(&request);
        if !work.is_dry {
            let fleet = self.fleet.clone();
            row.followed = ami.carry_out(&self.place, fleet, request, cancel).await?;
        }
        Ok(())
    }

    /// Copies an AMI of another region.
    async fn copied(&self, work: &Work, source: &Source, row: &mut Row) -> Result<(), Failure> {
        row.ami_name = Some(source.name.clone());
        if work.is_dry {
            return Ok(());
        }
        let key = match &self.vault.ami.kms_key {
            Some(key) => Some(key.clone()),
            None => match vault_key(&self.place.vault).await {
                Ok(key) => Some(key),
                Err(AgentError::NoKey { .. }) => None,
                Err(error) => return Err(error.into()),
            },
        };
        let wish = Wish {
            key,
            description: self.vault.ami.description.clone(),
            patience: work.ami.patience(),
            token: uuid::Builder::from_random_bytes(random()?).into_uuid(),
        };
        let clock: Clock = Arc::new(OffsetDateTime::now_utc);
        match copy(
            &self.place.vault.session,
            source,
            &wish,
            &clock,
            &work.cancel,
        )
        .await
        {
            Ok(copied) => {
                row.followed = Some(Followed {
                    ami: copied.ami,
                    snapshot: copied.snapshot,
                });
                Ok(())
            }
            Err(error @ CopyError::Cancelled { .. }) => {
                self.place.say(&error.to_string());
                Err(Failure::interrupted())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What is pushed.
fn of(plan: &Plan) -> ImageRef {
    ImageRef {
        name: plan.name.clone(),
        digest: plan.digest,
    }
}
