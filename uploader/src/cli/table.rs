//! What became of an image, region by region: one table.

use super::Failure;
use super::follow::Followed;
use super::regions::{InRegion, Regions};
use serde_json::{Value, json};
use std::io::Write;
use time::OffsetDateTime;
use uploader::regions::{Choice, Via};
use uploader::request::{ImageRef, Request};
use uuid::Uuid;

/// The table.
pub(crate) struct Table {
    pub(crate) regions: Regions<Row>,
    /// Whether nothing was to be changed.
    pub(crate) is_dry: bool,
    /// How to go on where a region failed.
    pub(crate) again: &'static str,
}

/// What became of an image in one region.
#[derive(Default)]
pub(crate) struct Row {
    /// What it is; none where nothing got that far.
    pub(crate) image: Option<ImageRef>,
    pub(crate) ami_name: Option<String>,
    /// The request that it was made for; none if the AMI is a copy.
    pub(crate) request: Option<Uuid>,
    expires: Option<OffsetDateTime>,
    pub(crate) followed: Option<Followed>,
    /// Whether the AMI was there before.
    pub(crate) is_there: bool,
    /// How the AMI got there, and why so, where there was a choice.
    pub(crate) choice: Option<Choice>,
}

impl Table {
    /// Prints it. Fails as its regions did.
    pub(crate) fn print(self, as_json: bool, out: &mut impl Write) -> Result<(), Failure> {
        let regions = self.regions;
        if as_json {
            let rows = regions.json(Row::json);
            writeln!(out, "{}", json!({"regions": rows})).map_err(Failure::stdout)?;
        } else {
            let is_one = regions.is_one();
            regions.print(out, |it| Some(text(it, is_one, self.is_dry)))?;
        }
        regions.end(self.again)
    }
}

impl Row {
    /// The AMI is asked for.
    pub(crate) fn asks(&mut self, request: &Request) {
        self.image = Some(request.image.clone());
        self.ami_name = Some(request.ami_name());
        self.request = Some(request.id);
        self.expires = Some(request.expires);
    }

    fn json(&self) -> Value {
        let (image, followed) = (self.image.as_ref(), self.followed.as_ref());
        json!({
            "request": self.request,
            "name": image.map(|it| &it.name),
            "digest": image.map(|it| it.digest),
            "ami_name": self.ami_name,
            "ami": followed.map(|it| &it.ami),
            "snapshot": followed.map(|it| &it.snapshot),
            "already_there": self.is_there,
            "expires": self.expires.map(OffsetDateTime::unix_timestamp),
            "via": self.choice.as_ref().map(|it| it.via),
            "reason": self.choice.as_ref().map(|it| &it.why),
        })
    }
}

/// The line of a region where it did not fail.
fn text(InRegion { region, what, .. }: &InRegion<Row>, is_one: bool, is_dry: bool) -> String {
    let name = what.ami_name.as_deref().unwrap_or_default();
    let line = match &what.followed {
        Some(Followed { ami, .. }) if is_one => ami.clone(),
        Some(Followed { ami, .. }) => format!("{ami} {region} {name}"),
        None if is_dry => match &what.choice {
            Some(Choice { via: Via::Copy, .. }) => format!("would copy the AMI to {region}"),
            _ => format!("would request {name} in {region}"),
        },
        None => {
            let id = what.request.map(|it| it.to_string());
            format!("{} {region} {name}", id.unwrap_or_default())
        }
    };
    let line = line.trim_end();
    match &what.choice {
        _ if is_one => line.to_owned(),
        _ if what.is_there => format!("{line} (there already)"),
        Some(Choice { via, why }) => format!("{line} ({via}: {why})"),
        None => line.to_owned(),
    }
}
