//! A Debian package's `control` file (deb-control(5)): the few fields that matter here.

/// What a Debian package says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebInfo {
    /// `Package`: its name.
    pub package: String,
    /// `Version`, as it stands: `[epoch:]upstream[-revision]`.
    pub version: String,
    /// `Architecture`.
    pub architecture: String,
    /// `Depends`, as it stands; empty if there is none.
    pub depends: String,
}

impl DebInfo {
    /// Reads the fields of a `control` file; the error says what is wrong with it.
    pub(super) fn parse(control: &[u8]) -> Result<DebInfo, String> {
        let text = std::str::from_utf8(control).map_err(|_| "its control file is not UTF-8")?;
        let field = |wanted: &str| {
            let mut lines = text.lines().take_while(|l| !l.trim().is_empty()).peekable();
            while let Some(line) = lines.next() {
                let Some((name, value)) = line.split_once(':') else {
                    continue;
                };
                if name.eq_ignore_ascii_case(wanted) {
                    let mut value = value.trim().to_owned();
                    while let Some(more) = lines.next_if(|l| l.starts_with([' ', '\t'])) {
                        value.push(' ');
                        value.push_str(more.trim());
                    }
                    return Some(value);
                }
            }
            None
        };
        // deb-control(5) and deb-version(7): which characters a value may have. They end up in
        // messages and in lock files.
        let checked = |name: &str, also: &str| match field(name) {
            None => Err(format!("its control file has no {name}")),
            Some(v)
                if !v.is_empty()
                    && v.len() <= 256
                    && v.chars()
                        .all(|c| c.is_ascii_alphanumeric() || also.contains(c)) =>
            {
                Ok(v)
            }
            Some(v) => Err(format!("its control file has a malformed {name}: {v:?}")),
        };
        Ok(DebInfo {
            package: checked("Package", "+-.")?,
            version: checked("Version", "+-.:~")?,
            architecture: checked("Architecture", "-")?,
            depends: field("Depends").unwrap_or_default(),
        })
    }

    /// Names of the packages it depends on that begin with `prefix`, first alternatives only.
    pub(super) fn depends_on(&self, prefix: &str) -> Vec<String> {
        self.depends
            .split(',')
            .filter_map(|d| d.split_whitespace().next())
            .filter(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_folded_lines_joined() {
        let info = DebInfo::parse(
            b"package: linux-image-cloud-amd64\nVersion: 1:6.1~rc1-2\nArchitecture: amd64\n\
              Depends: a (>= 1) | b,\n linux-image-6.1 (= 6.1)\n\nPackage: other\n",
        )
        .unwrap();
        assert_eq!(info.package, "linux-image-cloud-amd64");
        assert_eq!(info.version, "1:6.1~rc1-2");
        assert_eq!(info.depends_on("linux-image-"), ["linux-image-6.1"]);
    }

    #[test]
    fn missing_and_malformed_fields_are_refused() {
        for (control, part) in [
            (&b"Version: 1\nArchitecture: all\n"[..], "no Package"),
            (b"Package: a\n\nVersion: 1\n", "no Version"),
            (b"Package: a\x1b[2J\nVersion: 1\n", "malformed Package"),
            (b"Package:\nVersion: 1\n", "malformed Package"),
            (b"Package: a\nVersion: 1/2\n", "malformed Version"),
            (b"\xff", "not UTF-8"),
        ] {
            let err = DebInfo::parse(control).unwrap_err();
            assert!(err.contains(part), "{err}");
        }
    }
}
