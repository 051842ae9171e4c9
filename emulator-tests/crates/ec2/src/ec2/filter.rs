//! `Filter.N.Name`, `Filter.N.Value.M`: which records an answer lists.

use emulator_protocol::{AwsError, Params};
use emulator_state::world::Tags;

/// The filters of one request: a record is listed if each filter has a value that it matches.
#[derive(Clone, Debug, Default)]
pub struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Reads the filters. `known` has the names that this action takes; `tag:KEY` is taken where
    /// `tag-key` is.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a name that is not known, or a filter without values.
    pub fn parse(params: &Params, known: &[&str]) -> Result<Self, AwsError> {
        let mut filters = Vec::new();
        for filter in params.structs("Filter") {
            let name = filter.required("Name")?;
            let tag = name.starts_with("tag:") && known.contains(&"tag-key");
            if !tag && !known.contains(&name) {
                return Err(AwsError::new(
                    "InvalidParameterValue",
                    format!("The filter '{name}' is invalid"),
                ));
            }
            let values: Vec<String> = filter.list("Value").into_iter().map(String::from).collect();
            if values.is_empty() {
                return Err(AwsError::new(
                    "InvalidParameterValue",
                    format!("The filter '{name}' has no values"),
                ));
            }
            if values.len() > 200 {
                return Err(AwsError::new(
                    "FilterLimitExceeded",
                    format!("The filter '{name}' has more than 200 values"),
                ));
            }
            filters.push((name.to_owned(), values));
        }
        Ok(Self(filters))
    }

    /// Whether a record passes: `values` gives what the record has under a filter's name, which
    /// may be nothing or several values. Tags are looked at here.
    pub fn pass(&self, tags: &Tags, values: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let has = if let Some(key) = name.strip_prefix("tag:") {
                tags.get(key).cloned().into_iter().collect()
            } else if name == "tag-key" {
                tags.keys().cloned().collect()
            } else {
                values(name)
            };
            has.iter()
                .any(|value| wanted.iter().any(|pattern| matches(pattern, value)))
        })
    }
}

/// Whether a value matches a filter's pattern: `*` is any text, `?` any character, `\` takes the
/// next one as it is. Work is at most the product of the lengths.
pub fn matches(pattern: &str, value: &str) -> bool {
    let pattern: Vec<(char, bool)> = {
        let mut out = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => out.push((chars.next().unwrap_or('\\'), true)),
                c => out.push((c, false)),
            }
        }
        out
    };
    let value: Vec<char> = value.chars().collect();
    let (mut p, mut v) = (0, 0);
    // Where the last star was, and how much of the value it takes so far.
    let mut star: Option<(usize, usize)> = None;
    while v < value.len() {
        match pattern.get(p) {
            Some(('*', false)) => {
                star = Some((p, v));
                p += 1;
            }
            Some(('?', false)) => {
                p += 1;
                v += 1;
            }
            Some((c, _)) if *c == value[v] => {
                p += 1;
                v += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    v = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|part| *part == ('*', false))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards() {
        for (pattern, value, is) in [
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            (r"a\*c", "a*c", true),
            (r"a\*c", "abc", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*a*b*", "xxaxxbxx", true),
        ] {
            assert_eq!(matches(pattern, value), is, "{pattern} {value}");
        }
    }
}
