//! Users and groups by name, as the image's own `/etc/passwd` and `/etc/group` have them.

use super::InputError;
use crate::tree::{Kind, Tree};

/// Largest passwd or group file that is read.
const MAX_FILE: u64 = 8 << 20;
/// Most supplementary groups that Linux takes (`NGROUPS_MAX`).
const MAX_GROUPS: usize = 65536;

/// Resolves `name`, `uid`, `name:group`, `uid:gid` and mixtures to user id, group id and
/// supplementary group ids, as container runtimes do: a user without a group gets its own group
/// and those that list it; a number that the image has no name for is taken as it is, with group
/// 0; a group that is named stands alone.
pub fn resolve_user(tree: &Tree, user: &str) -> Result<(u32, u32, Vec<u32>), InputError> {
    let refuse = |why: String| InputError::User {
        user: user.to_string(),
        why,
    };
    let (name, group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user, None),
    };
    if name.is_empty() || group == Some("") {
        return Err(refuse("write USER or USER:GROUP".to_string()));
    }
    let passwd = lines(tree, "/etc/passwd").map_err(refuse)?;
    // Names first: a user may be called 1000.
    let found = passwd
        .iter()
        .find(|fields| fields.first().is_some_and(|f| f == name))
        .or_else(|| passwd.iter().find(|f| f.get(2).is_some_and(|u| u == name)));
    let entry = found.and_then(|fields| {
        let id = |at: usize| fields.get(at).and_then(|f| number(f));
        Some((fields.first()?.clone(), id(2)?, id(3)?))
    });
    let (name, uid, own_group) = match entry {
        Some((name, uid, gid)) => (Some(name), uid, gid),
        None if found.is_some() => {
            return Err(refuse(
                "its line in the image's /etc/passwd is broken".to_string(),
            ));
        }
        None => match number(name) {
            Some(uid) => (None, uid, 0),
            None => {
                return Err(refuse(format!(
                    "the image's /etc/passwd has no user {name:?}"
                )));
            }
        },
    };
    let groups = lines(tree, "/etc/group").map_err(refuse)?;
    let gid_of = |fields: &Vec<String>| fields.get(2).and_then(|f| number(f));
    if let Some(group) = group {
        let found = groups
            .iter()
            .find(|fields| fields.first().is_some_and(|f| f == group))
            .and_then(gid_of);
        let gid = found
            .or_else(|| number(group))
            .ok_or_else(|| refuse(format!("the image's /etc/group has no group {group:?}")))?;
        return Ok((uid, gid, Vec::new()));
    }
    let mut others: Vec<u32> = groups
        .iter()
        .filter(|fields| {
            let members = fields.get(3).map_or("", String::as_str);
            members.split(',').any(|m| Some(m) == name.as_deref())
        })
        .filter_map(gid_of)
        .filter(|&gid| gid != own_group)
        .collect();
    others.sort_unstable();
    others.dedup();
    if others.len() > MAX_GROUPS {
        return Err(refuse(format!("more than {MAX_GROUPS} groups")));
    }
    Ok((uid, own_group, others))
}

/// A user or group id; 4294967295 means "none" to the kernel.
fn number(text: &str) -> Option<u32> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&id| id != u32::MAX)
}

/// The lines of a file of the tree, split at colons; none if there is no such file.
fn lines(tree: &Tree, path: &str) -> Result<Vec<Vec<String>>, String> {
    let Ok(id) = tree.resolve(path.as_bytes()) else {
        return Ok(Vec::new());
    };
    let Kind::File(content) = &tree.node(id).kind else {
        return Err(format!("the image's {path} is not a file"));
    };
    let bytes = content.read_all(MAX_FILE).map_err(|e| e.to_string())?;
    let bytes =
        bytes.ok_or_else(|| format!("the image's {path} is larger than {MAX_FILE} bytes"))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let fields = lines.map(|line| line.split(':').map(str::to_string).collect());
    Ok(fields.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Meta, Node};

    fn tree() -> Tree {
        let mut tree = Tree::new();
        for (path, text) in [
            (
                "/etc/passwd",
                "root:x:0:0::/:/bin/sh\nweb:x:101:102::/srv:/bin/false\n7:x:77:78::/:\nbad:x:y:0::/:\n",
            ),
            (
                "/etc/group",
                "root:x:0:\nweb:x:102:\nlog:x:4:web,adm\nssl:x:3:adm,web\n9:x:99:\n",
            ),
        ] {
            let place = tree
                .locate_or_create::<crate::tree::ResolveError>(path.as_bytes(), 0, || Ok(()))
                .unwrap();
            let node = Node {
                meta: Meta::root(0o644),
                kind: Kind::File(Content::from_bytes(text.as_bytes())),
                layer: 0,
            };
            tree.insert(place.dir, &place.name.unwrap(), node).unwrap();
        }
        tree
    }

    #[test]
    fn users_by_name_and_number() {
        let tree = tree();
        for (user, expected) in [
            ("web", (101, 102, vec![3, 4])),
            ("101", (101, 102, vec![3, 4])),
            ("web:log", (101, 4, vec![])),
            ("101:102", (101, 102, vec![])),
            ("1000", (1000, 0, vec![])),
            ("1000:1000", (1000, 1000, vec![])),
            ("7", (77, 78, vec![])),
            ("0:9", (0, 99, vec![])),
            ("root", (0, 0, vec![])),
        ] {
            assert_eq!(resolve_user(&tree, user).unwrap(), expected, "{user}");
        }
        assert_eq!(resolve_user(&Tree::new(), "5:6").unwrap(), (5, 6, vec![]));
    }

    #[test]
    fn unknown_users_are_refused_by_name() {
        let tree = tree();
        for (user, why) in [
            ("nobody", "no user \"nobody\""),
            ("web:staff", "no group \"staff\""),
            ("-1", "no user"),
            ("4294967295", "no user"),
            ("", "write USER"),
            ("web:", "write USER"),
            ("bad", "broken"),
        ] {
            let error = resolve_user(&tree, user).unwrap_err().to_string();
            assert!(error.contains(why), "{user}: {error}");
        }
    }
}
