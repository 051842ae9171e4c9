//! Two documents that say the same.

use serde_json::{Map, Value};

/// A policy as AWS might give it back: services write one value for a list of one, sort lists, turn
/// `true` into `"true"` and `"*"` into `{"AWS": "*"}`. Documents that say the same have the same
/// canonical form; anything that is not a policy is its own.
pub fn canonical(document: &Value) -> Value {
    let Value::Object(document) = document else {
        return document.clone();
    };
    let mut out = Map::new();
    for (key, value) in document {
        let value = match key.as_str() {
            "Statement" => Value::Array(list(value).iter().map(statement).collect()),
            // No part of its meaning, and SQS makes one up.
            "Id" => continue,
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    Value::Object(out)
}

fn statement(value: &Value) -> Value {
    let Value::Object(statement) = value else {
        return value.clone();
    };
    let fields = statement.iter().map(|(key, value)| {
        let value = match key.as_str() {
            "Action" | "NotAction" | "Resource" | "NotResource" => texts(value),
            "Principal" | "NotPrincipal" if value == "*" => by_key(
                &Value::Object([("AWS".to_owned(), value.clone())].into_iter().collect()),
                texts,
            ),
            "Principal" | "NotPrincipal" => by_key(value, texts),
            "Condition" => by_key(value, |operator| by_key(operator, texts)),
            _ => value.clone(),
        };
        (key.clone(), value)
    });
    Value::Object(fields.collect())
}

fn by_key(value: &Value, change: impl Fn(&Value) -> Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), change(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values.clone(),
        one => vec![one.clone()],
    }
}

/// A sorted list of texts.
fn texts(value: &Value) -> Value {
    let mut all: Vec<String> = list(value)
        .iter()
        .map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned))
        .collect();
    all.sort();
    all.dedup();
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_says_the_same_is_the_same() {
        let ours = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": ["s3:B", "s3:A"], "Resource": ["x"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }]});
        let theirs = json!({"Version": "2012-10-17", "Id": "x", "Statement": {
            "Effect": "Deny", "Principal": {"AWS": ["*"]}, "Action": ["s3:A", "s3:B"],
            "Resource": "x", "Condition": {"Bool": {"aws:SecureTransport": [false]}},
        }});
        assert_eq!(canonical(&ours), canonical(&theirs));
    }

    #[test]
    fn what_says_something_else_is_not() {
        let policy = |effect: &str, action: &str| json!({"Statement": [{"Effect": effect, "Action": action, "Resource": "x"}]});
        let one = canonical(&policy("Deny", "s3:*"));
        assert_ne!(one, canonical(&policy("Allow", "s3:*")));
        assert_ne!(one, canonical(&policy("Deny", "s3:Get*")));
        assert_ne!(one, canonical(&json!({"Statement": []})));
    }
}
