//! `RunInstances` for a converter: one place after the other until there is room.

use super::attempts::{Ami, Attempts, NotLaunched, few_retries, instance_of, metadata};
use super::ensure::Wish;
use super::error::{FleetError, Refused, refused};
use super::group;
use super::launch_record::client_token;
use super::place::{Place, Subnet, TYPES, check_type, subnets};
use crate::aws::AwsError;
use crate::aws::ec2::{self, instances};
use crate::converter_ami::current::{self, Found};
use crate::converter_ami::tags;
use crate::vault::{Names, Vault, tags as vault_tags};
use aws_sdk_ec2::types::{
    IamInstanceProfileSpecification, InstanceType, ResourceType, ShutdownBehavior,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

/// Most bytes of user data, before it is encoded.
pub(crate) const MAX_USER_DATA: usize = 16 << 10;
/// EC2 learns of a new instance profile within some seconds.
const PROFILE_TRIES: u32 = 8;
const PROFILE_PAUSE: Duration = Duration::from_secs(3);

/// What a launch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Launched {
    /// There is an instance, of this type, whose program is of this version.
    Up(String, Place, String),
    /// There was one, of an earlier call with the same token.
    Gone(String),
}

/// The converter's AMI, as the vault's record says, and the version of the program in it.
async fn ami_of(vault: &Vault) -> Result<(Ami, String), FleetError> {
    let found = match current::find(vault).await? {
        Found::None => {
            return Err(FleetError::NoAmi {
                vault: vault.names.vault.clone(),
                region: vault.names.region.clone(),
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
    let image = ec2::own_image(&vault.session, &found.ami).await?;
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
pub(super) async fn check(vault: &Vault, wish: &Wish) -> Result<(), FleetError> {
    // What was said comes first: it is the caller's to mend.
    if let Some(subnet) = &wish.subnet {
        subnets(&vault.session, Some(subnet)).await?;
    }
    if let Some(instance_type) = &wish.instance_type {
        check_type(&vault.session, instance_type).await?;
    }
    ami_of(vault).await?;
    if wish.subnet.is_none() {
        subnets(&vault.session, None).await?;
    }
    Ok(())
}

/// Launches an instance for the vault, as this generation.
pub(super) async fn launch(
    vault: &Vault,
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
    let (ami, program) = ami_of(vault).await?;
    let subnets = subnets(&vault.session, wish.subnet.as_deref()).await?;
    let Some(Subnet { vpc, .. }) = subnets.first() else {
        let region = vault.names.region.clone();
        return Err(FleetError::NoDefaultVpc { region });
    };
    // All of them are in one VPC.
    let group = group::converters(vault, vpc).await?;
    let asked = wish.instance_type.as_deref();
    let mut attempts = Attempts::new(&vault.names.region, &ami, &subnets, asked, TYPES);
    loop {
        let place = attempts.next_place()?;
        let call = Call {
            vault,
            ami: &ami,
            place: &place,
            group: &group,
            user_data,
            generation,
        };
        match call.run().await {
            Ok(id) => return call.is_still_there(id, program).await,
            Err(cause) => match attempts.refused(&place, cause) {
                Ok(()) => {}
                Err(NotLaunched::NoImage(cause)) => {
                    let (ami, cause) = (ami.id, Some(cause));
                    return Err(FleetError::AmiGone { ami, cause });
                }
                Err(NotLaunched::NoProfile(cause)) => {
                    let profile = vault.names.role();
                    return Err(FleetError::NoProfile { profile, cause });
                }
                Err(NotLaunched::Fleet(error)) => return Err(error),
            },
        }
    }
}

/// One call in one place.
struct Call<'a> {
    vault: &'a Vault,
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
        client_token(&self.vault.names, self.generation, &parameters)
    }

    async fn once(&self) -> Result<String, AwsError> {
        const OPERATION: &str = "ec2 RunInstances";
        let Names { vault, .. } = &self.vault.names;
        let name = format!("{vault} converter");
        let tags = [
            ("Name", name.as_str()),
            (vault_tags::VAULT, vault),
            (tags::CONVERTER, vault),
        ];
        let profile = IamInstanceProfileSpecification::builder().name(self.vault.names.role());
        let answer = self
            .vault
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
            .block_device_mappings(self.ami.encrypted_root())
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
        match instances::one(&self.vault.session, &id).await? {
            Some(instance) if !instance.is_up() => Ok(Launched::Gone(id)),
            // EC2 does not list a new one at once.
            _ => Ok(Launched::Up(id, self.place.clone(), program)),
        }
    }
}
