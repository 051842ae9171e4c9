//! XML as the EC2 API answers: elements without attributes, lists of `<item>`.

use quick_xml::escape::escape;
use time::OffsetDateTime;
use time::macros::format_description;

/// The inside of an element, written in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xml {
    text: String,
}

impl Xml {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// `<NAME>VALUE</NAME>`, escaped.
    pub fn leaf(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.wrap(name, &escape(clean(&value.to_string())))
    }

    /// The same if there is a value.
    pub fn option(&mut self, name: &str, value: Option<impl std::fmt::Display>) -> &mut Self {
        match value {
            Some(value) => self.leaf(name, value),
            None => self,
        }
    }

    /// A time, as EC2 writes it: `2026-01-31T23:59:59.000Z`.
    pub fn time(&mut self, name: &str, time: OffsetDateTime) -> &mut Self {
        self.leaf(name, ec2_time(time))
    }

    /// `<NAME>…</NAME>` with what `fill` writes.
    pub fn node(&mut self, name: &str, fill: impl FnOnce(&mut Xml)) -> &mut Self {
        let mut inner = Xml::new();
        fill(&mut inner);
        self.wrap(name, &inner.text)
    }

    /// `<NAME><item>…</item>…</NAME>`.
    pub fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Xml, T),
    ) -> &mut Self {
        self.node(name, |list| {
            for item in items {
                list.node("item", |xml| fill(xml, item));
            }
        })
    }

    /// `<return>true</return>`, the answer of calls that have nothing else to say.
    pub fn done() -> Self {
        let mut xml = Self::new();
        xml.leaf("return", true);
        xml
    }

    /// Text that is XML already.
    pub fn raw(&mut self, xml: &str) -> &mut Self {
        self.text.push_str(xml);
        self
    }

    /// What was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn wrap(&mut self, name: &str, inner: &str) -> &mut Self {
        for part in ["<", name, ">", inner, "</", name, ">"] {
            self.text.push_str(part);
        }
        self
    }
}

/// Without what XML 1.0 section 2.2 has no way to write.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|&c| c >= ' ' || matches!(c, '\t' | '\n' | '\r'))
        .filter(|&c| !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .collect()
}

/// A time as EC2 writes it.
pub fn ec2_time(time: OffsetDateTime) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    // Formatting fails only on a component that the type lacks; this type has all of them.
    time.to_offset(time::UtcOffset::UTC)
        .format(format)
        .unwrap_or_default()
}
