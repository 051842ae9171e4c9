//! Parameters of the EC2 query protocol: a flat form whose names are paths, `ImageId.1`,
//! `BlockDeviceMapping.2.Ebs.SnapshotId`.

use super::AwsError;
use std::collections::BTreeMap;

/// The parameters of one request, or those below one prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// Where these parameters are in the request, for messages: empty, or `Prefix.1.`.
    prefix: String,
    values: BTreeMap<String, String>,
}

impl Params {
    /// Reads a form, `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// A parameter given twice.
    pub fn parse(form: &[u8]) -> Result<Self, AwsError> {
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(form) {
            if let Some(_earlier) = values.insert(name.clone().into_owned(), value.into_owned()) {
                return Err(AwsError::new(
                    "InvalidParameterValue",
                    format!("The parameter {name} is given twice"),
                ));
            }
        }
        Ok(Self {
            prefix: String::new(),
            values,
        })
    }

    /// A parameter's value, if it is given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The name of a parameter as the request has it.
    pub fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A parameter that has to be given and not empty.
    ///
    /// # Errors
    /// `MissingParameter`.
    pub fn required(&self, name: &str) -> Result<&str, AwsError> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                AwsError::new(
                    "MissingParameter",
                    format!(
                        "The request must contain the parameter {}",
                        self.full_name(name)
                    ),
                )
            })
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// `InvalidParameterValue` for anything else.
    pub fn bool(&self, name: &str) -> Result<Option<bool>, AwsError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(value) => Err(self.invalid(name, value, "it is not true or false")),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// `InvalidParameterValue` for anything else.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, AwsError> {
        self.get(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| self.invalid(name, value, "it is not a whole number"))
            })
            .transpose()
    }

    /// The error for a value that can't be taken.
    pub fn invalid(&self, name: &str, value: &str, why: &str) -> AwsError {
        AwsError::new(
            "InvalidParameterValue",
            format!(
                "Value ({value}) for parameter {} is invalid: {why}",
                self.full_name(name)
            ),
        )
    }

    /// A list of plain values, `NAME.1`, `NAME.2`, …, in the order of their numbers.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let mut found: Vec<(u32, &str)> = self
            .values
            .iter()
            .filter_map(|(full, value)| Some((after(full, name)?, value.as_str())))
            .filter_map(|(rest, value)| Some((rest.parse().ok()?, value)))
            .collect();
        found.sort_unstable_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// A list of structures, `NAME.1.…`, `NAME.2.…`, in the order of their numbers.
    pub fn structs(&self, name: &str) -> Vec<Params> {
        let mut found: BTreeMap<u32, Params> = BTreeMap::new();
        for (full, value) in &self.values {
            let Some(rest) = after(full, name) else {
                continue;
            };
            let Some((number, member)) = rest.split_once('.') else {
                continue;
            };
            let Ok(number) = number.parse() else { continue };
            found
                .entry(number)
                .or_insert_with(|| Params {
                    prefix: self.full_name(&format!("{name}.{number}.")),
                    values: BTreeMap::new(),
                })
                .values
                .insert(member.to_owned(), value.clone());
        }
        found.into_values().collect()
    }

    /// A structure, `NAME.…`; empty if no member of it is given.
    pub fn structure(&self, name: &str) -> Params {
        Params {
            prefix: self.full_name(&format!("{name}.")),
            values: self
                .values
                .iter()
                .filter_map(|(full, value)| Some((after(full, name)?.to_owned(), value.clone())))
                .collect(),
        }
    }

    /// Whether no parameter is given.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Every name and value, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What follows `NAME.` in a parameter's full name.
fn after<'a>(full: &'a str, name: &str) -> Option<&'a str> {
    full.strip_prefix(name)?.strip_prefix('.')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_the_order_of_their_numbers() {
        let params = Params::parse(b"Action=X&Id.10=c&Id.2=b&Id.1=a&M.2.K=v&M.1.E.S=w").unwrap();
        assert_eq!(params.list("Id"), ["a", "b", "c"]);
        let structs = params.structs("M");
        assert_eq!(structs[0].structure("E").get("S"), Some("w"));
        assert_eq!(structs[1].full_name("K"), "M.2.K");
    }
}
