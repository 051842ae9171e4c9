//! Whether the inputs are the locked ones.

use std::fmt;

use super::{Lock, LockError, LockedInput};

/// How an input differs from the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// It is there, but its content (or what it is taken for) is another.
    Changed {
        /// As locked.
        locked: LockedInput,
        /// As it is.
        actual: LockedInput,
    },
    /// The lock has it, the build has not.
    Missing(LockedInput),
    /// The build has it, the lock has not.
    New(LockedInput),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Changed { locked, actual } => write!(
                f,
                "{} {} has changed: locked {}, is {}",
                actual.role,
                actual.path,
                Shown(locked),
                Shown(actual)
            ),
            Difference::Missing(locked) => write!(
                f,
                "{} {} is locked ({}), but not an input of this build",
                locked.role,
                locked.path,
                Shown(locked)
            ),
            Difference::New(actual) => write!(
                f,
                "{} {} is not in the lock ({})",
                actual.role,
                actual.path,
                Shown(actual)
            ),
        }
    }
}

/// Kind, package and digest.
struct Shown<'a>(&'a LockedInput);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = self.0;
        write!(f, "{} ", input.kind)?;
        if let Some(package) = &input.package {
            write!(f, "{package} ")?;
        }
        if let Some(version) = &input.version {
            write!(f, "{version} ")?;
        }
        write!(f, "sha256:{}", input.sha256)
    }
}

/// Refuses inputs that are not exactly the locked ones; the error has every difference, in the
/// order of roles. Paths may differ, contents and kinds may not.
pub fn check(lock: &Lock, actual: &Lock) -> Result<(), LockError> {
    let mut differences = Vec::new();
    for locked in lock.inputs() {
        match actual.get(&locked.role) {
            None => differences.push(Difference::Missing(locked.clone())),
            Some(now) if now.sha256 != locked.sha256 || now.kind != locked.kind => {
                differences.push(Difference::Changed {
                    locked: locked.clone(),
                    actual: now.clone(),
                });
            }
            Some(_) => {}
        }
    }
    for now in actual.inputs() {
        if lock.get(&now.role).is_none() {
            differences.push(Difference::New(now.clone()));
        }
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(LockError::Differs(differences))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;

    fn input(role: &str, digit: char) -> LockedInput {
        LockedInput {
            role: role.parse().unwrap(),
            path: format!("in/{role}"),
            kind: "file".into(),
            sha256: String::from(digit).repeat(64),
            package: None,
            version: None,
            architecture: None,
        }
    }

    fn lock(inputs: &[LockedInput]) -> Lock {
        Lock::new(inputs.to_vec()).unwrap()
    }

    #[test]
    fn the_same_inputs_from_elsewhere_pass() {
        let locked = lock(&[input("application", '1'), input("kernel", '2')]);
        let mut moved = input("application", '1');
        moved.path = "elsewhere".into();
        check(&locked, &lock(&[input("kernel", '2'), moved])).unwrap();
    }

    #[test]
    fn each_difference_is_named_with_its_digests() {
        let mut deb = input("kernel", '2');
        deb.kind = "deb".into();
        deb.package = Some("linux-image".into());
        deb.version = Some("6.1-1".into());
        let mut newer = deb.clone();
        newer.version = Some("6.1-2".into());
        newer.sha256 = "3".repeat(64);
        let locked = lock(&[input("application", '1'), deb, input("stub", '4')]);
        let actual = lock(&[input("application", '1'), newer, input("add /etc/x", '5')]);
        let error = check(&locked, &actual).unwrap_err();
        assert_eq!(error.class(), crate::Class::Input);
        let expected = format!(
            "the inputs are not the locked ones:\n\
             kernel in/kernel has changed: locked deb linux-image 6.1-1 sha256:{}, \
             is deb linux-image 6.1-2 sha256:{}\n\
             stub in/stub is locked (file sha256:{}), but not an input of this build\n\
             add /etc/x in/add /etc/x is not in the lock (file sha256:{})",
            "2".repeat(64),
            "3".repeat(64),
            "4".repeat(64),
            "5".repeat(64)
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_same_bytes_taken_for_something_else_are_a_change() {
        let mut other = input("application", '1');
        other.kind = "tar".into();
        let error = check(&lock(&[input("application", '1')]), &lock(&[other])).unwrap_err();
        assert!(matches!(error, LockError::Differs(d) if d.len() == 1));
    }

    #[test]
    fn two_inputs_of_one_role_are_no_lock() {
        let twice = vec![input("add /a", '1'), input("add /a", '2')];
        assert_eq!(Lock::new(twice), Err(Role::Add("/a".into())));
    }
}
