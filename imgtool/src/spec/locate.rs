//! From a TOML error to a message that a person can act on: line, field, nearest known field.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::SpecError;

/// Deserializes `text`; errors name `file`, line and field.
pub(super) fn from_toml<T: DeserializeOwned>(text: &str, file: &Path) -> Result<T, SpecError> {
    toml::from_str(text).map_err(|error| explain(text, file, &error))
}

fn explain(text: &str, file: &Path, error: &toml::de::Error) -> SpecError {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
    // A message is one line; a syntax error's has several.
    let why = error.message().lines().collect::<Vec<_>>().join(", ");
    let invalid = |field, why, hint| SpecError::Invalid {
        file: file.to_owned(),
        line,
        field,
        why,
        hint,
    };
    if let Some((unknown, known)) = unknown_field(&why) {
        let hint = match nearest(&unknown, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known fields: {}", known.join(", ")),
        };
        return invalid(Some(unknown), "unknown field".to_owned(), Some(hint));
    }
    if why == "duplicate key" {
        // No table holds it; the error's place is the second key.
        let field = error.span().and_then(|span| text.get(span));
        let why = "is there twice".to_owned();
        return invalid(field.map(str::to_owned), why, None);
    }
    let field = DeTable::parse(text)
        .ok()
        .and_then(|table| path_at(table.get_ref(), at))
        .map(|path| path.join("."));
    invalid(field, why, None)
}

/// The unknown field and the known ones, from serde's message, which is the only place that has
/// them: ``unknown field `x`, expected one of `a`, `b` ``.
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    Some((unknown.to_owned(), known))
}

/// The known field that is nearest to `unknown`, if one is near enough to be meant.
fn nearest<'a>(unknown: &str, known: &'a [String]) -> Option<&'a String> {
    // The square of the length is what `distance` costs; nobody mistypes by 64 letters.
    if unknown.len() > 64 {
        return None;
    }
    known
        .iter()
        .map(|field| (distance(unknown, field), field))
        .filter(|&(d, field)| d <= 2.max(field.len() / 3))
        .min()
        .map(|(_, field)| field)
}

/// Levenshtein distance, with `-` and `_` taken for one.
fn distance(a: &str, b: &str) -> usize {
    let letters =
        |s: &str| -> Vec<char> { s.chars().map(|c| if c == '-' { '_' } else { c }).collect() };
    let (a, b) = (letters(a), letters(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The keys that lead to what stands at byte `at`.
fn path_at(table: &DeTable<'_>, at: usize) -> Option<Vec<String>> {
    table.iter().find_map(|(key, value)| {
        let inner = below(value, at);
        let here = key.span().contains(&at) || value.span().contains(&at);
        (inner.is_some() || here).then(|| {
            let mut path = vec![key.get_ref().to_string()];
            path.extend(inner.unwrap_or_default());
            path
        })
    })
}

fn below(value: &Spanned<DeValue<'_>>, at: usize) -> Option<Vec<String>> {
    match value.get_ref() {
        DeValue::Table(table) => path_at(table, at),
        DeValue::Array(items) => items.iter().find_map(|item| below(item, at)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_field_is_near_and_another_word_is_not() {
        let known: Vec<String> = ["size", "max_size", "working_directory"]
            .map(str::to_owned)
            .into();
        for (typed, near) in [
            ("sise", Some("size")),
            ("maxsize", Some("max_size")),
            ("max-size", Some("max_size")),
            ("workdirectory", Some("working_directory")),
            ("banana", None),
        ] {
            assert_eq!(nearest(typed, &known).map(String::as_str), near, "{typed}");
        }
        assert_eq!(nearest(&"size".repeat(1000), &known), None);
    }
}
