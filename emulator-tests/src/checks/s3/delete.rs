//! `DeleteObjects`: each object is judged by itself. What is denied is left out of the request, and
//! told in its answer.

use bytes::Bytes;
use emulator_protocol::{AwsError, Xml, xml_text};
use quick_xml::Reader;
use quick_xml::events::Event;
use std::ops::Range;

/// An object that a request asks to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: Option<String>,
    /// Where in the request it is.
    place: Range<usize>,
}

/// An object that must not be deleted, and why.
#[derive(Clone, Debug)]
pub struct Denied {
    /// The object.
    pub target: Target,
    /// What its entry says.
    pub error: AwsError,
}

/// The objects of a request; what can't be read has none, and is LocalStack's to refuse.
pub fn targets(body: &[u8]) -> Vec<Target> {
    let mut out = Vec::new();
    let Ok(text) = std::str::from_utf8(body) else {
        return out;
    };
    let mut reader = Reader::from_str(text);
    loop {
        let start = place(&reader);
        match reader.read_event() {
            Ok(Event::Start(element)) if element.local_name().as_ref() == "Object" => {
                if reader.read_to_end(element.name()).is_err() {
                    return out;
                }
                let place = start..place(&reader);
                let Some(object) = body.get(place.clone()) else {
                    return out;
                };
                if let Some(key) = xml_text::text(object, "Key") {
                    out.push(Target {
                        key,
                        version: xml_text::text(object, "VersionId")
                            .filter(|version| !version.is_empty()),
                        place,
                    });
                }
            }
            Ok(Event::Eof) | Err(_) => return out,
            Ok(_) => {}
        }
    }
}

fn place(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// The request without what is denied; `None` if nothing is left of it.
pub fn rest(body: &Bytes, denied: &[Denied]) -> Option<Bytes> {
    if targets(body).len() <= denied.len() {
        return None;
    }
    let mut rest = Vec::with_capacity(body.len());
    let mut from = 0;
    for denied in denied {
        let place = &denied.target.place;
        rest.extend_from_slice(body.get(from..place.start).unwrap_or_default());
        from = place.end;
    }
    rest.extend_from_slice(body.get(from..).unwrap_or_default());
    Some(rest.into())
}

/// LocalStack's answer with the entries of what was denied; an answer of their own if there is
/// none. `None` if the answer is not the expected XML.
pub fn answer(body: Option<&[u8]>, denied: &[Denied]) -> Option<Bytes> {
    const END: &str = "</DeleteResult>";
    let mut entries = Xml::new();
    for it in denied {
        entries.node("Error", |xml| {
            xml.leaf("Key", &it.target.key)
                .option("VersionId", it.target.version.as_deref())
                .leaf("Code", &it.error.code)
                .leaf("Message", &it.error.message);
        });
    }
    let entries = entries.as_str();
    let Some(body) = body else {
        return Some(
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeleteResult \
                 xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{entries}{END}"
            )
            .into(),
        );
    };
    let text = std::str::from_utf8(body).ok()?;
    if let Some((before, after)) = text.rsplit_once(END) {
        return Some(format!("{before}{entries}{END}{after}").into());
    }
    // With `Quiet`, it may be empty.
    let (before, _) = text.rsplit_once("/>")?;
    before
        .rsplit_once('<')
        .is_some_and(|(_, name)| name.starts_with("DeleteResult"))
        .then(|| format!("{before}>{entries}{END}").into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn denied(target: Target) -> Denied {
        Denied {
            target,
            error: AwsError::new("AccessDenied", "no"),
        }
    }

    #[test]
    fn what_is_denied_is_cut_out() {
        let body = Bytes::from_static(
            b"<?xml version='1.0'?><Delete xmlns='x'><Object><Key>a&amp;b</Key></Object> \
              <Object><Key>c</Key><VersionId>v</VersionId></Object><Quiet>true</Quiet></Delete>",
        );
        let all = targets(&body);
        let names: Vec<_> = all
            .iter()
            .map(|it| (it.key.as_str(), it.version.as_deref()))
            .collect();
        assert_eq!(names, [("a&b", None), ("c", Some("v"))]);
        let left = rest(&body, &[denied(all[1].clone())]).unwrap();
        assert_eq!(
            left,
            "<?xml version='1.0'?><Delete xmlns='x'><Object><Key>a&amp;b</Key></Object> \
             <Quiet>true</Quiet></Delete>"
        );
        let every: Vec<Denied> = all.into_iter().map(denied).collect();
        assert_eq!(rest(&body, &every), None);
        assert!(targets(b"<Delete><Object><Key>a").is_empty());
    }

    #[test]
    fn the_answer_tells_both() {
        let target = Target {
            key: "a&b".to_owned(),
            version: None,
            place: 0..1,
        };
        let denied = [denied(target)];
        let entry = "<Error><Key>a&amp;b</Key><Code>AccessDenied</Code><Message>no</Message>\
                     </Error></DeleteResult>";
        for (body, expected) in [
            (
                "<DeleteResult xmlns='x'><Deleted><Key>c</Key></Deleted></DeleteResult>",
                format!("<DeleteResult xmlns='x'><Deleted><Key>c</Key></Deleted>{entry}"),
            ),
            (
                "<DeleteResult xmlns='x'/>",
                format!("<DeleteResult xmlns='x'>{entry}"),
            ),
        ] {
            let told = answer(Some(body.as_bytes()), &denied).unwrap();
            assert_eq!(told, expected);
        }
        assert!(answer(None, &denied).unwrap().ends_with(entry.as_bytes()));
        assert_eq!(answer(Some(b"<Error/>"), &denied), None);
    }
}
