//! Policies of AWS: read, and judged as IAM does. Pure: what a request is about comes in as a
//! [`Context`]. The emulator's gateway asks buckets' policies; those of other resources and of
//! identities can be asked in tests.
//!
//! [The evaluation logic](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html):
//! a Deny that applies wins over everything; an Allow lets another account in.

mod condition;
mod document;
mod pattern;
mod rules;

pub use condition::Condition;
pub use document::{Kind, Malformed, parse, parse_kind};
pub use rules::{check_for_bucket, is_public};

use pattern::{Wildcards, compile, like, matches};
use std::collections::BTreeMap;

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Whether values have policy variables: version 2012-10-17.
    variables: bool,
    statements: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
struct Statement {
    sid: Option<String>,
    effect: Effect,
    principals: Selection<Principal>,
    actions: Selection<String>,
    resources: Selection<String>,
    conditions: Vec<Condition>,
}

/// What a statement does where it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It lets pass.
    Allow,
    /// It refuses.
    Deny,
}

/// `Action` or `NotAction`, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Selection<T> {
    Only(Vec<T>),
    Except(Vec<T>),
}

impl<T> Selection<T> {
    fn has(&self, matches: impl FnMut(&T) -> bool) -> bool {
        match self {
            Self::Only(items) => items.iter().any(matches),
            Self::Except(items) => !items.iter().any(matches),
        }
    }
}

/// Whom a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Principal {
    /// `*`.
    Anyone,
    /// An account, by its number or its root's ARN.
    Account(String),
    /// A user, a role or a session.
    Arn(String),
    /// A service, a federated or a canonical user: never the caller here.
    Other,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The account's number.
    pub account: String,
    /// The principal's ARN: `arn:aws:iam::111111111111:user/me`.
    pub arn: String,
    /// The role's ARN, where the principal is a session of a role.
    pub role: Option<String>,
}

impl Asker {
    /// What `aws:PrincipalArn` has: the role of a session, else the principal.
    pub fn principal_arn(&self) -> &str {
        self.role.as_deref().unwrap_or(&self.arn)
    }
}

/// The values of condition keys. Keys are the same in upper and lower case.
#[derive(Clone, Debug, Default)]
pub struct Context(BTreeMap<String, Value>);

/// What a condition key has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// These values.
    Known(Vec<String>),
    /// What was judged when the multipart upload began.
    Inherited,
}

impl Context {
    /// Sets a key that has one value.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.set_many(key, vec![value.into()]);
    }

    /// Sets a key that has several.
    pub fn set_many(&mut self, key: &str, values: Vec<String>) {
        self.0.insert(key.to_lowercase(), Value::Known(values));
    }

    /// Says that a key has what it had when the multipart upload began.
    pub fn inherit(&mut self, key: &str) {
        self.0.insert(key.to_lowercase(), Value::Inherited);
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(&key.to_lowercase())
    }

    fn single(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Known(values) => match values.as_slice() {
                [value] => Some(value),
                _ => None,
            },
            Value::Inherited => None,
        }
    }
}

/// What a policy says about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement denies it: its `Sid`, or its number from 1.
    Denied(String),
    /// A statement allows it, and none denies it.
    Allowed,
    /// No statement is about it.
    Silent,
}

impl Policy {
    /// Judges a request: `action` as in `s3:PutObject`, `resource` an ARN.
    pub fn judge(
        &self,
        asker: &Asker,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Decision {
        let mut allowed = false;
        for (index, statement) in self.statements.iter().enumerate() {
            if !self.applies(statement, asker, action, resource, context) {
                continue;
            }
            match statement.effect {
                Effect::Deny => {
                    let number = || format!("number {}", index + 1);
                    return Decision::Denied(statement.sid.clone().unwrap_or_else(number));
                }
                Effect::Allow => allowed = true,
            }
        }
        if allowed {
            Decision::Allowed
        } else {
            Decision::Silent
        }
    }

    fn applies(
        &self,
        statement: &Statement,
        asker: &Asker,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> bool {
        let variables = self.variables.then_some(context);
        statement.principals.has(|principal| match principal {
            Principal::Anyone => true,
            Principal::Account(account) => *account == asker.account,
            Principal::Arn(arn) => *arn == asker.arn || asker.role.as_ref() == Some(arn),
            Principal::Other => false,
        }) && statement.actions.has(|pattern| {
            // Names of actions are the same in upper and lower case.
            like(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase())
        }) && statement.resources.has(|pattern| {
            compile(pattern, Wildcards::Yes, variables)
                .is_some_and(|pattern| matches(&pattern, resource))
        }) && statement
            .conditions
            .iter()
            .all(|condition| condition.holds(context, statement.effect, self.variables))
    }
}

#[cfg(test)]
mod tests;
