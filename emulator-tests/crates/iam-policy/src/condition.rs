//! Conditions of a statement.

use super::pattern::{Wildcards, arn_matches, compile, matches};
use super::{Context, Effect, Value};
use std::net::IpAddr;
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

/// One key of one operator: `"StringEquals": {"s3:x-amz-acl": ["private"]}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    quantifier: Option<Quantifier>,
    test: Test,
    negated: bool,
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

/// `ForAnyValue:` and `ForAllValues:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    Any,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    StringEquals,
    StringEqualsIgnoreCase,
    StringLike,
    Numeric(Order),
    Date(Order),
    Bool,
    Binary,
    IpAddress,
    Arn,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// Why a condition can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such operator.
    Operator,
    /// A value is not of the operator's type.
    Value,
}

impl Condition {
    /// Reads an operator with one of its keys.
    pub fn new(operator: &str, key: &str, values: Vec<String>) -> Result<Self, Fault> {
        let (quantifier, name) = match operator.split_once(':') {
            None => (None, operator),
            Some(("ForAnyValue", name)) => (Some(Quantifier::Any), name),
            Some(("ForAllValues", name)) => (Some(Quantifier::All), name),
            Some(_) => return Err(Fault::Operator),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (test, negated) = match name {
            "StringEquals" => (Test::StringEquals, false),
            "StringNotEquals" => (Test::StringEquals, true),
            "StringEqualsIgnoreCase" => (Test::StringEqualsIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Test::StringEqualsIgnoreCase, true),
            "StringLike" => (Test::StringLike, false),
            "StringNotLike" => (Test::StringLike, true),
            "NumericEquals" => (Test::Numeric(Order::Equal), false),
            "NumericNotEquals" => (Test::Numeric(Order::Equal), true),
            "NumericLessThan" => (Test::Numeric(Order::Less), false),
            "NumericLessThanEquals" => (Test::Numeric(Order::LessOrEqual), false),
            "NumericGreaterThan" => (Test::Numeric(Order::Greater), false),
            "NumericGreaterThanEquals" => (Test::Numeric(Order::GreaterOrEqual), false),
            "DateEquals" => (Test::Date(Order::Equal), false),
            "DateNotEquals" => (Test::Date(Order::Equal), true),
            "DateLessThan" => (Test::Date(Order::Less), false),
            "DateLessThanEquals" => (Test::Date(Order::LessOrEqual), false),
            "DateGreaterThan" => (Test::Date(Order::Greater), false),
            "DateGreaterThanEquals" => (Test::Date(Order::GreaterOrEqual), false),
            "Bool" => (Test::Bool, false),
            "BinaryEquals" => (Test::Binary, false),
            "IpAddress" => (Test::IpAddress, false),
            "NotIpAddress" => (Test::IpAddress, true),
            "ArnEquals" | "ArnLike" => (Test::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Test::Arn, true),
            "Null" if !if_exists && quantifier.is_none() => (Test::Null, false),
            _ => return Err(Fault::Operator),
        };
        let fine = |value: &String| match test {
            Test::Numeric(_) => value.parse::<f64>().is_ok(),
            Test::Date(_) => date(value).is_some(),
            Test::Bool | Test::Null => {
                value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
            }
            Test::IpAddress => Network::parse(value).is_some(),
            _ => true,
        };
        if values.is_empty() || !values.iter().all(fine) {
            return Err(Fault::Value);
        }
        Ok(Self {
            quantifier,
            test,
            negated,
            if_exists,
            key: key.to_owned(),
            values,
        })
    }

    /// The key, as the policy writes it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it holds only for values that the policy names, without wildcards: what makes a
    /// statement for everyone not public.
    pub fn names_values(&self) -> bool {
        let kind = matches!(
            self.test,
            Test::StringEquals
                | Test::StringEqualsIgnoreCase
                | Test::StringLike
                | Test::Arn
                | Test::IpAddress
        );
        let fixed = |value: &String| match self.test {
            Test::IpAddress => Network::parse(value).is_some_and(|it| !it.is_wide()),
            _ => !value.contains(['*', '?', '$']),
        };
        // With IfExists or ForAllValues, a request without the key passes.
        kind && !self.negated
            && !self.if_exists
            && self.quantifier != Some(Quantifier::All)
            && self.values.iter().all(fixed)
    }

    /// Whether it holds for a request. `variables`: whether values have policy variables.
    ///
    /// For a part of a multipart upload, the encryption is that of the upload, which was judged
    /// when it was begun: there a condition on it holds in an Allow and not in a Deny.
    pub fn holds(&self, context: &Context, effect: Effect, variables: bool) -> bool {
        let found = match context.get(&self.key) {
            Some(Value::Inherited) => return effect == Effect::Allow,
            Some(Value::Known(values)) => values,
            None => {
                return match self.test {
                    Test::Null => self.any_value_is("true"),
                    _ if self.if_exists => true,
                    _ => match self.quantifier {
                        Some(Quantifier::All) => true,
                        Some(Quantifier::Any) => false,
                        None => self.negated,
                    },
                };
            }
        };
        if self.test == Test::Null {
            return self.any_value_is("false");
        }
        let matched = |value: &String| {
            self.values
                .iter()
                .any(|wanted| self.test(wanted, value, context, variables))
        };
        match self.quantifier {
            Some(Quantifier::All) => found.iter().all(|value| matched(value) != self.negated),
            Some(Quantifier::Any) => found.iter().any(|value| matched(value) != self.negated),
            None => found.iter().any(matched) != self.negated,
        }
    }

    fn any_value_is(&self, wanted: &str) -> bool {
        self.values
            .iter()
            .any(|value| value.eq_ignore_ascii_case(wanted))
    }

    fn test(&self, wanted: &str, value: &str, context: &Context, variables: bool) -> bool {
        let pattern = |wildcards| compile(wanted, wildcards, variables.then_some(context));
        match self.test {
            Test::StringEquals => {
                pattern(Wildcards::No).is_some_and(|pattern| matches(&pattern, value))
            }
            Test::StringEqualsIgnoreCase => compile(
                &wanted.to_lowercase(),
                Wildcards::No,
                variables.then_some(context),
            )
            .is_some_and(|pattern| matches(&pattern, &value.to_lowercase())),
            Test::StringLike => {
                pattern(Wildcards::Yes).is_some_and(|pattern| matches(&pattern, value))
            }
            Test::Arn => {
                pattern(Wildcards::Yes).is_some_and(|pattern| arn_matches(&pattern, value))
            }
            Test::Numeric(order) => match (value.parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(value), Ok(wanted)) => order.holds(&value, &wanted),
                _ => false,
            },
            Test::Date(order) => match (date(value), date(wanted)) {
                (Some(value), Some(wanted)) => order.holds(&value, &wanted),
                _ => false,
            },
            Test::Bool => value.eq_ignore_ascii_case(wanted),
            Test::Binary => value == wanted,
            Test::IpAddress => match (value.parse::<IpAddr>(), Network::parse(wanted)) {
                (Ok(address), Some(network)) => network.has(address),
                _ => false,
            },
            Test::Null => false,
        }
    }
}

/// A time as policies write it: ISO 8601, or seconds since 1970.
fn date(text: &str) -> Option<OffsetDateTime> {
    if let Ok(seconds) = text.parse::<i64>()
        && text.len() > 4
    {
        return OffsetDateTime::from_unix_timestamp(seconds).ok();
    }
    if let Ok(time) = OffsetDateTime::parse(text, &Iso8601::DEFAULT) {
        return Some(time);
    }
    time::Date::parse(text, &Iso8601::DATE)
        .ok()
        .map(|date| date.midnight().assume_utc())
}

/// `203.0.113.0/24`, or one address.
#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most)?,
            None => most,
        };
        Some(Self { address, bits })
    }

    /// So wide that it does not say who may come (S3 counts less than /8 and /32 as public).
    fn is_wide(self) -> bool {
        self.bits < if self.address.is_ipv4() { 8 } else { 32 }
    }

    fn has(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn holds(operator: &str, values: &[&str], has: Option<&[&str]>) -> bool {
        let values = values.iter().map(|it| (*it).to_owned()).collect();
        let condition = Condition::new(operator, "aws:Key", values).unwrap();
        let mut context = Context::default();
        if let Some(has) = has {
            context.set_many("AWS:key", has.iter().map(|it| (*it).to_owned()).collect());
        }
        condition.holds(&context, Effect::Deny, true)
    }

    #[test]
    fn operators() {
        for (operator, wanted, value, is) in [
            ("StringEquals", "a*", "ab", false),
            ("StringEquals", "ab", "ab", true),
            ("StringNotEquals", "ab", "AB", true),
            ("StringEqualsIgnoreCase", "ab", "AB", true),
            ("StringNotEqualsIgnoreCase", "ab", "AB", false),
            ("StringLike", "a*", "ab", true),
            ("StringNotLike", "a*", "ab", false),
            ("NumericEquals", "10", "10.0", true),
            ("NumericNotEquals", "10", "11", true),
            ("NumericLessThan", "1.2", "1.1", true),
            ("NumericLessThan", "1.2", "1.2", false),
            ("NumericLessThanEquals", "10", "10", true),
            ("NumericGreaterThan", "10", "9", false),
            ("NumericGreaterThanEquals", "10", "10", true),
            ("NumericEquals", "10", "x", false),
            (
                "DateLessThan",
                "2026-01-02T00:00:00Z",
                "2026-01-01T00:00:00Z",
                true,
            ),
            (
                "DateGreaterThan",
                "2026-01-02",
                "2026-01-01T00:00:00Z",
                false,
            ),
            ("DateEquals", "1767225600", "2026-01-01T00:00:00Z", true),
            ("Bool", "true", "TRUE", true),
            ("Bool", "false", "true", false),
            ("BinaryEquals", "QQ==", "QQ==", true),
            ("IpAddress", "127.0.0.0/8", "127.0.0.1", true),
            ("NotIpAddress", "127.0.0.0/8", "127.0.0.1", false),
            ("IpAddress", "0.0.0.0/0", "203.0.113.7", true),
            ("IpAddress", "::/0", "::1", true),
            (
                "ArnLike",
                "arn:aws:iam::*:role/r*",
                "arn:aws:iam::111111111111:role/rr",
                true,
            ),
            (
                "ArnNotEquals",
                "arn:aws:iam::*:role/r",
                "arn:aws:iam::1:role/r",
                false,
            ),
            ("Null", "true", "x", false),
            ("Null", "false", "x", true),
        ] {
            assert_eq!(
                holds(operator, &[wanted], Some(&[value])),
                is,
                "{operator} {wanted} {value}"
            );
        }
    }

    #[test]
    fn a_key_that_is_absent() {
        for (operator, value, is) in [
            ("StringEquals", "a", false),
            ("StringNotEquals", "a", true),
            ("StringEqualsIfExists", "a", true),
            ("StringNotEqualsIfExists", "a", true),
            ("StringNotLike", "a", true),
            ("ArnNotEquals", "a", true),
            ("NotIpAddress", "10.0.0.0/8", true),
            ("NumericLessThan", "1", false),
            ("Bool", "false", false),
            ("BoolIfExists", "false", true),
            ("Null", "true", true),
            ("Null", "false", false),
            ("ForAllValues:StringEquals", "a", true),
            ("ForAnyValue:StringEquals", "a", false),
            ("ForAnyValue:StringNotEquals", "a", false),
        ] {
            assert_eq!(holds(operator, &[value], None), is, "{operator}");
        }
    }

    #[test]
    fn several_values() {
        assert!(holds("StringEquals", &["a", "b"], Some(&["b"])));
        assert!(!holds("StringNotEquals", &["a", "b"], Some(&["b"])));
        assert!(holds(
            "ForAllValues:StringEquals",
            &["a", "b"],
            Some(&["a", "b"])
        ));
        assert!(!holds(
            "ForAllValues:StringEquals",
            &["a"],
            Some(&["a", "b"])
        ));
        assert!(holds("ForAnyValue:StringEquals", &["a"], Some(&["a", "b"])));
        assert!(holds(
            "ForAnyValue:StringNotEquals",
            &["a"],
            Some(&["a", "b"])
        ));
        assert!(!holds(
            "ForAllValues:StringNotEquals",
            &["a"],
            Some(&["a", "b"])
        ));
    }

    #[test]
    fn what_is_not_a_condition() {
        for (operator, value, fault) in [
            ("StringEqual", "a", Fault::Operator),
            ("ForSomeValues:StringEquals", "a", Fault::Operator),
            ("NullIfExists", "true", Fault::Operator),
            ("Bool", "yes", Fault::Value),
            ("Null", "1", Fault::Value),
            ("NumericEquals", "ten", Fault::Value),
            ("DateEquals", "tomorrow", Fault::Value),
            ("IpAddress", "10.0.0.0/33", Fault::Value),
        ] {
            let got = Condition::new(operator, "k", vec![value.to_owned()]);
            assert_eq!(got, Err(fault), "{operator}");
        }
        assert_eq!(Condition::new("Bool", "k", vec![]), Err(Fault::Value));
    }
}
