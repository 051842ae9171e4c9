//! What unit tests of the services start from: an empty world in a temporary directory, a clock
//! that only moves when told, and keys that are said to exist.
#![allow(clippy::unwrap_used)]

use crate::aws::{Account, AwsError, Caller, Params, Region};
use crate::backend::{
    IngressRule, InstanceType, Network, Profile, ResourceTag, SecurityGroup, Subnet,
};
use crate::backend::{Key, KeyState, Keys};
use crate::backend::{ProfileNow, Role, SessionKeys, Sts};
use crate::clock::Clock;
use crate::ebs;
use crate::ids::Ids;
use crate::layers::Blank;
use crate::layers::Layers;
use crate::machines::Records;
use crate::services::Services;
use crate::world::{
    Instance, InstanceProfile, InstanceState, Interface, MetadataOptions, Store, Volume,
};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime, macros::datetime};

/// Runs another project's tool. One that is not installed is reported as skipped, and fails in CI.
pub fn oracle(command: &mut std::process::Command) -> Option<std::process::Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound && std::env::var_os("CI").is_none() =>
        {
            eprintln!("skipped: {:?} is not installed", command.get_program());
            None
        }
        Err(error) => panic!("{:?}: {error}", command.get_program()),
    }
}

/// Stands still until it is moved.
pub struct TestClock(Mutex<OffsetDateTime>);

impl TestClock {
    /// Moves on.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

/// Knows `KEY` (enabled), `DISABLED`, and AWS's own `alias/aws/ebs`.
pub struct TestKeys;

pub const KEY: &str = "11111111-2222-3333-4444-555555555555";
pub const DISABLED: &str = "99999999-2222-3333-4444-555555555555";

#[async_trait]
impl Keys for TestKeys {
    async fn find(&self, caller: &Caller, id: &str) -> Result<Option<Key>, AwsError> {
        let name = id.rsplit_once(":key/").map_or(id, |(_, name)| name);
        let state = match name {
            KEY | "alias/aws/ebs" | "ebs" => KeyState::Enabled,
            DISABLED => KeyState::Disabled,
            _ => return Ok(None),
        };
        let name = if name == "alias/aws/ebs" { "ebs" } else { name };
        Ok(Some(Key {
            arn: format!(
                "arn:aws:kms:{}:{}:key/{name}",
                caller.region, caller.account
            ),
            state,
            encrypts: true,
        }))
    }
}

/// An action and its parameters.
pub type PassedOn = (String, Vec<(String, String)>);

/// A default VPC with two subnets, another VPC with one of 16 addresses; accounts that end in 9 have
/// no default VPC. Key pair `key`; types t2.micro, t3.micro, m1.small, t4g.micro; profiles `role`
/// and, without one, `bare`. Remembers what was passed on.
#[derive(Default)]
pub struct TestNetwork {
    /// Who asks for subnets waits as long as this is held.
    pub paused: tokio::sync::RwLock<()>,
    /// Who asks for subnets panics.
    pub panics: std::sync::atomic::AtomicBool,
    pub calls: Mutex<Vec<PassedOn>>,
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

/// What [`TestSts`] does when a role is to be taken on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum StsDoes {
    /// Gives keys with a number: `web-role-0`, `web-role-1`.
    #[default]
    Gives,
    /// Says that the role's trust policy does not allow it.
    Refuses,
    /// Fails.
    Fails,
    /// Never answers.
    Hangs,
}

/// Knows the profiles `web` and `db`, with roles, and `bare`, without one; their ids are `AIPA1`.
pub struct TestSts {
    pub does: Mutex<StsDoes>,
    pub profiles: Mutex<BTreeMap<String, ProfileNow>>,
    pub given: AtomicU64,
}

impl TestSts {
    pub fn does(&self, what: StsDoes) {
        *self.does.lock().unwrap() = what;
    }

    /// Another role for a profile, or none.
    pub fn change(&self, profile: &str, role: Option<&str>) {
        let mut profiles = self.profiles.lock().unwrap();
        profiles.get_mut(profile).unwrap().role = role.map(test_role);
    }
}

fn test_role(name: &str) -> Role {
    Role {
        arn: format!("arn:aws:iam::111111111111:role/{name}"),
        name: name.to_owned(),
    }
}

impl Default for TestSts {
    fn default() -> Self {
        let profile = |name: &str, role: Option<&str>| {
            let now = ProfileNow {
                id: "AIPA1".to_owned(),
                role: role.map(test_role),
            };
            (name.to_owned(), now)
        };
        Self {
            does: Mutex::default(),
            profiles: Mutex::new(BTreeMap::from([
                profile("web", Some("web-role")),
                profile("db", Some("db-role")),
                profile("bare", None),
            ])),
            given: AtomicU64::default(),
        }
    }
}

#[async_trait]
impl Sts for TestSts {
    async fn profile(&self, caller: &Caller, name: &str) -> Result<Option<ProfileNow>, AwsError> {
        assert_eq!(caller.account.as_str(), "111111111111");
        Ok(self.profiles.lock().unwrap().get(name).cloned())
    }

    async fn assume(
        &self,
        caller: &Caller,
        role: &Role,
        session: &str,
        seconds: i64,
    ) -> Result<SessionKeys, AwsError> {
        assert_eq!(caller.account.as_str(), "111111111111");
        assert!(session.starts_with("i-"), "{session}");
        assert_eq!(seconds, 3600);
        let does = *self.does.lock().unwrap();
        match does {
            StsDoes::Gives => {}
            StsDoes::Refuses => {
                let message = "not authorized to perform: sts:AssumeRole";
                return Err(AwsError::new("AccessDenied", message).with_status(403));
            }
            StsDoes::Fails => return Err(AwsError::unavailable("LocalStack: 500")),
            StsDoes::Hangs => std::future::pending().await,
        }
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        Ok(SessionKeys {
            access_key_id: format!("{}-{number}", role.name),
            secret_access_key: "secret".to_owned(),
            session_token: "token".to_owned(),
        })
    }
}

/// A profile for an instance, of those that [`TestSts`] knows or not.
pub fn profile(name: &str) -> InstanceProfile {
    InstanceProfile {
        arn: format!("arn:aws:iam::111111111111:instance-profile/path/{name}"),
        id: "AIPA1".to_owned(),
    }
}

/// Services on an empty world.
pub struct World {
    pub services: Services,
    pub clock: Arc<TestClock>,
    pub network: Arc<TestNetwork>,
    pub dir: TempDir,
}

pub fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock(Mutex::new(datetime!(2026-01-01 00:00 UTC))));
    let ids = Ids::new(1);
    let network = Arc::new(TestNetwork::default());
    World {
        services: Services {
            store: Arc::new(Store::open(dir.path()).unwrap()),
            layers: Layers::open(dir.path().join("layers")).unwrap(),
            ebs: ebs::State::open(dir.path(), &ids, clock.now()).unwrap(),
            clock: clock.clone(),
            ids,
            keys: Arc::new(TestKeys),
            network: network.clone(),
            machines: Arc::new(Records),
            settle: Duration::seconds(1),
        },
        clock,
        network,
        dir,
    }
}

/// A caller of account `111111111111` in `us-east-1`.
pub fn caller() -> Caller {
    caller_of("111111111111", "us-east-1")
}

pub fn caller_of(account: &str, region: &str) -> Caller {
    Caller {
        account: Account::parse(account).unwrap(),
        region: Region::parse(region).unwrap(),
        access_key: account.to_owned(),
        secure: true,
    }
}

impl World {
    /// Calls an EC2 action with a form, and gives the XML inside the response element.
    pub async fn ec2(&self, caller: &Caller, form: &str) -> Result<String, AwsError> {
        let params = Params::parse(form.as_bytes())?;
        crate::ec2::handle(&self.services, caller, &params)
            .await
            .unwrap_or_else(|| panic!("{form} is not our own action"))
            .map(|xml| xml.as_str().to_owned())
    }
}

/// An instance that runs, in the caller's region, without volumes.
pub fn instance(caller: &Caller, id: &str, now: OffsetDateTime) -> Instance {
    let some = str::to_owned;
    Instance {
        id: some(id),
        owner: caller.account.clone(),
        region: caller.region.clone(),
        image: some("ami-01111111111111111"),
        launched: now,
        state: InstanceState::Running { at: now },
        reservation: some("r-01111111111111111"),
        launch_index: 0,
        client_token: None,
        instance_type: some("t3.micro"),
        nitro: true,
        cpus: 2,
        memory_mib: 1024,
        booted: false,
        architecture: some("x86_64"),
        virtualization: some("hvm"),
        boot_mode: None,
        current_boot_mode: some("legacy-bios"),
        ena: true,
        sriov: None,
        tpm: None,
        kernel: None,
        ramdisk: None,
        root_device: some("/dev/xvda"),
        key_name: None,
        user_data: None,
        profile: None,
        metadata: MetadataOptions {
            http_tokens: some("optional"),
            hop_limit: 1,
            http_endpoint: some("enabled"),
            ipv6: some("disabled"),
            tags: some("disabled"),
        },
        shutdown_behavior: some("stop"),
        termination_protection: false,
        stop_protection: false,
        monitoring: false,
        ebs_optimized: false,
        cpu_credits: None,
        interface: Interface {
            id: some("eni-01111111111111111"),
            attachment: some("eni-attach-01111111111111111"),
            mac: some("0a:00:00:00:00:01"),
            subnet: some("subnet-01111111111111111"),
            vpc: some("vpc-01111111111111111"),
            zone: format!("{}a", caller.region),
            zone_id: None,
            private_ip: std::net::Ipv4Addr::new(172, 31, 0, 4),
            public: false,
            public_ip: None,
            groups: Vec::new(),
            description: String::new(),
            delete_on_termination: true,
            source_dest_check: true,
            tags: Default::default(),
        },
        tags: Default::default(),
    }
}

/// A volume of a GiB without blocks, in the caller's region.
pub fn volume(caller: &Caller, id: &str, now: OffsetDateTime) -> Volume {
    Volume {
        id: id.to_owned(),
        owner: caller.account.clone(),
        region: caller.region.clone(),
        zone: format!("{}a", caller.region),
        size: 1,
        kind: "gp3".to_owned(),
        iops: Some(3_000),
        throughput: Some(125),
        encrypted: false,
        kms_key: None,
        snapshot: None,
        layers: Vec::new(),
        live: None,
        blank: Blank::Zero,
        full_size: 0,
        created: now,
        available: now,
        attachment: None,
        modification: None,
        auto_enable_io: false,
        tags: Default::default(),
        client_token: None,
    }
}
