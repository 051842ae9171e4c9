//! [The evaluation logic](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html)
//! over several policies.

use iam_policy::{Asker, Context, Decision, Policy};

/// One call that an action of the table makes.
#[derive(Clone)]
pub struct Step {
    pub action: &'static str,
    pub resource: String,
    pub context: Context,
    /// Global keys that are not as they are for all others.
    pub overrides: Vec<(&'static str, &'static str)>,
}

impl Step {
    pub fn new(action: &'static str, resource: impl Into<String>, context: Context) -> Step {
        Step {
            action,
            resource: resource.into(),
            context,
            overrides: Vec::new(),
        }
    }

    pub fn service(&self) -> &'static str {
        self.action
            .split_once(':')
            .map_or("", |(service, _)| service)
    }
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Yes,
    /// Why not.
    No(String),
}

/// The policies that a call falls under.
pub struct Policies<'a> {
    /// The caller's.
    pub identity: Option<&'a Policy>,
    /// The resource's, and what to call it.
    pub resource: Option<(&'static str, &'a Policy)>,
    /// Whether caller and resource are of one account.
    pub same_account: bool,
    /// Whether the resource's policy has to allow even then: KMS keys.
    pub resource_decides: bool,
}

pub fn evaluate(policies: &Policies<'_>, asker: &Asker, step: &Step) -> Outcome {
    let judge = |policy: &Policy| policy.judge(asker, step.action, &step.resource, &step.context);
    let identity = policies.identity.map_or(Decision::Silent, judge);
    let resource = policies
        .resource
        .map_or(Decision::Silent, |(_, it)| judge(it));
    if let (Decision::Denied(sid), Some((name, _))) = (&resource, policies.resource) {
        return Outcome::No(format!("{name}: {sid}"));
    }
    if let Decision::Denied(sid) = identity {
        return Outcome::No(format!("own policy: {sid}"));
    }
    let (own, theirs) = (identity == Decision::Allowed, resource == Decision::Allowed);
    let allowed = match (policies.same_account, policies.resource_decides) {
        // A key's policy lets the account decide; then the identity's policy has to allow.
        (true, true) => own && theirs,
        (true, false) => own || theirs,
        (false, _) => own && theirs,
    };
    if allowed {
        Outcome::Yes
    } else {
        Outcome::No("nothing allows".to_owned())
    }
}
