//! Random trees, written by the `tar` crate, which is not what reads them here.

use crate::support::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;
use testutils::*;

#[derive(Debug, Clone)]
enum Kind {
    Dir,
    File {
        size: usize,
        data: Vec<(usize, u8)>,
    },
    Symlink(String),
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
    Fifo,
    /// To one of the files before it.
    Hard(usize),
}

#[derive(Debug, Clone)]
struct Spec {
    kind: Kind,
    mode: u32,
    uid: u64,
    gid: u64,
    xattrs: BTreeMap<String, Vec<u8>>,
}

fn spec() -> impl Strategy<Value = Spec> {
    let data = vec((0_usize..400_000, any::<u8>()), 0..6);
    let kind = prop_oneof![
        3 => Just(Kind::Dir),
        4 => (prop_oneof![0_usize..1000, 0_usize..400_000], data)
            .prop_map(|(size, data)| Kind::File { size, data }),
        1 => "[a-zé]{1,150}".prop_map(Kind::Symlink),
        1 => (any::<bool>(), 0_u32..4096, 0_u32..(1 << 20))
            .prop_map(|(block, major, minor)| Kind::Device { block, major, minor }),
        1 => Just(Kind::Fifo),
        1 => (0_usize..50).prop_map(Kind::Hard),
    ];
    let xattrs = btree_map("user\\.[a-z]{1,9}", vec(any::<u8>(), 0..40), 0..3);
    (
        kind,
        0_u32..0o10000,
        0_u64..3_000_000,
        0_u64..3_000_000,
        xattrs,
    )
        .prop_map(|(kind, mode, uid, gid, xattrs)| Spec {
            kind,
            mode,
            uid,
            gid,
            xattrs,
        })
}

/// Entries by path; only a path below a directory counts, so parents are put in.
fn build(specs: Vec<(Vec<u8>, Spec)>) -> (Vec<u8>, String) {
    let mut out = tar::Builder::new(Vec::new());
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    let mut files: Vec<(String, String)> = Vec::new();
    let mut dirs = vec![String::new()];
    lines.insert("/".into(), "0755 0:0 dir".into());
    for (i, (choice, spec)) in specs.into_iter().enumerate() {
        let parent = dirs[usize::from(choice[0]) % dirs.len()].clone();
        let name = match choice[1] % 4 {
            0 => "n".repeat(usize::from(choice[2])) + &i.to_string(),
            1 => format!("ü{i}"),
            _ => format!("f{i}"),
        };
        let path = format!("{parent}/{name}");
        if name.len() > 255 || path.len() > 4000 {
            continue;
        }
        let mut header = tar::Header::new_gnu();
        header.set_mode(spec.mode);
        header.set_uid(spec.uid);
        header.set_gid(spec.gid);
        header.set_size(0);
        let mut body = Vec::new();
        let mut mode = spec.mode;
        let mut link = None;
        let mut hard = None;
        let what = match &spec.kind {
            Kind::Dir => {
                header.set_entry_type(tar::EntryType::Directory);
                dirs.push(path.clone());
                "dir".to_string()
            }
            Kind::File { size, data } => {
                body = vec![0; *size];
                for (at, byte) in data {
                    if let Some(b) = body.get_mut(*at) {
                        *b = *byte;
                    }
                }
                header.set_size(*size as u64);
                format!("file {}", describe(&body))
            }
            Kind::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                mode = 0o777;
                link = Some(target.clone());
                format!("-> {target}")
            }
            Kind::Device {
                block,
                major,
                minor,
            } => {
                let kinds = [tar::EntryType::Char, tar::EntryType::Block];
                header.set_entry_type(kinds[usize::from(*block)]);
                header.set_device_major(*major).unwrap();
                header.set_device_minor(*minor).unwrap();
                format!("{} {major},{minor}", ["char", "block"][usize::from(*block)])
            }
            Kind::Fifo => {
                header.set_entry_type(tar::EntryType::Fifo);
                "fifo".to_string()
            }
            Kind::Hard(n) if !files.is_empty() => {
                header.set_entry_type(tar::EntryType::Link);
                hard = Some(files[n % files.len()].clone());
                String::new()
            }
            Kind::Hard(_) => continue,
        };
        let relative = &path[1..];
        if let Some((target, line)) = hard {
            out.append_link(&mut header, relative, &target[1..])
                .unwrap();
            lines.insert(path, line);
            continue;
        }
        let records: Vec<(String, &[u8])> = spec
            .xattrs
            .iter()
            .map(|(k, v)| (format!("SCHILY.xattr.{k}"), v.as_slice()))
            .collect();
        out.append_pax_extensions(records.iter().map(|(k, v)| (k.as_str(), *v)))
            .unwrap();
        match link {
            Some(target) => out.append_link(&mut header, relative, target).unwrap(),
            None => out.append_data(&mut header, relative, &body[..]).unwrap(),
        }
        let mut line = format!("{mode:04o} {}:{} {what}", spec.uid, spec.gid);
        for (name, value) in &spec.xattrs {
            line.push_str(&format!(" {name}={}", hex::encode(value)));
        }
        if matches!(spec.kind, Kind::File { .. }) {
            files.push((path.clone(), line.clone()));
        }
        lines.insert(path, line);
    }
    let text = lines
        .iter()
        .map(|(path, line)| format!("{path} {line}\n"))
        .collect();
    (out.into_inner().unwrap(), text)
}

/// Size, data by 64 KiB chunks, digest: as the dump has it, by another way.
fn describe(body: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    const CHUNK: usize = 64 * 1024;
    let mut data: Vec<(usize, usize)> = Vec::new();
    if body.len() < CHUNK && !body.is_empty() {
        data.push((0, body.len()));
    } else {
        for (i, chunk) in body.chunks(CHUNK).enumerate() {
            if chunk.iter().all(|&b| b == 0) {
                continue;
            }
            match data.last_mut() {
                Some((at, len)) if *at + *len == i * CHUNK => *len += chunk.len(),
                _ => data.push((i * CHUNK, chunk.len())),
            }
        }
    }
    let hash = hex::encode(Sha256::digest(body));
    format!("{} {data:?} {}", body.len(), &hash[..12])
}

/// A dump without hard links being told: each name has its node's line. Sorted by path.
fn flat(text: &str) -> Vec<String> {
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines() {
        let (path, rest) = line.split_once(' ').unwrap();
        let rest = match rest.strip_prefix("= ") {
            Some(first) => lines[first].clone(),
            None => rest.to_string(),
        };
        lines.insert(path.to_string(), rest);
    }
    lines.into_iter().map(|(p, l)| format!("{p} {l}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_comes_back_from_tar_as_it_was(
        specs in vec((vec(any::<u8>(), 3), spec()), 0..40)
    ) {
        let (bytes, expected) = build(specs);
        // An archive without files is refused.
        prop_assume!(expected.lines().count() > 1);
        let input = load_bytes(&bytes).unwrap_or_else(|e| panic!("{}", message(&e)));
        prop_assert_eq!(flat(&dump(&input.tree)), flat(&expected));
    }

    #[test]
    fn a_damaged_archive_is_read_or_refused_but_nothing_else(
        specs in vec((vec(any::<u8>(), 3), spec()), 0..8),
        damage in vec((any::<usize>(), any::<u8>()), 1..6),
        fix in any::<bool>(),
    ) {
        let (mut bytes, _) = build(specs);
        for (at, byte) in damage {
            // Headers are where damage shows.
            let at = at % bytes.len();
            bytes[at] = byte;
            let start = at / 512 * 512;
            if fix && bytes.len() >= start + 512 {
                let mut block: [u8; 512] = bytes[start..start + 512].try_into().unwrap();
                checksum(&mut block);
                bytes[start..start + 512].copy_from_slice(&block);
            }
        }
        let dir = tempfile::tempdir().unwrap();
        match imgtool::input::tar_from_bytes("damaged", &bytes, &options(dir.path())) {
            Ok(tree) => prop_assert!(!tree.walk().is_empty()),
            Err(error) => prop_assert!(message(&error).contains("damaged")),
        }
    }

    #[test]
    fn a_damaged_executable_is_read_or_refused_but_nothing_else(
        damage in vec((0_usize..1024, any::<u8>()), 1..20),
        len in 0_usize..65536,
    ) {
        use std::io::Read;
        let mut bytes = Vec::new();
        let program = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        program.take(65536).read_to_end(&mut bytes).unwrap();
        for (at, byte) in damage {
            bytes[at] = byte;
        }
        bytes.truncate(len);
        if let Err(error) = imgtool::input::elf_needed("damaged", &bytes) {
            prop_assert!(message(&error).contains("damaged"));
        }
    }
}
