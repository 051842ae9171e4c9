//! Versions of the program: which of two is older.

/// Whether a version is before another: by their numbers, from the first. What is no number is 0.
pub fn is_older(version: &str, than: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        // What follows a hyphen or a plus is no number of it (Semantic Versioning).
        let text = text.split(['-', '+']).next().unwrap_or_default();
        text.split('.').map(|it| it.parse().unwrap_or(0)).collect()
    };
    numbers(version) < numbers(than)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, than, older) in [
            ("0.1.0", "0.1.0", false),
            ("0.1.0", "0.2.0", true),
            ("0.9.0", "0.10.0", true),
            ("1.0.0", "0.10.0", false),
            ("0.1.0-rc.1", "0.1.1", true),
            ("x", "0.0.1", true),
        ] {
            assert_eq!(is_older(version, than), older, "{version} {than}");
        }
    }
}
