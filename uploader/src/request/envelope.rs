//! The message: a request's text, and its signature.

use super::{FormError, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest message that is read. Most have 600 bytes; one with 40 tags of the greatest length, in
/// ASCII, has 16 KiB. SQS takes 256 KiB.
pub const MAX_MESSAGE: usize = 32 << 10;
/// Version of the envelope.
const VERSION: u32 = 1;
/// Longest signature: one of RSA with 4096 bits.
const MAX_SIGNATURE: usize = 512;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Version of this format: 1.
    pub version: u32,
    /// The request, as the text that was signed.
    pub request: String,
    /// The signature over its SHA-256, in base64.
    pub signature: String,
}

/// A message that can't be a request.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is too long.
    #[error("the message is {0} bytes long: a request has at most {MAX_MESSAGE}")]
    TooLong(usize),
    /// It is not an envelope.
    #[error("the message is not a signed request: {0}")]
    Envelope(String),
    /// What is in it is no request.
    #[error("the message's request can't be read: {0}")]
    Request(String),
    /// A field is wrong.
    #[error(transparent)]
    Form(#[from] FormError),
}

/// A message that was opened. Nothing in it is to be believed before the signature is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The request.
    pub request: Request,
    /// SHA-256 of its text: what was signed.
    pub sha256: [u8; 32],
    /// The signature.
    pub signature: Vec<u8>,
}

impl Envelope {
    /// Puts a signed text into an envelope.
    pub fn new(request: String, signature: &[u8]) -> Envelope {
        Envelope {
            version: VERSION,
            request,
            signature: STANDARD.encode(signature),
        }
    }

    /// Reads a message's body.
    ///
    /// # Errors
    /// It is too long, not in form, or a field is wrong.
    pub fn open(body: &str) -> Result<Opened, OpenError> {
        if body.len() > MAX_MESSAGE {
            return Err(OpenError::TooLong(body.len()));
        }
        let envelope: Envelope =
            serde_json::from_str(body).map_err(|error| OpenError::Envelope(error.to_string()))?;
        let refused = |why: &str| OpenError::Envelope(why.to_owned());
        if envelope.version != VERSION {
            return Err(refused(&format!(
                "version {}, and only {VERSION} is known",
                envelope.version
            )));
        }
        let signature = STANDARD
            .decode(&envelope.signature)
            .ok()
            .filter(|it| (1..=MAX_SIGNATURE).contains(&it.len()))
            .ok_or_else(|| refused("its signature is not base64 of a signature's length"))?;
        let request: Request = serde_json::from_str(&envelope.request)
            .map_err(|error| OpenError::Request(error.to_string()))?;
        request.check()?;
        Ok(Opened {
            request,
            sha256: Sha256::digest(&envelope.request).into(),
            signature,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{AmiSpec, DEFAULT_LIFE, ImageRef};
    use crate::vault::Names;
    use proptest::prelude::*;

    fn text() -> String {
        let names = Names::new("image-vault", "123456789012", "eu-west-1", "aws").unwrap();
        let image = ImageRef {
            name: "web".to_owned(),
            digest: "ab".repeat(32).parse().unwrap(),
        };
        let now = time::macros::datetime!(2026-05-01 12:00 UTC);
        let request = Request::new(
            &names,
            image,
            AmiSpec::default(),
            now,
            DEFAULT_LIFE,
            [7; 16],
        );
        serde_json::to_string(&request).unwrap()
    }

    fn message(text: &str) -> String {
        serde_json::to_string(&Envelope::new(text.to_owned(), b"signature")).unwrap()
    }

    fn said(body: &str) -> String {
        Envelope::open(body).unwrap_err().to_string()
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        let opened = Envelope::open(&message(&text())).unwrap();
        assert_eq!(serde_json::to_string(&opened.request).unwrap(), text());
        assert_eq!(opened.sha256, <[u8; 32]>::from(Sha256::digest(text())));
        assert_eq!(opened.signature, b"signature");
    }

    #[test]
    fn the_text_is_frozen() {
        assert_eq!(
            text(),
            format!(
                r#"{{"version":1,"id":"07070707-0707-4707-8707-070707070707","account":"123456789012","region":"eu-west-1","vault":"image-vault","image":{{"name":"web","digest":"{}"}},"ami":{{}},"issued":"2026-05-01T12:00:00Z","expires":"2026-05-02T12:00:00Z"}}"#,
                "ab".repeat(32)
            )
        );
    }

    #[test]
    fn what_is_no_request_is_refused_by_what_is_wrong() {
        assert!(said(&"x".repeat(MAX_MESSAGE + 1)).contains("32769 bytes"));
        assert!(said("{}").contains("not a signed request"));
        let with = |from: &str, to: &str| said(&message(&text().replacen(from, to, 1)));
        assert!(with(r#""ami""#, r#""bucket":"other","ami""#).contains("bucket"));
        assert!(with("123456789012", "12345678901").contains("account"));
        assert!(with(r#""version":1"#, r#""version":2"#).contains("version"));
        let body = message(&text()).replacen(r#""version":1"#, r#""version":9"#, 1);
        assert!(said(&body).contains("version 9"));
        let long = Envelope::new(text(), &[0; 513]);
        assert!(said(&serde_json::to_string(&long).unwrap()).contains("signature"));
    }

    proptest! {
        #[test]
        fn a_changed_byte_never_keeps_the_digest(at in 0usize..400, to in any::<u8>()) {
            let mut body = message(&text()).into_bytes();
            let at = at % body.len();
            prop_assume!(body[at] != to);
            body[at] = to;
            let Ok(body) = String::from_utf8(body) else { return Ok(()) };
            let whole = Envelope::open(&message(&text())).unwrap();
            if let Ok(opened) = Envelope::open(&body) {
                // The same text spelled otherwise in the envelope is the same text.
                prop_assert!(opened.sha256 != whole.sha256
                    || opened.signature != whole.signature
                    || opened.request == whole.request);
            }
        }
    }
}
