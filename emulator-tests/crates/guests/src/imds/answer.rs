//! Answers in the words of the real service.

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// An answer.
pub(super) type Answer = Response<Full<bytes::Bytes>>;

/// A value.
pub(super) fn text(text: impl Into<bytes::Bytes>) -> Answer {
    whole(StatusCode::OK, "text/plain", text)
}

/// Bytes that nobody has looked at: user data.
pub(super) fn bytes(data: Vec<u8>) -> Answer {
    whole(StatusCode::OK, "application/octet-stream", data)
}

/// A refusal: a page, as the service writes them.
pub(super) fn refusal(status: StatusCode) -> Answer {
    let title = format!(
        "{} - {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default()
    );
    let page = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n\
         <!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
         \t\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n \
         <head>\n  <title>{title}</title>\n </head>\n \
         <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    );
    whole(status, "text/html", page)
}

/// A method that there is not, and those that there are.
pub(super) fn only(methods: &'static str) -> Answer {
    let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED);
    answer
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(methods));
    answer
}

fn whole(status: StatusCode, kind: &'static str, body: impl Into<bytes::Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::SERVER, HeaderValue::from_static("EC2ws"));
    answer
}
