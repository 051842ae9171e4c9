//! Starts an instance of an image, with what it needs.

use super::{LaunchError, Order, Wait};
use crate::aws::{AwsError, Kind, Session, ec2};
use crate::fleet::attempts::{Ami, Attempts, NotLaunched, few_retries, instance_of, metadata};
use crate::fleet::place::{Place, Subnet, check_type, subnets};
use crate::fleet::{FleetError, Refused, group, refused};
use aws_sdk_ec2::types::{InstanceType, IpPermission, IpRange, ResourceType, ShutdownBehavior};
use time::OffsetDateTime;

/// Tag of what is made for a launch; its value is the launch's token.
pub(super) const LAUNCH: &str = "uploader:launch";
/// How often a place is asked for an instance whose answer does not come. The SDK asks twice each
/// time.
const TRIES: u32 = 3;
/// What is tried where no type was asked for. Nitro first, which boots either way.
const TYPES: &[&str] = &["t3.micro", "t3a.micro", "t2.micro", "t3.small"];

/// Refusals of a group's rule for what the caller said: who may come in. The rest of it is right.
const FROM_IS_WRONG: &[&str] = &["InvalidParameterValue", "InvalidPermission.Malformed"];

/// What was made, and has to be taken away again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launched {
    /// The instance.
    pub instance: Option<String>,
    /// Its type, and where it is.
    pub place: Option<(String, String)>,
    /// The security group.
    pub group: Option<String>,
    /// When it was asked for.
    pub asked: Option<OffsetDateTime>,
    /// What has no id here and may have been made all the same: its answer was lost.
    pub unknown: Unknown,
}

/// What a call may have made whose answer did not come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// The token of the launch, with which an instance is tagged.
    pub instance: Option<String>,
    /// Name and VPC of a security group.
    pub group: Option<(String, String)>,
}

/// Launches. What was made is in `made`, even if it fails.
///
/// # Errors
/// There is no such image, no place, or EC2 refuses.
pub async fn start(
    session: &Session,
    order: &Order,
    clock: &crate::agent::Clock,
    made: &mut Launched,
) -> Result<String, LaunchError> {
    let ami = image(session, &order.ami).await?;
    let subnets = subnets(session, order.subnet.as_deref()).await?;
    if let Some(instance_type) = &order.instance_type {
        check_type(session, instance_type).await?;
    }
    let group = group_for(session, order, &subnets, made).await?;
    let asked = order.instance_type.as_deref();
    let mut attempts = Attempts::new(&session.region, &ami, &subnets, asked, TYPES);
    loop {
        let place = attempts.next_place()?;
        made.asked = Some(clock());
        made.unknown.instance = Some(order.token.clone());
        let ran = run(session, order, &ami, &place, group.as_deref()).await;
        if !ran.as_ref().is_err_and(is_unanswered) {
            made.unknown.instance = None;
        }
        match ran {
            Ok(id) => {
                made.instance = Some(id.clone());
                made.place = Some((place.instance_type, place.subnet.zone));
                return Ok(id);
            }
            Err(cause) => match attempts.refused(&place, cause) {
                Ok(()) => {}
                Err(NotLaunched::NoImage(cause)) => {
                    let ami = order.ami.clone();
                    return Err(LaunchError::Ami { ami, cause });
                }
                // None is asked for.
                Err(NotLaunched::NoProfile(cause)) => return Err(cause.into()),
                Err(NotLaunched::Fleet(error)) => return Err(error.into()),
            },
        }
    }
}

async fn image(session: &Session, id: &str) -> Result<Ami, LaunchError> {
    let image = ec2::image(session, id).await?;
    let image = image.as_ref().and_then(Ami::of);
    Ok(image.ok_or_else(|| FleetError::NoImage {
        ami: id.to_owned(),
        region: session.region.clone(),
    })?)
}

/// A group that lets in what is waited for, if anything is.
async fn group_for(
    session: &Session,
    order: &Order,
    subnets: &[Subnet],
    made: &mut Launched,
) -> Result<Option<String>, LaunchError> {
    let (Wait::Http { port, .. }, Some(subnet)) = (&order.wait, subnets.first()) else {
        return Ok(None);
    };
    let name = format!("uploader-launch-{}", order.token);
    let tags = [("Name", name.as_str()), (LAUNCH, order.token.as_str())];
    let about = format!("uploader launch {}: port {port}", order.ami);
    made.unknown.group = Some((name.clone(), subnet.vpc.clone()));
    let id = match group::create(session, &name, &about, &subnet.vpc, &tags).await {
        // Nobody else has this name: a try before this one made it, and its answer was lost.
        Err(error) if error.kind == Kind::Conflict => {
            let there = group::id_of(session, &name, &subnet.vpc).await?;
            there.ok_or(error)?
        }
        Err(error) if !error.is_transient() => {
            made.unknown.group = None;
            return Err(error.into());
        }
        answer => answer?,
    };
    made.unknown.group = None;
    made.group = Some(id.clone());
    let permission = IpPermission::builder()
        .ip_protocol("tcp")
        .from_port(i32::from(*port))
        .to_port(i32::from(*port))
        .ip_ranges(IpRange::builder().cidr_ip(&order.from).build())
        .build();
    let answer = session
        .ec2
        .authorize_security_group_ingress()
        .group_id(&id)
        .ip_permissions(permission)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 AuthorizeSecurityGroupIngress", error));
    match answer {
        // In the same way.
        Err(error) if error.code == "InvalidPermission.Duplicate" => {}
        Err(cause) if FROM_IS_WRONG.contains(&cause.code.as_str()) => {
            let from = order.from.clone();
            return Err(LaunchError::From { from, cause });
        }
        answer => drop(answer?),
    }
    Ok(Some(id))
}

/// Whether a call to run an instance may have been carried out all the same.
fn is_unanswered(error: &AwsError) -> bool {
    error.is_transient() && refused(error) == Refused::Everywhere
}

/// Runs an instance. As long as no answer comes, the same call is made again: by its token, EC2 runs
/// one instance whatever arrives of them.
async fn run(
    session: &Session,
    order: &Order,
    ami: &Ami,
    place: &Place,
    group: Option<&str>,
) -> Result<String, AwsError> {
    let mut tries = 1;
    loop {
        match run_once(session, order, ami, place, group).await {
            Err(error) if is_unanswered(&error) && tries < TRIES => {
                tracing::debug!(%error, "again");
                tries += 1;
            }
            answer => return answer,
        }
    }
}

async fn run_once(
    session: &Session,
    order: &Order,
    ami: &Ami,
    place: &Place,
    group: Option<&str>,
) -> Result<String, AwsError> {
    const OPERATION: &str = "ec2 RunInstances";
    let name = format!("uploader launch {}", order.ami);
    let tags = [("Name", name.as_str()), (LAUNCH, order.token.as_str())];
    // One token for one place: another place is another call.
    let token = format!(
        "{}-{}-{}",
        order.token, place.instance_type, place.subnet.id
    );
    let answer = session
        .ec2
        .run_instances()
        .client_token(token.chars().take(64).collect::<String>())
        .image_id(&ami.id)
        .instance_type(InstanceType::from(place.instance_type.as_str()))
        .min_count(1)
        .max_count(1)
        .subnet_id(&place.subnet.id)
        .set_security_group_ids(group.map(|it| vec![it.to_owned()]))
        .metadata_options(metadata())
        .block_device_mappings(ami.encrypted_root())
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .tag_specifications(group::tagged(ResourceType::Instance, &tags))
        .tag_specifications(group::tagged(ResourceType::Volume, &tags))
        .customize()
        .config_override(few_retries())
        .send()
        .await
        .map_err(|error| AwsError::new(OPERATION, error))?;
    instance_of(OPERATION, answer.instances())
}
