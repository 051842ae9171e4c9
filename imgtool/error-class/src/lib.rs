//! What the libraries' errors have in common: a class, which becomes the exit code, a hint, and one way
//! to print an error with its causes.
//!
//! It depends on nothing, so that every library can use it.

use std::error::Error;
use std::fmt;

/// What an error is about. A program that fails with it exits with the class's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The work failed: exit code 1.
    Failed,
    /// The input is wrong: exit code 2.
    Input,
    /// The surroundings are, such as a missing tool, credentials or the network: exit code 3.
    Surroundings,
}

impl Class {
    /// The exit code of a program that fails with an error of this class.
    pub fn exit_code(self) -> u8 {
        match self {
            Class::Failed => 1,
            Class::Input => 2,
            Class::Surroundings => 3,
        }
    }
}

/// An error that a program can end with.
pub trait Classified: Error {
    /// The class, which is the exit code.
    fn class(&self) -> Class;

    /// What a person can do about it.
    fn hint(&self) -> Option<String> {
        None
    }

    /// Whether a signal ended the work: the program then exits as an interrupted one, whatever the
    /// class.
    fn is_interrupt(&self) -> bool {
        false
    }
}

/// Implements [`Classified`] by the errors' own methods `class` and `hint`, which their callers use
/// without importing the trait.
#[macro_export]
macro_rules! classified {
    ($($error:ty),+ $(,)?) => {$(
        impl $crate::Classified for $error {
            fn class(&self) -> $crate::Class {
                <$error>::class(self)
            }

            fn hint(&self) -> Option<String> {
                <$error>::hint(self)
            }
        }
    )+};
}

/// Displays an error and its causes in one line: `outer: middle: root`.
///
/// A cause whose message is part of what is printed already is left out: this workspace's errors do
/// not repeat their source, but those of other crates do.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let message = error.to_string();
            if !text.contains(&message) {
                text.push_str(": ");
                text.push_str(&message);
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|source| source as _)
        }
    }

    fn layers(messages: &[&'static str]) -> Layer {
        let (first, rest) = messages.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| Box::new(layers(rest)));
        Layer(first, source)
    }

    #[test]
    fn causes_follow_the_error_and_each_is_printed_once() {
        for (messages, expected) in [
            (&["alone"][..], "alone"),
            (
                &["a file", "can't be read", "no space"],
                "a file: can't be read: no space",
            ),
            (
                &["pull failed: no route", "no route", "EHOSTUNREACH"],
                "pull failed: no route: EHOSTUNREACH",
            ),
        ] {
            assert_eq!(Chain(&layers(messages)).to_string(), expected);
        }
    }

    #[test]
    fn exit_codes_are_what_the_manual_says() {
        let codes = [Class::Failed, Class::Input, Class::Surroundings].map(Class::exit_code);
        assert_eq!(codes, [1, 2, 3]);
    }
}
