//! The AWS habits of every command: who, where, and which vault.

use super::Failure;
use clap::Args;
use cli_support::say;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use uploader::Class;
use uploader::aws::{Options, Session};
use uploader::vault::{DEFAULT_NAME, Vault};

/// Flags of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "AWS")]
pub(crate) struct AwsArgs {
    /// Profile of ~/.aws/config; its credentials count, whatever keys are in the environment
    /// [default: AWS_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// Region; may be given several times [default: AWS_REGION, or the profile's]
    #[arg(long, global = true, value_name = "REGION")]
    region: Vec<String>,
    /// Where all services answer, instead of AWS [default: AWS_ENDPOINT_URL]
    #[arg(long, global = true, value_name = "URL")]
    endpoint_url: Option<String>,
    /// PEM certificates to trust instead of the system's
    #[arg(long, global = true, value_name = "FILE", env = "AWS_CA_BUNDLE")]
    ca_bundle: Option<PathBuf>,
    /// The vault's name
    #[arg(long, global = true, value_name = "NAME", default_value = DEFAULT_NAME)]
    vault: String,
}

/// One region that a command is about: the vault there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) vault: Vault,
    /// Whether the command is about others as well.
    is_one_of_several: bool,
}

/// Most of a file of certificates that is read, to be passed on.
const MAX_CA: u64 = 1 << 20;

impl AwsArgs {
    /// The certificates that an instance needs, too, to believe what answers for AWS here: those of
    /// `--ca-bundle`, where something else than AWS does.
    pub(crate) fn private_ca(&self) -> Result<Option<String>, Failure> {
        let is_elsewhere =
            self.endpoint_url.is_some() || std::env::var_os("AWS_ENDPOINT_URL").is_some();
        let bundle = self
            .ca_bundle
            .as_ref()
            .filter(|it| !it.as_os_str().is_empty());
        let (Some(path), true) = (bundle, is_elsewhere) else {
            return Ok(None);
        };
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(MAX_CA).read_to_string(&mut text))
            .map_err(|error| {
                Failure::new(Class::Surroundings, format!("{}: {error}", path.display()))
            })?;
        Ok(Some(text))
    }

    /// The profile that somebody calls by, if so. Keys in the environment come before `AWS_PROFILE`.
    pub(crate) fn profile(&self) -> Option<String> {
        let set = |name| std::env::var(name).ok().filter(|it| !it.is_empty());
        let by_keys = set("AWS_ACCESS_KEY_ID").is_some();
        let profile = || set("AWS_PROFILE").filter(|_| !by_keys);
        self.profile.clone().or_else(profile)
    }

    /// Connects to each region that was asked for, in that order.
    pub(crate) async fn places(&self) -> Result<Vec<Place>, Failure> {
        let mut regions: Vec<Option<String>> = Vec::new();
        for region in &self.region {
            if !regions.contains(&Some(region.clone())) {
                regions.push(Some(region.clone()));
            }
        }
        if regions.is_empty() {
            regions.push(None);
        }
        let mut places = Vec::new();
        let is_one_of_several = regions.len() > 1;
        for region in regions {
            let session = Session::connect(&Options {
                profile: self.profile.clone(),
                region,
                endpoint_url: self.endpoint_url.clone(),
                ca_bundle: self
                    .ca_bundle
                    .clone()
                    .filter(|it| !it.as_os_str().is_empty()),
                ca: None,
            })
            .await?;
            places.push(Place {
                vault: Vault::new(session, &self.vault)?,
                is_one_of_several,
            });
        }
        Ok(places)
    }

    /// Connects to the one region of a command that knows only one.
    pub(crate) async fn place(&self) -> Result<Place, Failure> {
        if self.region.len() > 1 {
            return Err(Failure::new(
                Class::Input,
                "this command takes one --region",
            ));
        }
        let mut places = self.places().await?;
        places
            .pop()
            .ok_or_else(|| Failure::new(Class::Input, "no region"))
    }
}

impl Place {
    /// The only one that a command is about.
    pub(crate) fn new(vault: Vault) -> Place {
        Place {
            vault,
            is_one_of_several: false,
        }
    }

    /// Whether the command is about other regions as well.
    pub(crate) fn is_one_of_several(&self) -> bool {
        self.is_one_of_several
    }

    /// Says who is about to change what: before the first change, on standard error.
    pub(crate) fn say_who(&self) {
        let Session {
            caller_arn, region, ..
        } = &self.vault.session;
        self.say(&format!("as {caller_arn} in {region}"));
    }

    /// Says what happens here, on standard error.
    pub(crate) fn say(&self, what: &str) {
        say!("uploader: {}", self.label(what));
    }

    /// What happens here: with the region before it, where there are several.
    pub(crate) fn label(&self, what: &str) -> String {
        match self.is_one_of_several {
            true => format!("{}: {what}", self.vault.session.region),
            false => what.to_owned(),
        }
    }
}
