//! One region's way to its AMI: it is there already, or made there, or a copy of the first region's.

use super::super::Failure;
use super::super::aws_args::Place;
use super::super::convert::{AmiArgs, random};
use super::super::follow::Followed;
use super::super::push::{KEPT, plan, send, to_send};
use super::super::regions::InRegion;
use super::super::table::Row;
use super::first::{First, Listener, Made, News};
use super::no_copy;
use std::sync::Arc;
use std::time::Instant;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::agent::heartbeat::FRESH;
use uploader::agent::{AgentError, Clock, vault_key};
use uploader::fleet::Fleet;
use uploader::push::{Image, Limits, Plan, PushError};
use uploader::regions::{
    Choice, CopyError, Facts, Found, Source, There, Vault, Via, Wish, choose, copy, find, has_vault,
};
use uploader::request::ImageRef;
use uuid::Uuid;

/// What is to be done in all regions.
pub(super) struct Work {
    pub(super) ami: AmiArgs,
    pub(super) image: Arc<Image>,
    /// Each region's.
    pub(super) limits: Limits,
    /// Of all regions: their records tell AMIs that are there.
    pub(super) vaults: Vec<Vault>,
    /// What `--via` says.
    pub(super) via: Option<Via>,
    pub(super) is_dry: bool,
    pub(super) is_again: bool,
    pub(super) cancel: CancellationToken,
}

/// A region, and what is asked for there.
pub(super) struct Region {
    pub(super) place: Place,
    pub(super) vault: Vault,
    pub(super) fleet: Option<Fleet>,
}

impl Region {
    /// The first region's way: no other one's AMI is waited for.
    pub(super) async fn lead(self, work: &Work, first: First) -> InRegion<Row> {
        let mut it = InRegion::new(&self.place, Row::default());
        let led = self.try_to_lead(work, &first, &mut it.what).await;
        it.ended(&self.place, led)
    }

    /// Another region's way.
    pub(super) async fn follow(self, work: &Work, news: Listener) -> InRegion<Row> {
        let mut it = InRegion::new(&self.place, Row::default());
        let followed = self.try_to_follow(work, news, &mut it.what).await;
        it.ended(&self.place, followed)
    }

    async fn try_to_lead(&self, work: &Work, first: &First, row: &mut Row) -> Result<(), Failure> {
        let plan = self.plan(work).await?;
        let image = of(&plan);
        first.is_of(&image);
        row.image = Some(image.clone());
        let source = match self.find(work, &image).await? {
            Some(Found::There(there)) => {
                let source = self.source(&there.ami, &there.name, there.request);
                self.is_there(there, row);
                Some(source)
            }
            Some(Found::Coming(of)) => {
                row.choice = Some(self.chosen(under_way()));
                self.copied(work, &of, row).await?;
                let copied = row.followed.as_ref();
                copied.map(|it| self.source(&it.ami, &of.name, of.request))
            }
            None => {
                let sent = first.sends();
                self.convert(work, plan, || first.is_sent(), sent, row)
                    .await?;
                let (made, name) = (row.followed.as_ref(), row.ami_name.as_ref());
                made.zip(name)
                    .zip(row.request)
                    .map(|((made, name), request)| self.source(&made.ami, name, request))
            }
        };
        first.is_sent();
        first.made(source.map_or(Made::NotWaited, Made::Ami));
        Ok(())
    }

    async fn try_to_follow(
        &self,
        work: &Work,
        mut news: Listener,
        row: &mut Row,
    ) -> Result<(), Failure> {
        let Place { session, names, .. } = &self.place;
        let cancel = &work.cancel;
        let has_vault = match work.via {
            // What is missing is said by the push.
            Some(via) => via == Via::Convert,
            None => has_vault(session, names).await?,
        };
        let plan = match has_vault {
            true => Some(self.plan(work).await?),
            false => None,
        };
        let image = match (&plan, &*work.image) {
            (Some(plan), _) => of(plan),
            (None, Image::Pack(pack)) => ImageRef {
                name: pack.manifest.name.clone(),
                digest: pack.digest,
            },
            // Nobody but the first region has read it.
            (None, Image::Disk(_)) => {
                let told = |news: &News| match (&news.image, &news.made) {
                    (Some(image), _) => Some(Ok(image.clone())),
                    (None, Some(_)) => Some(Err(no_source())),
                    (None, None) => None,
                };
                news.until(cancel, told).await??
            }
        };
        row.image = Some(image.clone());
        let coming = match self.find(work, &image).await? {
            Some(Found::There(there)) => {
                self.is_there(there, row);
                return Ok(());
            }
            Some(Found::Coming(of)) => Some(of),
            None => None,
        };
        let choice = match &coming {
            Some(_) => under_way(),
            None => self.choice(work, plan.as_ref(), &mut news).await?,
        };
        let via = choice.via;
        row.choice = Some(self.chosen(choice));
        match (via, plan) {
            (Via::Convert, Some(plan)) => self.convert(work, plan, || (), |_| (), row).await,
            _ if work.is_dry => Ok(()),
            _ if work.ami.is_no_wait() => Err(no_copy(&session.region)),
            _ => {
                let source = match coming {
                    Some(source) => source,
                    None => match news.until(cancel, |it| it.made.clone()).await? {
                        Made::Ami(source) => source,
                        Made::NotWaited | Made::Failed => return Err(no_source()),
                    },
                };
                self.copied(work, &source, row).await
            }
        }
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

    fn source(&self, ami: &str, name: &str, request: Uuid) -> Source {
        Source {
            region: self.place.session.region.clone(),
            ami: ami.to_owned(),
            name: name.to_owned(),
            request,
        }
    }

    /// Chooses, as soon as enough is known.
    async fn choice(
        &self,
        work: &Work,
        plan: Option<&Plan>,
        news: &mut Listener,
    ) -> Result<Choice, Failure> {
        let mut facts = Facts::default();
        if let (Some(plan), None) = (plan, work.via) {
            facts = Facts {
                vault: true,
                converter: self.is_served().await?,
                missing: to_send(plan),
                size: plan.packs.iter().map(|it| it.size).sum(),
                ..facts
            };
        }
        let told = |news: &News| {
            let facts = Facts {
                source: news.made != Some(Made::Failed),
                rate: news.rate(Instant::now()),
                ..facts
            };
            choose(&facts, work.via)
        };
        news.until(&work.cancel, told).await
    }

    /// Says what was chosen, and why.
    fn chosen(&self, choice: Choice) -> Choice {
        self.place.say(&format!("{}: {}", choice.via, choice.why));
        choice
    }

    /// Whether a converter is there, or can be launched.
    async fn is_served(&self) -> Result<bool, Failure> {
        let Some(fleet) = &self.fleet else {
            // Somebody else sees to that.
            return Ok(true);
        };
        let is_there = fleet.look().await?.pulses.iter().any(|it| it.age <= FRESH);
        Ok(is_there || fleet.has_ami().await?)
    }

    /// Sends the image, and has its AMI made. `sent` is told of bytes that are sent, `is_sent` when
    /// all are.
    async fn convert(
        &self,
        work: &Work,
        plan: Plan,
        is_sent: impl FnOnce(),
        sent: impl Fn(u64) + Send + Sync + 'static,
        row: &mut Row,
    ) -> Result<(), Failure> {
        let Work { ami, cancel, .. } = work;
        let image = of(&plan);
        if !work.is_dry {
            let pushed = send(&self.place, &work.image, plan, &work.limits, sent, cancel);
            pushed.await.map_err(|error| self.interrupted(error))?;
        }
        is_sent();
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
        let Place { session, names, .. } = &self.place;
        let key = match &self.vault.ami.kms_key {
            Some(key) => Some(key.clone()),
            None => match vault_key(session, names).await {
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
        match copy(session, source, &wish, &clock, &work.cancel).await {
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

fn under_way() -> Choice {
    Choice {
        via: Via::Copy,
        why: "one is under way".to_owned(),
    }
}

fn no_source() -> Failure {
    Failure::new(Class::Failed, "there is no AMI in the first region to copy")
}
