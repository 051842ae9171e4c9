//! The converter's image: the program, the certificates that it trusts, and nothing else.

use super::program::Program;
use super::tags;
use crate::aws::roots;
use imgtool::build::{self, BuildError, Context, Outputs, Prepared, Written};
use imgtool::pass::Progress;
use imgtool::spec::{Addition, HostConfig, Overrides, Spec, SpecError, WITHOUT_GROWTH};
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tempfile::NamedTempFile;

/// Where the program is in the image, which runs it. The machine ends with it.
const PROGRAM: &str = "/app";
/// What the program is told.
pub const ARGUMENTS: [&str; 2] = ["agent", "--from-instance"];
/// Nobody: all that the program touches is the network.
const USER: &str = "65534:65534";

/// What boots it: what is not given is the host's own.
#[derive(Clone, Debug, Default)]
pub struct Boot {
    /// Kernel.
    pub kernel: Option<PathBuf>,
    /// Its modules, if it is a plain file.
    pub modules: Option<PathBuf>,
    /// UEFI stub.
    pub stub: Option<PathBuf>,
}

/// No image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// What is wanted can't be.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// It can't be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// There is no room for the program and the certificates.
    #[error("{dir}: no temporary file can be made there")]
    Temporary {
        /// Where.
        dir: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

/// An image of which all but the content is known.
#[derive(Debug)]
pub struct Planned {
    /// What imgtool knows of it.
    pub prepared: Prepared,
    /// The program and the certificates, as long as they may be read.
    _files: [NamedTempFile; 2],
}

/// Plans the image. `spool` is a directory with room for the program. Nothing of the host gets into
/// the image but the program, the kernel and the stub.
///
/// # Errors
/// One of them is missing, or is not what it should be.
pub fn plan(
    program: &Program,
    boot: &Boot,
    host: &HostConfig,
    cache: Option<&Path>,
    spool: &Path,
) -> Result<Planned, ImageError> {
    let temporary = |mode, content: &[u8]| {
        temporary(spool, mode, content).map_err(|cause| ImageError::Temporary {
            dir: spool.to_owned(),
            cause,
        })
    };
    let files = [
        temporary(0o755, &program.stripped)?,
        temporary(0o644, roots::pem().as_bytes())?,
    ];
    let [app, roots] = &files;
    let spec = spec(app.path(), boot, host, roots.path())?;
    let prepared = build::prepare(
        &spec,
        &Context {
            spool_dir: spool,
            library_dirs: &[],
            cache,
            digests: true,
            lock: None,
        },
    )?;
    Ok(Planned {
        prepared,
        _files: files,
    })
}

impl Planned {
    /// Builds it. On an error, or when cancelled, nothing is left.
    ///
    /// # Errors
    /// An input can't be read or has changed, or an output can't be written.
    pub fn write(
        &self,
        outputs: &Outputs,
        jobs: usize,
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Written, ImageError> {
        Ok(build::write(
            &self.prepared,
            outputs,
            jobs,
            progress,
            cancel,
        )?)
    }
}

fn spec(app: &Path, boot: &Boot, host: &HostConfig, roots: &Path) -> Result<Spec, SpecError> {
    let value = |source| SpecError::Container {
        field: "converter",
        source,
    };
    let overrides = Overrides {
        name: Some(tags::IMAGE.parse().map_err(value)?),
        kernel: boot.kernel.clone(),
        modules: boot.modules.clone(),
        stub: boot.stub.clone(),
        user: Some(USER.parse().map_err(value)?),
        add: vec![Addition {
            source: roots.to_owned(),
            target: roots::PATH.parse().map_err(value)?,
        }],
        command: [PROGRAM]
            .iter()
            .chain(&ARGUMENTS)
            .map(|it| (*it).to_owned())
            .collect(),
        ..Overrides::default()
    };
    let mut spec = imgtool::spec::resolve(Some(app), None, &overrides, host)?;
    // The program waits itself, once there is nothing left to do without a network.
    spec.app.wait_for_network = Some(false);
    // Nothing is kept there.
    (spec.grow, spec.size) = (false, WITHOUT_GROWTH);
    Ok(spec)
}

/// A file of this mode, as the image has it: the program there is nobody's, and reads its certificates.
fn temporary(dir: &Path, mode: u32, content: &[u8]) -> std::io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(content)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}
