//! The `image.toml` that `imgtool init` writes.

/// A commented `image.toml`: every field, each commented out with its default or an example.
/// Comment text starts with `# `, a commented field with `#` and no space.
pub const TEMPLATE: &str = include_str!("template.toml");

#[cfg(test)]
mod tests {
    use super::super::{SpecFile, parse};
    use super::*;
    use std::path::Path;

    fn uncommented(keep: impl Fn(&str) -> bool) -> String {
        TEMPLATE
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(field) if !field.is_empty() && !field.starts_with(' ') && keep(field) => field,
                _ => line,
            })
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// All fields of `image.toml`, from the list that serde gives for an unknown one.
    fn fields() -> Vec<String> {
        let error = parse("zzzzzzzzzzzzzzzz = 1", Path::new("x")).unwrap_err();
        let hint = error.hint().unwrap();
        let list = hint.strip_prefix("known fields: ").unwrap();
        list.split(", ").map(str::to_owned).collect()
    }

    #[test]
    fn the_template_says_nothing_until_a_line_is_uncommented() {
        let parsed = parse(TEMPLATE, Path::new("image.toml")).unwrap();
        assert_eq!(parsed, SpecFile::default());
    }

    #[test]
    fn the_template_parses_with_every_line_uncommented_and_has_every_field() {
        let text = uncommented(|_| true);
        parse(&text, Path::new("image.toml")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        for field in fields() {
            assert!(table.contains_key(&field), "{field} is not in the template");
        }
    }

    #[test]
    fn each_line_of_the_template_parses_alone() {
        for line in TEMPLATE.lines() {
            let Some(field) = line.strip_prefix('#').filter(|f| !f.starts_with(' ')) else {
                continue;
            };
            // Fields below a table header belong to it.
            if field.contains(" = ")
                && !["PORT", "source", "target"]
                    .iter()
                    .any(|k| field.starts_with(k))
            {
                parse(&uncommented(|f| f == field), Path::new("image.toml")).unwrap();
            }
        }
    }

    #[test]
    fn the_manual_has_every_field() {
        let manual = include_str!("../../../docs/image-toml.md");
        for field in fields() {
            assert!(
                manual.contains(&format!("`{field}`")),
                "docs/image-toml.md does not describe `{field}`"
            );
        }
    }
}
