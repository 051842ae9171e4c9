//! What an image has and the destination can't.

use std::collections::BTreeMap;

use crate::inspect::{Attribute, Escaped};

/// What was left out, to be told in few lines: an image may have thousands of files with the same
/// attribute.
#[derive(Default)]
pub(super) struct Losses {
    /// By what is lost and why: the first file, and how many there are.
    lost: BTreeMap<(String, String), (String, u64)>,
}

impl Losses {
    /// An extended attribute of a file.
    pub(super) fn attribute(&mut self, attribute: &Attribute, path: &[u8], why: &str) {
        let what = format!("extended attribute {}", Escaped(&attribute.name));
        self.add(format!("{what} not kept"), path, why);
    }

    /// A device node.
    pub(super) fn device(&mut self, path: &[u8]) {
        self.add("device not made".to_owned(), path, "only root can");
    }

    fn add(&mut self, what: String, path: &[u8], why: &str) {
        let first = || (Escaped(path).to_string(), 0);
        let lost = self.lost.entry((what, why.to_owned()));
        lost.or_insert_with(first).1 += 1;
    }

    /// A warning for each.
    pub(super) fn warnings(self) -> Vec<String> {
        let warning = |((what, why), (first, count)): ((String, String), (String, u64))| {
            let more = match count {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            format!("{what}: {first}{more} ({why})")
        };
        self.lost.into_iter().map(warning).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_by_what_and_why() {
        let mut losses = Losses::default();
        let attribute = |name: &str| Attribute {
            name: name.into(),
            value: Vec::new(),
        };
        losses.device(b"/dev/null");
        losses.attribute(&attribute("user.b"), b"/x\n", "no room");
        losses.attribute(&attribute("user.a"), b"/one", "no room");
        losses.attribute(&attribute("user.a"), b"/two", "no room");
        assert_eq!(
            losses.warnings(),
            [
                "device not made: /dev/null (only root can)",
                "extended attribute user.a not kept: /one and 1 more (no room)",
                "extended attribute user.b not kept: /x\\n (no room)",
            ]
        );
    }
}
