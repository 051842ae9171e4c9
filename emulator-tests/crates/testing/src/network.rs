//! Networks and what goes with them.

use async_trait::async_trait;
use emulator_backend::{
    IngressRule, InstanceType, Network, Profile, ResourceTag, SecurityGroup, Subnet,
};
use emulator_protocol::{AwsError, Caller};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::RwLock;

/// An action and its parameters.
pub type PassedOn = (String, Vec<(String, String)>);

/// A default VPC with two subnets, another VPC with one of 16 addresses; accounts that end in 9 have
/// no default VPC. Key pair `key`; types t2.micro, t3.micro, m1.small, t4g.micro; profiles `role`
/// and, without one, `bare`. Remembers what was passed on.
#[derive(Default)]
pub struct TestNetwork {
    /// Who asks for subnets waits as long as this is held.
    pub paused: RwLock<()>,
    /// Who asks for subnets panics.
    pub panics: AtomicBool,
    /// What was passed on.
    pub calls: Mutex<Vec<PassedOn>>,
    /// Tags that it has.
    pub foreign_tags: Mutex<Vec<ResourceTag>>,
}

fn subnet(id: &str, vpc: &str, zone: &str, cidr: &str) -> Subnet {
    let default = vpc == "vpc-default";
    Subnet {
        id: id.to_owned(),
        vpc: vpc.to_owned(),
        zone: format!("us-east-1{zone}"),
        zone_id: None,
        cidr: cidr.to_owned(),
        default_for_zone: default,
        public_ips: default,
    }
}

fn strings(words: &str) -> Vec<String> {
    words.split_whitespace().map(String::from).collect()
}

#[async_trait]
impl Network for TestNetwork {
    async fn subnets(&self, caller: &Caller) -> Result<Vec<Subnet>, AwsError> {
        let _goes_on = self.paused.read().await;
        assert!(!self.panics.load(Ordering::Relaxed));
        let mut all = vec![subnet("subnet-small", "vpc-other", "a", "10.0.0.0/28")];
        if !caller.account.as_str().ends_with('9') {
            all.push(subnet("subnet-a", "vpc-default", "a", "172.31.0.0/20"));
            all.push(subnet("subnet-b", "vpc-default", "b", "172.31.16.0/20"));
        }
        Ok(all)
    }

    async fn vpc_cidr(&self, _caller: &Caller, vpc: &str) -> Result<Option<String>, AwsError> {
        Ok((vpc == "vpc-default").then(|| "172.31.0.0/16".to_owned()))
    }

    async fn security_groups(&self, _caller: &Caller) -> Result<Vec<SecurityGroup>, AwsError> {
        let group = |id: &str, name: &str, vpc: &str| SecurityGroup {
            id: id.to_owned(),
            name: name.to_owned(),
            vpc: vpc.to_owned(),
        };
        Ok(vec![
            group("sg-00000001", "default", "vpc-default"),
            group("sg-00000002", "web", "vpc-default"),
            group("sg-00000003", "default", "vpc-other"),
        ])
    }

    async fn ingress(
        &self,
        _caller: &Caller,
        _groups: &[String],
    ) -> Result<Vec<IngressRule>, AwsError> {
        Ok(Vec::new())
    }

    async fn key_pairs(&self, _caller: &Caller) -> Result<Vec<String>, AwsError> {
        Ok(strings("key"))
    }

    async fn instance_type(
        &self,
        _caller: &Caller,
        name: &str,
    ) -> Result<Option<InstanceType>, AwsError> {
        let (nitro, architectures, modes, kinds) = match name {
            "t2.micro" => (false, "i386 x86_64", "legacy-bios", "hvm"),
            "m1.small" => (false, "i386 x86_64", "legacy-bios", "hvm paravirtual"),
            "t3.micro" => (true, "x86_64", "legacy-bios uefi", "hvm"),
            "t4g.micro" => (true, "arm64", "uefi", "hvm"),
            _ => return Ok(None),
        };
        Ok(Some(InstanceType {
            name: name.to_owned(),
            nitro,
            architectures: strings(architectures),
            boot_modes: strings(modes),
            virtualizations: strings(kinds),
            ena_required: nitro,
            cpus: if nitro { 2 } else { 1 },
            memory_mib: 1024,
        }))
    }

    async fn profile(&self, caller: &Caller, name: &str) -> Result<Option<Profile>, AwsError> {
        Ok(["role", "bare"].contains(&name).then(|| Profile {
            name: name.to_owned(),
            arn: format!("arn:aws:iam::{}:instance-profile/{name}", caller.account),
            id: "AIPA1".to_owned(),
            has_role: name == "role",
        }))
    }

    async fn tags(&self, _caller: &Caller) -> Result<Vec<ResourceTag>, AwsError> {
        Ok(self.foreign_tags.lock().unwrap().clone())
    }

    async fn call(
        &self,
        _caller: &Caller,
        action: &str,
        params: Vec<(String, String)>,
    ) -> Result<(), AwsError> {
        if params.iter().any(|(_, value)| value == "vpc-missing") {
            return Err(AwsError::new("InvalidVpcID.NotFound", "vpc-missing"));
        }
        let mut calls = self.calls.lock().unwrap();
        calls.push((action.to_owned(), params));
        Ok(())
    }
}
