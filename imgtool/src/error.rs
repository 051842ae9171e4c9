//! What several stages do with the errors of others.

/// The same error without the path of a temporary file, whose random name helps nobody.
pub(crate) fn without_temporary(error: std::io::Error) -> std::io::Error {
    let text = error.to_string();
    match text.split_once(" at path ") {
        Some((cause, _)) => std::io::Error::new(error.kind(), cause),
        None => error,
    }
}
