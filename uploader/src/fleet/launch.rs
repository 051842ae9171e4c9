//! `RunInstances` for a converter: one place after the other until there is room.

use super::ensure::Wish;
use super::error::{FleetError, Refused, is_about_type, refused};
use super::group;
use super::launch_record::client_token;
use super::place::{Place, TYPES, check_type, places, subnets};
use crate::aws::ec2::{self, instances};
use crate::aws::{AwsError, Session};
use crate::converter_ami::current::{self, Found};
use crate::converter_ami::tags;
use crate::vault::{Names, tags as vault_tags};
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification, Image,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceType, ResourceType,
    ShutdownBehavior, VolumeType,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most bytes of user data, before it is encoded.
pub(crate) const MAX_USER_DATA: usize = 16 << 10;
/// EC2 learns of a new instance profile within some seconds.
const PROFILE_TRIES: u32 = 8;
const PROFILE_PAUSE: Duration = Duration::from_secs(3);

/// The AMI that a converter boots from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ami {
    pub(crate) id: String,
    pub(crate) root_device: String,
    /// Whether it boots only where there is UEFI, which types of before Nitro have not.
    pub(crate) uefi_only: bool,
}

/// What a launch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Launched {
    /// There is an instance, of this type, whose program is of this version.
    Up(String, Place, String),
    /// There was one, of an earlier call with the same token.
    Gone(String),
}

impl Ami {
    pub(crate) fn of(image: &Image) -> Option<Ami> {
        Some(Ami {
            id: image.image_id()?.to_owned(),
            root_device: image.root_device_name().unwrap_or("/dev/xvda").to_owned(),
            uefi_only: image.boot_mode().is_some_and(|it| it.as_str() == "uefi"),
        })
    }
}

/// The converter's AMI, as the vault's record says, and the version of the program in it.
async fn ami_of(session: &Session, names: &Names) -> Result<(Ami, String), FleetError> {
    let found = match current::find(session, names).await? {
        Found::None => {
            return Err(FleetError::NoAmi {
                vault: names.vault.clone(),
                region: names.region.clone(),
            });
        }
        Found::Pending(it) => return Err(FleetError::AmiPending { ami: it.ami }),
        Found::Gone(it) => {
            return Err(FleetError::AmiGone {
                ami: it.ami,
                cause: None,
            });
        }
        Found::Available(it) => it,
    };
    let image = ec2::own_image(session, &found.ami).await?;
    match image.as_ref().and_then(Ami::of) {
        Some(ami) => Ok((ami, found.program_version)),
        None => Err(FleetError::AmiGone {
            ami: found.ami,
            cause: None,
        }),
    }
}

/// Whether a launch has what it needs: an AMI, a subnet, and the type that was asked for. Changes
/// nothing.
pub(super) async fn check(session: &Session, names: &Names, wish: &Wish) -> Result<(), FleetError> {
    // What was said comes first: it is the caller's to mend.
    if let Some(subnet) = &wish.subnet {
        subnets(session, Some(subnet)).await?;
    }
    if let Some(instance_type) = &wish.instance_type {
        check_type(session, instance_type).await?;
    }
    ami_of(session, names).await?;
    if wish.subnet.is_none() {
        subnets(session, None).await?;
    }
    Ok(())
}

/// Launches an instance for the vault, as this generation.
pub(super) async fn launch(
    session: &Session,
    names: &Names,
    wish: &Wish,
    generation: u64,
) -> Result<Launched, FleetError> {
    let user_data = &wish.user_data;
    if user_data.len() > MAX_USER_DATA {
        return Err(FleetError::UserData {
            len: user_data.len(),
            most: MAX_USER_DATA,
        });
    }
    let (ami, program) = ami_of(session, names).await?;
    let subnets = subnets(session, wish.subnet.as_deref()).await?;
    let types: Vec<&str> = match &wish.instance_type {
        Some(asked) => vec![asked.as_str()],
        None => TYPES
            .iter()
            .copied()
            .filter(|it| !(ami.uefi_only && it.starts_with("t2.")))
            .collect(),
    };
    let mut groups: BTreeMap<String, String> = BTreeMap::new();
    let mut tried = Vec::new();
    let mut last = None;
    for place in places(&subnets, &types) {
        let vpc = &place.subnet.vpc;
        let group = match groups.get(vpc) {
            Some(group) => group.clone(),
            None => {
                let group = group::converters(session, names, vpc).await?;
                groups.insert(vpc.clone(), group.clone());
                group
            }
        };
        let call = Call {
            session,
            names,
            ami: &ami,
            place: &place,
            group: &group,
            user_data,
            generation,
        };
        match call.run().await {
            Ok(id) => return call.is_still_there(id, program).await,
            Err(cause) => match refused(&cause) {
                Refused::Elsewhere => {
                    tried.push(format!("{} in {}", place.instance_type, place.subnet.zone));
                    last = Some(cause);
                }
                Refused::Quota => {
                    let region = names.region.clone();
                    return Err(FleetError::Quota { region, cause });
                }
                Refused::NoImage => {
                    let (ami, cause) = (ami.id, Some(cause));
                    return Err(FleetError::AmiGone { ami, cause });
                }
                Refused::Profile => {
                    let profile = names.role();
                    return Err(FleetError::NoProfile { profile, cause });
                }
                Refused::Everywhere => {
                    return Err(match &wish.instance_type {
                        Some(asked) if is_about_type(&cause) => FleetError::Type {
                            instance_type: asked.clone(),
                            cause,
                        },
                        _ => cause.into(),
                    });
                }
            },
        }
    }
    match last {
        Some(cause) => Err(FleetError::NoCapacity {
            tried: tried.join(", "),
            cause,
        }),
        None => Err(FleetError::NoDefaultVpc {
            region: names.region.clone(),
        }),
    }
}

/// One call in one place.
struct Call<'a> {
    session: &'a Session,
    names: &'a Names,
    ami: &'a Ami,
    place: &'a Place,
    group: &'a str,
    user_data: &'a str,
    generation: u64,
}

impl Call<'_> {
    async fn run(&self) -> Result<String, AwsError> {
        let mut tries = 1;
        loop {
            match self.once().await {
                Err(error) if refused(&error) == Refused::Profile && tries < PROFILE_TRIES => {
                    tries += 1;
                    tokio::time::sleep(PROFILE_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    fn token(&self) -> String {
        let Place {
            instance_type,
            subnet,
        } = self.place;
        let parameters = [
            self.ami.id.as_str(),
            instance_type,
            &subnet.id,
            self.group,
            self.user_data,
        ];
        client_token(self.names, self.generation, &parameters)
    }

    async fn once(&self) -> Result<String, AwsError> {
        const OPERATION: &str = "ec2 RunInstances";
        let Names { vault, .. } = self.names;
        let name = format!("{vault} converter");
        let tags = [
            ("Name", name.as_str()),
            (vault_tags::VAULT, vault),
            (tags::CONVERTER, vault),
        ];
        let profile = IamInstanceProfileSpecification::builder().name(self.names.role());
        let answer = self
            .session
            .ec2
            .run_instances()
            .client_token(self.token())
            .image_id(&self.ami.id)
            .instance_type(InstanceType::from(self.place.instance_type.as_str()))
            .min_count(1)
            .max_count(1)
            .subnet_id(&self.place.subnet.id)
            .security_group_ids(self.group)
            .iam_instance_profile(profile.build())
            .metadata_options(metadata())
            .block_device_mappings(encrypted_root(self.ami))
            // The guest powers off when it is done.
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .tag_specifications(group::tagged(ResourceType::Instance, &tags))
            .tag_specifications(group::tagged(ResourceType::Volume, &tags[..2]))
            .user_data(STANDARD.encode(self.user_data))
            .customize()
            .config_override(few_retries())
            .send()
            .await
            .map_err(|error| AwsError::new(OPERATION, error))?;
        instance_of(OPERATION, answer.instances())
    }

    /// A call that was made before gives the instance that it gave then, which may be gone by now.
    async fn is_still_there(&self, id: String, program: String) -> Result<Launched, FleetError> {
        match instances::one(self.session, &id).await? {
            Some(instance) if !instance.is_up() => Ok(Launched::Gone(id)),
            // EC2 does not list a new one at once.
            _ => Ok(Launched::Up(id, self.place.clone(), program)),
        }
    }
}

/// EC2 says with a status of the servers' errors that it has no capacity, and the SDK would ask
/// again and again: the next place is the better answer.
pub(crate) fn few_retries() -> aws_sdk_ec2::config::Builder {
    aws_sdk_ec2::Config::builder().retry_config(RetryConfig::standard().with_max_attempts(2))
}

/// The one instance of an answer.
pub(crate) fn instance_of(
    operation: &'static str,
    instances: &[aws_sdk_ec2::types::Instance],
) -> Result<String, AwsError> {
    let id = instances.first().and_then(|it| it.instance_id());
    id.map(str::to_owned).ok_or_else(|| AwsError {
        operation,
        kind: crate::aws::Kind::Unavailable,
        code: String::new(),
        message: "the answer names no instance".to_owned(),
    })
}

/// IMDSv2 only, and from the instance itself only: one hop.
pub(crate) fn metadata() -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(1)
        .build()
}

/// The image's root volume, encrypted whatever the image's is, and gone with the instance.
pub(crate) fn encrypted_root(ami: &Ami) -> BlockDeviceMapping {
    let ebs = EbsBlockDevice::builder()
        .encrypted(true)
        .volume_type(VolumeType::Gp3)
        .delete_on_termination(true)
        .build();
    BlockDeviceMapping::builder()
        .device_name(&ami.root_device)
        .ebs(ebs)
        .build()
}
