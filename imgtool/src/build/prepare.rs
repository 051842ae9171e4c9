//! Everything before content is read: inputs, boot files, plan.

use super::{BuildError, boot_files, inputs};
use crate::boot;
use crate::disk::{self, DiskError, DiskPlan, DiskSpec, Ids};
use crate::input::{self, InputKind};
use crate::lock::{self, Lock, Role};
use crate::pack::InputRecord;
use crate::spec::{self, ContainerDefaults, Firmware, Run, Spec, purpose};
use crate::tree::{Kind, Meta, Node, Tree};
use imgtool_init::config::{self as guest, GuestConfig};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What a build is given besides the spec.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Directory for unnamed temporary files, on a disk with room for decompressed archives.
    pub spool_dir: &'a Path,
    /// Where a dynamic executable's libraries are looked up.
    pub library_dirs: &'a [PathBuf],
    /// Directory where what was unpacked of a kernel's package is kept for the next build.
    pub cache: Option<&'a Path>,
    /// Whether inputs that are files are digested, for a manifest.
    pub digests: bool,
    /// What the inputs have to be.
    pub lock: Option<&'a Lock>,
}

/// An image of which all but the content is known.
#[derive(Debug)]
pub struct Prepared {
    /// Its name.
    pub name: String,
    /// What every identifier in it is derived from.
    pub identity: [u8; 32],
    /// What its input is.
    pub kind: InputKind,
    /// How it boots: `bios`, `uefi`.
    pub boot_modes: Vec<&'static str>,
    /// The kernel's version.
    pub kernel_version: String,
    /// The kernel's command line.
    pub cmdline: String,
    /// What PID 1 is told.
    pub guest: GuestConfig,
    /// What lies where.
    pub plan: DiskPlan,
    /// What it is made from.
    pub inputs: Vec<InputRecord>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// An image's identity as people see it: 64 hexadecimal digits.
pub fn identity_text(prepared: &Prepared) -> String {
    hex::encode(prepared.identity)
}

/// Most files an image may have: as many inodes as ext4 numbers.
const MAX_FILES: u64 = u32::MAX as u64 - 16;

/// Directories that PID 1 mounts something on, or writes to (resolv.conf), with their permission
/// bits.
const MOUNT_POINTS: [(&str, u16); 6] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o755),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
];

/// Scans the inputs, reads the boot files, and plans the disk.
pub fn prepare(spec: &Spec, context: &Context<'_>) -> Result<Prepared, BuildError> {
    let options = input_options(spec, context);
    // Decompressing the kernel's package takes about as long as scanning a large tree.
    let (boot_inputs, loaded) = rayon::join(
        || -> Result<_, BuildError> {
            let kernel = boot::load_kernel(&spec.kernel, spec.modules.as_deref(), context.cache)?;
            let stub = spec.stub.as_deref().map(boot::load_stub).transpose()?;
            Ok((kernel, stub))
        },
        || input::load(&spec.input, &options),
    );
    let input::Input {
        kind,
        mut tree,
        config,
        mut warnings,
    } = loaded?;
    for (source, target) in &spec.add {
        input::add(&mut tree, source, target, &options)?;
    }
    let (kernel, stub) = boot_inputs?;
    // After the scan and before content is read: what changes in between is noticed when the
    // content is read, because it is not what was scanned.
    let inputs = records(spec, kind, context)?;

    let run = run(spec, kind, config)?;
    let identity = spec::identity(spec, &run);
    mount_points(&mut tree)?;
    check_root(&tree, &mut warnings);
    let ids = ids(&identity);
    let guest = guest_config(spec, &tree, run, &identity, ids.root)?;
    let cmdline = boot_files::cmdline(ids.root, spec.extra_cmdline.as_deref());
    let kernel_version = kernel.version.clone();
    let boot = boot_files::boot(spec, kernel, stub, &guest, cmdline.clone())?;
    let disk_spec = DiskSpec {
        ids,
        size: match spec.size {
            spec::Size::Fit { extra } => disk::Size::Fit { extra },
            spec::Size::Exact(len) => disk::Size::Exact(len),
        },
        label: spec.label.clone(),
        timestamp: spec.timestamp,
        boot,
    };
    let plan = disk::plan(&tree, &disk_spec).map_err(|source| match source {
        DiskError::Unrepresentable { .. } => BuildError::Unrepresentable {
            input: spec.input.clone(),
            source,
        },
        other => other.into(),
    })?;
    let boot_modes = match spec.firmware {
        Firmware::Hybrid => vec!["bios", "uefi"],
        Firmware::Bios => vec!["bios"],
        Firmware::Uefi => vec!["uefi"],
    };
    let name = spec.name.clone();
    Ok(Prepared {
        name,
        identity,
        kind,
        boot_modes,
        kernel_version,
        cmdline,
        guest,
        plan,
        inputs,
        warnings,
    })
}

/// How the inputs of `spec` are read.
pub(super) fn input_options<'a>(spec: &Spec, context: &Context<'a>) -> input::Options<'a> {
    input::Options {
        owner: spec.owner.map(|policy| match policy {
            spec::OwnerPolicy::Root => input::OwnerPolicy::Root,
            spec::OwnerPolicy::Keep => input::OwnerPolicy::Keep,
        }),
        max_size: spec.max_size,
        max_files: MAX_FILES,
        spool_dir: context.spool_dir,
        library_dirs: context.library_dirs,
    }
}

/// Checks the lock if there is one, and names the inputs for the manifest.
fn records(
    spec: &Spec,
    kind: InputKind,
    context: &Context<'_>,
) -> Result<Vec<InputRecord>, BuildError> {
    if let Some(lock) = context.lock {
        let actual = inputs::lock_inputs(spec, context)?;
        lock::check(lock, &actual)?;
        let records = actual.inputs().iter().map(|input| InputRecord {
            role: input.role.to_string(),
            kind: input.kind.clone(),
            sha256: Some(input.sha256.clone()),
        });
        return Ok(records.collect());
    }
    let record = |role: Role, path: &Path, kind: &str| -> Result<InputRecord, BuildError> {
        let sha256 = match context.digests && path.is_file() {
            true => Some(lock::digest_file(path)?),
            false => None,
        };
        Ok(InputRecord {
            role: role.to_string(),
            kind: kind.to_string(),
            sha256,
        })
    };
    let of_path = |path: &Path| if path.is_dir() { "directory" } else { "file" };
    let mut records = vec![record(
        Role::Application,
        &spec.input,
        inputs::kind_name(kind),
    )?];
    for (source, target) in &spec.add {
        records.push(record(Role::Add(target.clone()), source, of_path(source))?);
    }
    let boot = [
        (Role::Kernel, Some(&spec.kernel)),
        (Role::Modules, spec.modules.as_ref()),
        (Role::Stub, spec.stub.as_ref()),
    ];
    for (role, path) in boot {
        if let Some(path) = path {
            records.push(record(role, path, inputs::boot_kind(path)?)?);
        }
    }
    Ok(records)
}

fn run(spec: &Spec, kind: InputKind, config: input::ContainerConfig) -> Result<Run, BuildError> {
    // An executable is a program, not an entry point: a command replaces it.
    let elf = matches!(kind, InputKind::Elf { .. });
    let entrypoint = if elf { Vec::new() } else { config.entrypoint };
    let defaults = ContainerDefaults {
        entrypoint,
        cmd: config.cmd,
        env: config
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        user: config.user,
        working_dir: config.working_dir,
    };
    Ok(spec::application(spec, &defaults, elf.then_some("/app"))?)
}

fn ids(identity: &[u8; 32]) -> Ids {
    let uuid = |purpose| spec::derive_uuid(identity, purpose);
    let seed = uuid(purpose::EXT4_HASH_SEED);
    let (words, _) = seed.as_bytes().as_chunks::<4>();
    let mut hash_seed = [0; 4];
    for (to, from) in hash_seed.iter_mut().zip(words) {
        *to = u32::from_le_bytes(*from);
    }
    Ids {
        disk: uuid(purpose::DISK),
        bios: uuid(purpose::PARTITION_BIOS),
        boot: uuid(purpose::PARTITION_ESP),
        root: uuid(purpose::PARTITION_ROOT),
        fat_serial: spec::derive_u32(identity, purpose::FAT_SERIAL),
        ext4: uuid(purpose::EXT4_UUID),
        hash_seed,
    }
}

/// Makes the directories that PID 1 mounts on, where they are missing.
fn mount_points(tree: &mut Tree) -> Result<(), BuildError> {
    for (name, mode) in MOUNT_POINTS {
        if tree.child(Tree::ROOT, name.as_bytes()).is_some() {
            let found = tree.resolve(name.as_bytes()).ok();
            if !found.is_some_and(|id| matches!(tree.node(id).kind, Kind::Dir(_))) {
                return Err(BuildError::NotADirectory { name });
            }
        } else {
            let node = Node {
                meta: Meta::root(mode),
                kind: Kind::Dir(BTreeMap::new()),
                layer: 0,
            };
            tree.insert(Tree::ROOT, name.as_bytes(), node)
                .map_err(|source| BuildError::MountPoint { name, source })?;
        }
    }
    Ok(())
}

/// A root directory that others can't enter is nearly always a temporary directory's mode.
fn check_root(tree: &Tree, warnings: &mut Vec<String>) {
    let mode = tree.node(Tree::ROOT).meta.mode;
    if mode & 0o5 != 0o5 {
        warnings.push(format!(
            "the image's root directory has mode {mode:04o}: only its owner can enter it; \
             chmod 755 the input's top directory if that is not meant"
        ));
    }
}

fn guest_config(
    spec: &Spec,
    tree: &Tree,
    run: Run,
    identity: &[u8; 32],
    root: Uuid,
) -> Result<GuestConfig, BuildError> {
    let run = match run {
        Run::Init(path) => {
            check_program(tree, &path, &[])?;
            guest::Run::Init { path }
        }
        Run::Application(app) => {
            if let Some(program) = app.command.first() {
                check_program(tree, program, &app.env)?;
            }
            let (uid, gid, groups) = input::resolve_user(tree, &app.user)?;
            guest::Run::Application(guest::Application {
                command: app.command,
                env: app.env,
                working_directory: app.working_directory,
                uid,
                gid,
                groups,
                restart: app.restart,
                wait_for_network: app.wait_for_network,
            })
        }
    };
    Ok(GuestConfig {
        identity: hex::encode(identity),
        root_partition: root.to_string(),
        hostname: spec.hostname.clone(),
        grow: spec.grow,
        run,
    })
}

/// Refuses a program that the image does not have: better here than on the console of an instance.
fn check_program(tree: &Tree, program: &str, env: &[(String, String)]) -> Result<(), BuildError> {
    let path = env
        .iter()
        .find(|(name, _)| name == "PATH")
        .map_or("", |(_, value)| value);
    let candidates: Vec<String> = if program.contains('/') {
        vec![program.to_string()]
    } else {
        path.split(':')
            .map(|dir| format!("{dir}/{program}"))
            .collect()
    };
    let mut why = match program.contains('/') {
        true => "the image has no such file".to_string(),
        false => format!("the image has no such program in PATH ({path})"),
    };
    for candidate in candidates {
        // A relative path depends on the working directory: only the guest can tell.
        if !candidate.starts_with('/') {
            return Ok(());
        }
        let Ok(id) = tree.resolve(candidate.as_bytes()) else {
            continue;
        };
        let node = tree.node(id);
        match &node.kind {
            Kind::File(_) if node.meta.mode & 0o111 != 0 => return Ok(()),
            Kind::File(_) => {
                why = format!("{candidate} in the image is not executable (chmod +x it)")
            }
            _ => why = format!("{candidate} in the image is not a regular file"),
        }
    }
    Err(BuildError::Program {
        program: program.to_string(),
        why,
    })
}
