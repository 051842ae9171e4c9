use super::*;
use crate::imds::Roles;
use async_trait::async_trait;
use emulator_protocol::AwsError;
use emulator_testing::{self as testing, StsDoes, TestClock, TestSts};
use http_body_util::BodyExt;
use std::sync::Mutex;
use time::Duration;
use time::macros::datetime;

/// What a test says.
struct Told {
    facts: Mutex<Option<Facts>>,
    roles: Roles,
}

#[async_trait]
impl Metadata for Told {
    fn facts(&self) -> Option<Facts> {
        self.facts.lock().unwrap().clone()
    }

    async fn role(&self) -> Result<RoleStatus, AwsError> {
        let instance = self.facts.lock().unwrap().clone().unwrap().instance;
        self.roles.status(&instance).await
    }
}

struct Bench {
    imds: Imds,
    told: Arc<Told>,
    clock: Arc<TestClock>,
    sts: Arc<TestSts>,
}

fn bench() -> Bench {
    let clock = testing::state().clock;
    let launched = datetime!(2026-01-02 03:04:05.6 UTC);
    let mut instance = testing::instance(&testing::caller(), "i-0aaaaaaaaaaaaaaaa", launched);
    instance.interface.groups = vec![
        ("sg-1".to_owned(), "web".to_owned()),
        ("sg-2".to_owned(), "db".to_owned()),
    ];
    instance.interface.public_ip = Some("203.0.113.9".parse().unwrap());
    let sts = Arc::new(TestSts::default());
    let told = Arc::new(Told {
        facts: Mutex::new(Some(Facts {
            instance,
            devices: vec!["/dev/xvda".to_owned(), "/dev/sdf".to_owned()],
            subnet_cidr: "172.31.0.0/20".to_owned(),
            vpc_cidr: Some("172.31.0.0/16".to_owned()),
        })),
        roles: Roles::new(sts.clone(), clock.clone()),
    });
    Bench {
        imds: Imds::new(told.clone(), clock.clone(), 1),
        told,
        clock,
        sts,
    }
}

impl Bench {
    fn change(&self, change: impl FnOnce(&mut Facts)) {
        change(self.told.facts.lock().unwrap().as_mut().unwrap());
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let (parts, body) = self.imds.answer(&parts).await.answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status.as_u16(),
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, &[]).await
    }

    async fn token(&self, seconds: &str) -> (u16, String) {
        self.ask("PUT", "/latest/api/token", &[(LIFETIME, seconds)])
            .await
    }
}

#[tokio::test]
async fn tokens_are_asked_for_in_the_right_way() {
    let bench = bench();
    for (seconds, status) in [
        ("1", 200),
        ("21600", 200),
        ("0", 400),
        ("21601", 400),
        ("-1", 400),
        ("", 400),
        ("1h", 400),
    ] {
        assert_eq!(bench.token(seconds).await.0, status, "{seconds}");
    }
    let forwarded = [(LIFETIME, "60"), ("X-Forwarded-For", "10.0.0.1")];
    let path = "/latest/api/token";
    for (method, path, headers, status) in [
        ("PUT", path, &forwarded[..], 403),
        ("PUT", path, &[], 400),
        ("GET", path, &[], 405),
        ("PUT", "/latest/meta-data/", &forwarded[..1], 405),
        ("POST", "/latest/meta-data/", &[], 405),
        ("DELETE", path, &[], 405),
    ] {
        let (got, _) = bench.ask(method, path, headers).await;
        assert_eq!(got, status, "{method} {path}");
    }
}

#[tokio::test]
async fn options_decide_who_is_told() {
    let bench = bench();
    let id = "/latest/meta-data/instance-id";
    let (_, token) = bench.token("60").await;
    let with = async |token: &str| bench.ask("GET", id, &[(TOKEN, token)]).await.0;
    // Where it need not have a token, one that is wrong is refused all the same.
    assert_eq!(bench.get(id).await, (200, "i-0aaaaaaaaaaaaaaaa".to_owned()));
    assert_eq!(with(&token).await, 200);
    assert_eq!(with("wrong").await, 401);
    bench.change(|facts| facts.instance.metadata.http_tokens = "required".to_owned());
    assert_eq!(bench.get(id).await.0, 401);
    assert_eq!(with(&token).await, 200);
    bench.clock.advance(Duration::seconds(60));
    assert_eq!(with(&token).await, 401);

    bench.change(|facts| facts.instance.metadata.http_endpoint = "disabled".to_owned());
    assert_eq!(bench.token("60").await.0, 403);
    assert_eq!(bench.get(id).await.0, 403);
    *bench.told.facts.lock().unwrap() = None;
    assert_eq!(bench.get(id).await.0, 404);
}

#[tokio::test]
async fn the_tree_is_that_of_the_real_service() {
    let bench = bench();
    bench.change(|facts| {
        facts.instance.interface.zone_id = Some("use1-az1".to_owned());
        facts.instance.user_data = Some("aGVsbG8K".to_owned());
        facts.instance.metadata.tags = "enabled".to_owned();
        facts.instance.tags.insert("Name".into(), "web 1".into());
        facts.instance.tags.insert("a key".into(), String::new());
    });
    let mac = "/latest/meta-data/network/interfaces/macs/0a:00:00:00:00:01";
    for (path, expected) in [
        ("/latest", "dynamic\nmeta-data\nuser-data"),
        ("/latest/", "dynamic\nmeta-data\nuser-data"),
        ("/2021-03-23/meta-data/ami-id", "ami-01111111111111111"),
        ("/latest/user-data", "hello\n"),
        ("/latest/meta-data/ami-launch-index", "0"),
        ("/latest/meta-data/block-device-mapping/", "ami\nebs1\nroot"),
        ("/latest/meta-data/block-device-mapping/ami", "xvda"),
        ("/latest/meta-data/block-device-mapping/ebs1", "sdf"),
        ("/latest/meta-data/block-device-mapping/root", "/dev/xvda"),
        ("/latest/meta-data/hostname", "ip-172-31-0-4.ec2.internal"),
        ("/latest/meta-data/instance-type", "t3.micro"),
        ("/latest/meta-data/local-ipv4", "172.31.0.4"),
        ("/latest/meta-data/mac", "0a:00:00:00:00:01"),
        (
            "/latest/meta-data/placement/",
            "availability-zone\navailability-zone-id\nregion",
        ),
        ("/latest/meta-data/placement/region", "us-east-1"),
        (
            "/latest/meta-data/public-hostname",
            "ec2-203-0-113-9.compute-1.amazonaws.com",
        ),
        ("/latest/meta-data/reservation-id", "r-01111111111111111"),
        ("/latest/meta-data/security-groups", "web\ndb"),
        ("/latest/meta-data/services/domain", "amazonaws.com"),
        ("/latest/meta-data/services/partition", "aws"),
        ("/latest/meta-data/tags/instance", "Name\na key"),
        ("/latest/meta-data/tags/instance/Name", "web 1"),
        ("/latest/meta-data/tags/instance/a%20key", ""),
        (
            "/latest/meta-data/network/interfaces/macs/",
            "0a:00:00:00:00:01/",
        ),
        (&format!("{mac}/security-group-ids"), "sg-1\nsg-2"),
        (&format!("{mac}/subnet-ipv4-cidr-block"), "172.31.0.0/20"),
        (&format!("{mac}/vpc-ipv4-cidr-block"), "172.31.0.0/16"),
        (
            &format!("{mac}/ipv4-associations/203.0.113.9"),
            "172.31.0.4",
        ),
    ] {
        assert_eq!(bench.get(path).await, (200, expected.to_owned()), "{path}");
    }
    let (_, listing) = bench.get("/latest/meta-data/").await;
    for name in [
        "instance-id",
        "network/",
        "placement/",
        "services/",
        "tags/",
    ] {
        assert!(listing.lines().any(|line| line == name), "{name}");
    }
    assert!(!listing.contains("iam"), "{listing}");
    assert!(bench.get("/").await.1.ends_with("\nlatest"));
    bench.change(|facts| {
        facts.instance.metadata.tags = "disabled".to_owned();
        facts.instance.user_data = None;
    });
    for path in [
        "/latest/meta-data/tags/instance",
        "/latest/meta-data/spot/instance-action",
        "/latest/meta-data/instance-id/more",
        "/latest/meta-data/iam/info",
        "/latest/user-data",
        "/latest/nothing",
        "/1999-01-01/meta-data/",
        "/latest/api/token/more",
    ] {
        let (status, page) = bench.get(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(page.starts_with("<?xml") && page.contains("<h1>404 - Not Found</h1>"));
    }
}

#[tokio::test]
async fn the_identity_document_says_who_it_is() {
    let bench = bench();
    let path = "/latest/dynamic/instance-identity/document";
    let document: serde_json::Value = serde_json::from_str(&bench.get(path).await.1).unwrap();
    for (name, value) in [
        ("accountId", "111111111111"),
        ("architecture", "x86_64"),
        ("availabilityZone", "us-east-1a"),
        ("imageId", "ami-01111111111111111"),
        ("instanceId", "i-0aaaaaaaaaaaaaaaa"),
        ("instanceType", "t3.micro"),
        ("pendingTime", "2026-01-02T03:04:05Z"),
        ("privateIp", "172.31.0.4"),
        ("region", "us-east-1"),
        ("version", "2017-09-30"),
    ] {
        assert_eq!(document[name], value, "{name}");
    }
    assert_eq!(bench.get("/latest/dynamic").await.1, "instance-identity/");
}

const IAM: &str = "/latest/meta-data/iam";
const ROLES: &str = "/latest/meta-data/iam/security-credentials";

impl Bench {
    fn profile(&self, name: &str) {
        self.change(|facts| facts.instance.profile = Some(testing::profile(name)));
    }

    async fn json(&self, path: &str) -> serde_json::Value {
        let (status, text) = self.get(path).await;
        assert_eq!(status, 200, "{path}");
        serde_json::from_str(&text).unwrap()
    }
}

#[tokio::test]
async fn a_role_is_told_with_its_credentials() {
    let bench = bench();
    assert_eq!(bench.get(ROLES).await.0, 404);
    bench.profile("web");
    assert_eq!(bench.get(IAM).await.1, "info\nsecurity-credentials/");
    for path in [ROLES.to_owned(), format!("{ROLES}/")] {
        assert_eq!(bench.get(&path).await, (200, "web-role".to_owned()));
    }
    let role = format!("{ROLES}/web-role");
    let given = bench.json(&role).await;
    for (name, value) in [
        ("Code", "Success"),
        ("Type", "AWS-HMAC"),
        ("AccessKeyId", "web-role-0"),
        ("SecretAccessKey", "secret"),
        ("Token", "token"),
        ("LastUpdated", "2026-01-01T00:00:00Z"),
        ("Expiration", "2026-01-01T01:00:00Z"),
    ] {
        assert_eq!(given[name], value, "{name}");
    }
    assert_eq!(bench.get(&format!("{ROLES}/db-role")).await.0, 404);
    let info = bench.json(&format!("{IAM}/info")).await;
    assert_eq!(info["Code"], "Success");
    assert_eq!(info["InstanceProfileId"], "AIPA1");
    assert_eq!(info["LastUpdated"], "2026-01-01T00:00:00Z");

    // Ten minutes before they end, there are others.
    bench.clock.advance(Duration::minutes(50));
    let given = bench.json(&role).await;
    for (name, value) in [
        ("Code", "Success"),
        ("AccessKeyId", "web-role-1"),
        ("LastUpdated", "2026-01-01T00:50:00Z"),
        ("Expiration", "2026-01-01T01:50:00Z"),
    ] {
        assert_eq!(given[name], value, "{name}");
    }
}

/// SDKs go by the code, where the answer is 200; they ask again after a 503, and take a 404 of the
/// list for an instance without a role.
#[tokio::test]
async fn a_role_without_credentials_is_told_as_sdks_understand_it() {
    let bench = bench();
    bench.profile("web");
    let (role, info) = (format!("{ROLES}/web-role"), format!("{IAM}/info"));
    assert_eq!(bench.json(&role).await["Code"], "Success");
    bench.sts.does(StsDoes::Refuses);
    bench.clock.advance(Duration::minutes(59));
    assert_eq!(bench.json(&role).await["AccessKeyId"], "web-role-0");
    bench.clock.advance(Duration::minutes(1));
    assert_eq!(bench.get(ROLES).await, (200, "web-role".to_owned()));
    let refused = bench.json(&role).await;
    assert_eq!(refused["Code"], "AssumeRoleUnauthorizedAccess");
    assert_eq!(refused["LastUpdated"], "2026-01-01T01:00:00Z");
    assert_eq!(refused["AccessKeyId"], serde_json::Value::Null);
    assert_eq!(bench.json(&info).await["Code"], "Success");
    assert_eq!(bench.get(&format!("{ROLES}/db-role")).await.0, 404);

    bench.sts.does(StsDoes::Fails);
    for path in [ROLES, &role] {
        assert_eq!(bench.get(path).await.0, 503, "{path}");
    }
    assert_eq!(bench.json(&info).await["Code"], "Success");

    bench.sts.change("web", None);
    for path in [ROLES, &role] {
        assert_eq!(bench.get(path).await.0, 404, "{path}");
    }
    let told = bench.json(&info).await;
    assert_eq!(told["Code"], "Success");
    let message = told["Message"].as_str().unwrap();
    assert!(message.contains("does not contain a role"), "{message}");

    bench.profile("gone");
    assert_eq!(bench.get(ROLES).await.0, 404);
    let told = bench.json(&info).await;
    assert_eq!(told["Code"], "InstanceProfileNotFound");
}
