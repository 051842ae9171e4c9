//! What became of an image, region by region: one table.

use super::Failure;
use super::follow::Followed;
use serde_json::{Value, json};
use std::io::Write;
use time::OffsetDateTime;
use uploader::regions::{Choice, Via};
use uploader::request::{ImageRef, Request};
use uuid::Uuid;

/// The regions, in the order in which they were asked for.
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    /// Whether nothing was to be changed.
    pub(crate) is_dry: bool,
    /// How to go on where a region failed.
    pub(crate) again: &'static str,
}

/// What became of an image in one region.
pub(crate) struct Row {
    region: String,
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
    pub(crate) failure: Option<Failure>,
}

impl Table {
    /// Prints it. Ctrl-C is its failure, or else the first region's that failed.
    pub(crate) fn print(self, as_json: bool, out: &mut impl Write) -> Result<(), Failure> {
        let is_one = self.rows.len() == 1;
        if as_json {
            let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
            writeln!(out, "{}", json!({"regions": rows})).map_err(Failure::stdout)?;
        } else {
            for row in &self.rows {
                if let Some(line) = row.text(is_one, self.is_dry) {
                    writeln!(out, "{line}").map_err(Failure::stdout)?;
                }
            }
        }
        let of = self.rows.len();
        let failed = self.rows.into_iter();
        let (regions, mut failures): (Vec<String>, Vec<Failure>) = failed
            .filter_map(|row| Some((row.region, row.failure?)))
            .unzip();
        if !is_one && !failures.is_empty() {
            let (failed, regions) = (failures.len(), regions.join(", "));
            say!(
                "uploader: {failed} of {of} regions failed ({regions}); {}",
                self.again
            );
        }
        // A stable sort: false comes first.
        failures.sort_by_key(|it| !it.is_interrupt());
        failures.into_iter().next().map_or(Ok(()), Err)
    }
}

impl Row {
    pub(crate) fn new(region: &str) -> Row {
        Row {
            region: region.to_owned(),
            image: None,
            ami_name: None,
            request: None,
            expires: None,
            followed: None,
            is_there: false,
            choice: None,
            failure: None,
        }
    }

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
            "region": self.region,
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
            "error": self.failure.as_ref().map(Failure::message),
        })
    }

    fn text(&self, is_one: bool, is_dry: bool) -> Option<String> {
        let region = &self.region;
        let name = self.ami_name.as_deref().unwrap_or_default();
        if let Some(failure) = &self.failure {
            return (!is_one).then(|| format!("failed {region} {}", failure.message()));
        }
        let line = match &self.followed {
            Some(Followed { ami, .. }) if is_one => ami.clone(),
            Some(Followed { ami, .. }) => format!("{ami} {region} {name}"),
            None if is_dry => match &self.choice {
                Some(Choice { via: Via::Copy, .. }) => format!("would copy the AMI to {region}"),
                _ => format!("would request {name} in {region}"),
            },
            None => {
                let id = self.request.map(|it| it.to_string());
                format!("{} {region} {name}", id.unwrap_or_default())
            }
        };
        let line = line.trim_end();
        Some(match &self.choice {
            _ if is_one => line.to_owned(),
            _ if self.is_there => format!("{line} (there already)"),
            Some(Choice { via, why }) => format!("{line} ({via}: {why})"),
            None => line.to_owned(),
        })
    }
}
