//! Networks and what goes with them, as LocalStack has them, and calls by the query protocol.

use super::{Upstream, answers};
use async_trait::async_trait;
use emulator_backend::{
    IngressRule, InstanceType, Network, Profile, ResourceTag, SecurityGroup, Subnet,
};
use emulator_protocol::{AwsError, Caller};
use http::StatusCode;

/// Most pages of a listing that are read: LocalStack gives everything in one.
const MOST_PAGES: usize = 1000;

const EC2: (&str, &str) = ("ec2", "2016-11-15");
pub(super) const IAM: (&str, &str) = ("iam", "2010-05-08");

impl Upstream {
    /// One call by the query protocol.
    async fn query(
        &self,
        caller: &Caller,
        (service, version): (&str, &str),
        action: &str,
        params: &[(&str, &str)],
    ) -> Result<(StatusCode, String), AwsError> {
        let request = http::Request::post("/").header(
            http::header::CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=utf-8",
        );
        let (status, body) = self
            .ask(caller, service, request, form(action, version, params))
            .await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// The same, where nothing but success is expected, or one of these codes, which say that
    /// there is no such thing.
    pub(super) async fn find(
        &self,
        caller: &Caller,
        service: (&str, &str),
        action: &str,
        params: &[(&str, &str)],
        absent: &[&str],
    ) -> Result<Option<String>, AwsError> {
        let (status, body) = self.query(caller, service, action, params).await?;
        if status.is_success() {
            return Ok(Some(body));
        }
        let error = answers::error(status, &body);
        if absent.contains(&&*error.code) {
            return Ok(None);
        }
        Err(AwsError::unavailable(format!(
            "LocalStack refuses {action}: {error}"
        )))
    }

    /// The same, where a refusal is the service's own.
    pub(super) async fn perform(
        &self,
        caller: &Caller,
        service: (&str, &str),
        action: &str,
        params: &[(&str, &str)],
    ) -> Result<String, AwsError> {
        let (status, body) = self.query(caller, service, action, params).await?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(answers::error(status, &body))
        }
    }

    /// All of a kind, as EC2 describes it.
    async fn listing(
        &self,
        caller: &Caller,
        action: &str,
        params: &[(&str, &str)],
    ) -> Result<String, AwsError> {
        let found = self.find(caller, EC2, action, params, &[]).await?;
        Ok(found.unwrap_or_default())
    }
}

fn form(action: &str, version: &str, params: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", action)
        .append_pair("Version", version)
        .extend_pairs(params)
        .finish()
}

#[async_trait]
impl Network for Upstream {
    async fn subnets(&self, caller: &Caller) -> Result<Vec<Subnet>, AwsError> {
        answers::subnets(&self.listing(caller, "DescribeSubnets", &[]).await?)
    }

    async fn vpc_cidr(&self, caller: &Caller, vpc: &str) -> Result<Option<String>, AwsError> {
        answers::vpc_cidr(&self.listing(caller, "DescribeVpcs", &[]).await?, vpc)
    }

    async fn security_groups(&self, caller: &Caller) -> Result<Vec<SecurityGroup>, AwsError> {
        answers::security_groups(&self.listing(caller, "DescribeSecurityGroups", &[]).await?)
    }

    async fn ingress(
        &self,
        caller: &Caller,
        groups: &[String],
    ) -> Result<Vec<IngressRule>, AwsError> {
        let body = self.listing(caller, "DescribeSecurityGroups", &[]).await?;
        answers::ingress(&body, groups)
    }

    async fn key_pairs(&self, caller: &Caller) -> Result<Vec<String>, AwsError> {
        answers::key_pairs(&self.listing(caller, "DescribeKeyPairs", &[]).await?)
    }

    async fn instance_type(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Option<InstanceType>, AwsError> {
        let params = [("InstanceType.1", name)];
        let absent = ["InvalidInstanceType", "InvalidParameterValue"];
        let action = "DescribeInstanceTypes";
        match self.find(caller, EC2, action, &params, &absent).await? {
            Some(body) => answers::instance_type(&body, name),
            None => Ok(None),
        }
    }

    async fn profile(&self, caller: &Caller, name: &str) -> Result<Option<Profile>, AwsError> {
        let params = [("InstanceProfileName", name)];
        let absent = ["NoSuchEntity", "ValidationError"];
        let action = "GetInstanceProfile";
        let found = self.find(caller, IAM, action, &params, &absent).await?;
        found.map(|body| answers::profile(&body)).transpose()
    }

    async fn tags(&self, caller: &Caller) -> Result<Vec<ResourceTag>, AwsError> {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let params: Vec<(&str, &str)> = token
                .as_deref()
                .map(|token| ("NextToken", token))
                .into_iter()
                .collect();
            let body = self.listing(caller, "DescribeTags", &params).await?;
            let (tags, next) = answers::tags(&body)?;
            all.extend(tags);
            token = next;
            if token.is_none() {
                break;
            }
        }
        Ok(all)
    }

    async fn call(
        &self,
        caller: &Caller,
        action: &str,
        params: Vec<(String, String)>,
    ) -> Result<(), AwsError> {
        let params: Vec<(&str, &str)> = params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.perform(caller, EC2, action, &params).await.map(drop)
    }
}
