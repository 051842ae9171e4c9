//! A vault with its policies, and those who come to it.

use crate::evaluate::{Outcome, Policies, Step, evaluate};
use iam_policy::{Asker, Kind, Policy, parse, parse_kind};
use serde_json::{Value, json};
use uploader::vault::policy::KeyArns;
use uploader::vault::{Keys, Names, Part, ROLE_POLICY, Setting, State, desired};

pub const ACCOUNT: &str = "111111111111";
pub const OTHER: &str = "222222222222";
/// Another key of the account, with the policy that KMS gives a key.
pub const OTHER_KEY: &str =
    "arn:aws:kms:eu-west-1:111111111111:key/33333333-3333-3333-3333-333333333333";

/// What who pushes and converts may do, as docs/security.md gives it.
const PUBLISHER: &str = include_str!("../../../docs/publisher.json");

/// Who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// May do all that an identity's policy can allow.
    Administrator,
    /// An instance with the role.
    Converter,
    /// Somebody who pushes and converts, and nothing else.
    Publisher,
    /// All of S3, SQS, EC2 and EBS, and nothing of KMS.
    NoKeys,
    /// Of this account, and nothing was allowed to them.
    Nobody,
    /// The administrator of another account.
    OtherAccount,
    /// Nobody that AWS knows.
    Anonymous,
    /// The administrator, without TLS.
    PlainHttp,
}

pub const ACTORS: &[Actor] = &[
    Actor::Administrator,
    Actor::Converter,
    Actor::Publisher,
    Actor::NoKeys,
    Actor::Nobody,
    Actor::OtherAccount,
    Actor::Anonymous,
    Actor::PlainHttp,
];

impl Actor {
    pub fn title(self) -> &'static str {
        match self {
            Actor::Administrator => "administrator",
            Actor::Converter => "converter",
            Actor::Publisher => "publisher",
            Actor::NoKeys => "S3, SQS, EC2, no KMS",
            Actor::Nobody => "no permissions",
            Actor::OtherAccount => "other account's administrator",
            Actor::Anonymous => "anonymous",
            Actor::PlainHttp => "administrator, plain HTTP",
        }
    }

    fn account(self) -> &'static str {
        match self {
            Actor::OtherAccount => OTHER,
            Actor::Anonymous => "",
            _ => ACCOUNT,
        }
    }
}

pub struct World {
    pub names: Names,
    pub keys: KeyArns,
    /// The publisher's policy.
    pub publisher: Value,
    state: State,
}

impl World {
    pub fn new() -> World {
        let names = Names::new("image-vault", ACCOUNT, "eu-west-1", "aws").unwrap();
        let arn = |id: &str| format!("arn:aws:kms:eu-west-1:{ACCOUNT}:key/{id}");
        let keys = KeyArns {
            encryption: arn("11111111-1111-1111-1111-111111111111"),
            signing: arn("22222222-2222-2222-2222-222222222222"),
        };
        let state = desired(
            &names,
            &Keys {
                arns: keys.clone(),
                given: false,
            },
        );
        World {
            names,
            keys,
            publisher: serde_json::from_str(PUBLISHER).unwrap(),
            state,
        }
    }

    /// All policies of the vault.
    pub fn documents(&self) -> Vec<(Part, Setting)> {
        vec![
            (Part::Bucket, Setting::Policy),
            (Part::EncryptionKey, Setting::Policy),
            (Part::SigningKey, Setting::Policy),
            (Part::Queue, Setting::Policy),
            (Part::DeadLetterQueue, Setting::Policy),
            (Part::Role, Setting::Permissions),
        ]
    }

    fn document(&self, part: Part, setting: Setting) -> Value {
        let value = self.state.get(part).unwrap()[&setting].clone();
        match setting {
            Setting::Permissions => value[ROLE_POLICY].clone(),
            _ => value,
        }
    }

    pub fn statements(&self, part: Part, setting: Setting) -> Vec<Value> {
        let document = self.document(part, setting);
        document["Statement"].as_array().unwrap().clone()
    }

    /// Changes the statements of a policy.
    pub fn change(&mut self, part: Part, setting: Setting, change: impl FnOnce(&mut Vec<Value>)) {
        let mut settings = self.state.get(part).unwrap().clone();
        let value = settings.get_mut(&setting).unwrap();
        let document = match setting {
            Setting::Permissions => &mut value[ROLE_POLICY],
            _ => value,
        };
        change(document["Statement"].as_array_mut().unwrap());
        self.state.put(part, settings);
    }

    pub fn about_nothing(setting: Setting) -> Value {
        let mut statement = json!({"Effect": "Deny", "Action": "s3:Nothing", "Resource": "arn:x"});
        if setting != Setting::Permissions {
            statement["Principal"] = json!("*");
        }
        statement
    }

    fn open_bucket() -> Policy {
        let document = json!({"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}});
        parse(document.to_string().as_bytes()).unwrap()
    }

    fn other_key() -> Policy {
        let document = json!({"Version": "2012-10-17", "Statement": {
            "Sid": "Enable IAM User Permissions", "Effect": "Allow", "Action": "kms:*",
            "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")}, "Resource": "*"}});
        parse_kind(document.to_string().as_bytes(), Kind::Resource).unwrap()
    }

    fn policy(&self, part: Part, setting: Setting) -> Policy {
        let text = self.document(part, setting).to_string();
        let kind = match (part, setting) {
            (Part::Bucket, _) => return parse(text.as_bytes()).unwrap(),
            (_, Setting::Permissions) => Kind::Identity,
            (_, Setting::Trust) => Kind::Trust,
            _ => Kind::Resource,
        };
        parse_kind(text.as_bytes(), kind).unwrap()
    }

    fn asker(&self, actor: Actor) -> Asker {
        let account = actor.account().to_owned();
        match actor {
            Actor::Converter => Asker {
                arn: format!(
                    "arn:aws:sts::{account}:assumed-role/{}/i-00000000000000001",
                    self.names.role()
                ),
                role: Some(self.names.role_arn()),
                account,
            },
            Actor::Anonymous => Asker {
                account,
                arn: String::new(),
                role: None,
            },
            _ => Asker {
                arn: format!("arn:aws:iam::{account}:user/somebody"),
                account,
                role: None,
            },
        }
    }

    fn identity(&self, actor: Actor) -> Option<Policy> {
        let actions = match actor {
            Actor::Converter => return Some(self.policy(Part::Role, Setting::Permissions)),
            Actor::Publisher => {
                let text = self.publisher.to_string();
                return Some(parse_kind(text.as_bytes(), Kind::Identity).unwrap());
            }
            Actor::Nobody | Actor::Anonymous => return None,
            Actor::NoKeys => json!(["s3:*", "sqs:*", "ec2:*", "ebs:*"]),
            Actor::Administrator | Actor::OtherAccount | Actor::PlainHttp => json!("*"),
        };
        let document = json!({"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": actions, "Resource": "*"}});
        Some(parse_kind(document.to_string().as_bytes(), Kind::Identity).unwrap())
    }

    /// The policy of what a call is about.
    fn of_resource(&self, resource: &str) -> Option<(&'static str, Policy)> {
        if resource == OTHER_KEY {
            return Some(("other key", World::other_key()));
        }
        let (name, part) = if resource.starts_with(&self.names.bucket_arn()) {
            ("bucket", Part::Bucket)
        } else if resource == self.keys.encryption {
            ("key", Part::EncryptionKey)
        } else if resource == self.keys.signing {
            ("signing key", Part::SigningKey)
        } else if resource == self.names.queue_arn(&self.names.queue()) {
            ("queue", Part::Queue)
        } else if resource == self.names.queue_arn(&self.names.dead_letter_queue()) {
            ("failed queue", Part::DeadLetterQueue)
        } else {
            return None;
        };
        Some((name, self.policy(part, Setting::Policy)))
    }

    /// What comes of calls, one after the other.
    pub fn judge(&self, actor: Actor, steps: &[Step]) -> Outcome {
        let (asker, identity) = (self.asker(actor), self.identity(actor));
        for step in steps {
            let step = self.with_global_keys(actor, &asker, step);
            // A bucket of that name of another account has another policy, which lets all in.
            let elsewhere = step.overrides.contains(&("aws:ResourceAccount", OTHER));
            let resource = match elsewhere {
                true => Some(("their bucket", World::open_bucket())),
                false => self.of_resource(&step.resource),
            };
            let policies = Policies {
                identity: identity.as_ref(),
                resource: resource.as_ref().map(|(name, policy)| (*name, policy)),
                same_account: (asker.account == ACCOUNT) != elsewhere,
                resource_decides: step.service() == "kms",
            };
            let outcome = evaluate(&policies, &asker, &step);
            if outcome != Outcome::Yes {
                return outcome;
            }
        }
        Outcome::Yes
    }

    /// What the role's trust policy says: only a principal that it names takes it on.
    pub fn judge_trust(&self, actor: Actor, step: &Step) -> Outcome {
        let asker = self.asker(actor);
        let trust = self.policy(Part::Role, Setting::Trust);
        let identity = self.identity(actor);
        let policies = Policies {
            identity: identity.as_ref(),
            resource: Some(("trust", &trust)),
            same_account: asker.account == ACCOUNT,
            resource_decides: true,
        };
        evaluate(&policies, &asker, step)
    }

    fn with_global_keys(&self, actor: Actor, asker: &Asker, step: &Step) -> Step {
        let mut step = step.clone();
        let tls = (actor != Actor::PlainHttp).to_string();
        step.context.set("aws:SecureTransport", tls);
        step.context.set("aws:ResourceAccount", ACCOUNT);
        step.context
            .set("aws:RequestedRegion", self.names.region.as_str());
        if !asker.account.is_empty() {
            step.context
                .set("aws:PrincipalAccount", asker.account.as_str());
            step.context.set("aws:PrincipalArn", asker.principal_arn());
        }
        for (key, value) in &step.overrides {
            step.context.set(key, *value);
        }
        step
    }
}
