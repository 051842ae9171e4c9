//! Small looks into LocalStack's XML.

use quick_xml::Reader;
use quick_xml::events::Event;

/// The texts of all elements of this name; what can't be read has none.
pub fn texts(xml: &[u8], name: &str) -> Vec<String> {
    let mut out = Vec::new();
    let Ok(xml) = std::str::from_utf8(xml) else {
        return out;
    };
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) if start.local_name().as_ref() == name => {
                let Ok(text) = reader.read_text(start.name()) else {
                    return out;
                };
                out.push(match quick_xml::escape::unescape(&text) {
                    Ok(text) => text.into_owned(),
                    Err(_) => text.to_string(),
                });
            }
            Ok(Event::Eof) | Err(_) => return out,
            Ok(_) => {}
        }
    }
}

/// The first of them.
pub fn text(xml: &[u8], name: &str) -> Option<String> {
    texts(xml, name).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_texts() {
        let xml = b"<?xml version='1.0'?><a xmlns='x'><b>1 &amp; 2</b><c><b>3</b></c></a>";
        assert_eq!(texts(xml, "b"), ["1 & 2", "3"]);
        assert_eq!(text(xml, "d"), None);
        assert_eq!(texts(b"<a><b>1", "b"), Vec::<String>::new());
    }
}
