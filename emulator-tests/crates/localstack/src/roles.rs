//! Roles of instance profiles, as LocalStack's IAM and STS have them.

use super::Upstream;
use super::answers::parse;
use super::network::IAM;
use async_trait::async_trait;
use emulator_backend::{ProfileNow, Role, SessionKeys, Sts};
use emulator_protocol::{AwsError, Caller};
use serde::Deserialize;

const STS: (&str, &str) = ("sts", "2011-06-15");

#[async_trait]
impl Sts for Upstream {
    async fn profile(&self, caller: &Caller, name: &str) -> Result<Option<ProfileNow>, AwsError> {
        let params = [("InstanceProfileName", name)];
        let absent = ["NoSuchEntity", "ValidationError"];
        let found = self
            .find(caller, IAM, "GetInstanceProfile", &params, &absent)
            .await?;
        found.map(|body| profile(&body)).transpose()
    }

    async fn assume(
        &self,
        caller: &Caller,
        role: &Role,
        session: &str,
        seconds: i64,
    ) -> Result<SessionKeys, AwsError> {
        let seconds = seconds.to_string();
        let params = [
            ("RoleArn", &*role.arn),
            ("RoleSessionName", session),
            ("DurationSeconds", &seconds),
        ];
        keys(&self.perform(caller, STS, "AssumeRole", &params).await?)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProfileAnswer {
    get_instance_profile_result: ProfileResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProfileResult {
    instance_profile: ProfileItem,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProfileItem {
    instance_profile_id: String,
    #[serde(default)]
    roles: RoleList,
}

#[derive(Debug, Default, Deserialize)]
struct RoleList {
    #[serde(rename = "member", default)]
    members: Vec<RoleItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleItem {
    arn: String,
    role_name: String,
}

fn profile(xml: &str) -> Result<ProfileNow, AwsError> {
    let answer: ProfileAnswer = parse(xml)?;
    let it = answer.get_instance_profile_result.instance_profile;
    let first = it.roles.members.into_iter().next();
    Ok(ProfileNow {
        id: it.instance_profile_id,
        role: first.map(|it| Role {
            arn: it.arn,
            name: it.role_name,
        }),
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleAnswer {
    assume_role_result: AssumeRoleResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleResult {
    credentials: CredentialsItem,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsItem {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
}

fn keys(xml: &str) -> Result<SessionKeys, AwsError> {
    let answer: AssumeRoleAnswer = parse(xml)?;
    let it = answer.assume_role_result.credentials;
    Ok(SessionKeys {
        access_key_id: it.access_key_id,
        secret_access_key: it.secret_access_key,
        session_token: it.session_token,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let xml = |roles: &str| {
            format!(
                "<GetInstanceProfileResponse><GetInstanceProfileResult><InstanceProfile>\
                 <InstanceProfileId>AIPA1</InstanceProfileId><Arn>arn:p</Arn>{roles}<Tags/>\
                 </InstanceProfile></GetInstanceProfileResult></GetInstanceProfileResponse>"
            )
        };
        let one = "<Roles><member><Path>/</Path><RoleName>r</RoleName><Arn>arn:r</Arn>\
                   <CreateDate>2026-01-01T00:00:00Z</CreateDate></member></Roles>";
        let found = profile(&xml(one)).unwrap();
        assert_eq!(found.id, "AIPA1");
        let role = found.role.unwrap();
        assert_eq!((&*role.arn, &*role.name), ("arn:r", "r"));
        assert_eq!(profile(&xml("<Roles/>")).unwrap().role, None);
        let given = keys(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>LSIA</AccessKeyId>\
             <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
             <Expiration>2026-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>\
             </AssumeRoleResponse>",
        );
        assert_eq!(given.unwrap().access_key_id, "LSIA");
        assert!(keys("<html>").is_err());
    }
}
