//! The application's process.

use std::ffi::{CString, OsStr, c_char};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::ptr;

use imgtool_init::config::Application;
use rustix::fs::{Gid, Uid};
use rustix::process::{Pid, Resource, Rlimit, setrlimit, setsid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::failure::{Context, Failure, Result};
use super::log::open_terminal;
use super::signals;

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Open files that an application may ask for, as systemd has it. It starts with 1,024, because
/// `select` breaks beyond that.
const OPEN_FILES: Rlimit = Rlimit {
    current: Some(1024),
    maximum: Some(524_288),
};

/// An application, ready to be started any number of times.
pub(crate) struct Program<'a> {
    config: &'a Application,
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    groups: Vec<Gid>,
}

impl<'a> Program<'a> {
    /// Finds the program and makes everything ready that starting it needs.
    pub(crate) fn new(config: &'a Application) -> Result<Self> {
        let name = config
            .command
            .first()
            .map(String::as_str)
            .unwrap_or_default();
        let c_string = |text: String| {
            CString::new(text).map_err(|_| can_not_run(name, "a NUL byte in its configuration"))
        };
        let path = find(name, &config.env)?;
        Ok(Self {
            path: c_string(path)?,
            arguments: config
                .command
                .iter()
                .cloned()
                .map(c_string)
                .collect::<Result<_>>()?,
            environment: config
                .env
                .iter()
                .map(|(name, value)| c_string(format!("{name}={value}")))
                .collect::<Result<_>>()?,
            groups: config
                .groups
                .iter()
                .map(|&gid| Gid::from_raw(gid))
                .collect(),
            config,
        })
    }

    /// Starts it: its own session, its user, the console as its output.
    pub(crate) fn start(&self) -> Result<Pid> {
        let directory = Path::new(&self.config.working_directory);
        if !directory.is_dir() {
            let reason = format!("its working directory {} is missing", directory.display());
            return Err(can_not_run(&self.name(), &reason));
        }
        let console = || open_terminal("/dev/console").map_or_else(|_| Stdio::null(), Stdio::from);
        let mut command = Command::new(OsStr::new(""));
        command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(console())
            .stderr(console());

        let pointers = |strings: &[CString]| -> Vec<usize> {
            // As numbers, because pointers are not Send, which the closure has to be.
            strings
                .iter()
                .map(|s| s.as_ptr().addr())
                .chain([0])
                .collect()
        };
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        let path = self.path.as_ptr().addr();
        let groups = self.groups.clone();
        let (uid, gid) = (
            Uid::from_raw(self.config.uid),
            Gid::from_raw(self.config.gid),
        );
        let become_application = move || -> io::Result<()> {
            signals::unblock_all();
            setsid()?;
            setrlimit(Resource::Nofile, OPEN_FILES)?;
            set_thread_groups(&groups)?;
            set_thread_res_gid(gid, gid, gid)?;
            // The kernel takes all capabilities away here when the user is not root.
            set_thread_res_uid(uid, uid, uid)?;
            // SAFETY: path and the strings in both arrays belong to `self`, which outlives
            // `spawn`, and the arrays end with a null pointer.
            #[allow(unsafe_code)]
            unsafe {
                libc::execve(
                    ptr::with_exposed_provenance::<c_char>(path),
                    arguments.as_ptr().cast(),
                    environment.as_ptr().cast(),
                );
            }
            Err(io::Error::last_os_error())
        };
        // Command's own exec sorts the environment, and would hand a file that is not a program
        // to a shell.
        // SAFETY: the closure makes system calls only: it allocates nothing and takes no lock.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(become_application);
        }
        match command.spawn() {
            Ok(child) => i32::try_from(child.id())
                .ok()
                .and_then(Pid::from_raw)
                .ok_or_else(|| can_not_run(&self.name(), "its process id makes no sense")),
            Err(error) => Err(self.explain(&error)),
        }
    }

    fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// What the system said, and what that means.
    fn explain(&self, error: &io::Error) -> Failure {
        let name = self.name();
        let path = Path::new(&self.config.working_directory).join(&name);
        let meaning = match error.raw_os_error() {
            Some(libc::ENOENT) if path.exists() => {
                "the file is there, but the interpreter that it names is not".to_owned()
            }
            Some(libc::ENOENT) => "the image has no such file".to_owned(),
            Some(libc::EACCES) => format!("user {} may not execute it", self.config.uid),
            Some(libc::ENOEXEC) => "it is not a program for this machine".to_owned(),
            _ => return can_not_run(&name, &error_text(error)),
        };
        can_not_run(&name, &format!("{} ({meaning})", error_text(error)))
    }
}

/// The system's words for an error, without its number.
fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn can_not_run(name: &str, reason: &str) -> Failure {
    Failure::new(format!("can't run {name}: {reason}"))
}

/// The program's path: as it is with a `/`, else from the first directory in `PATH` that has it.
fn find(name: &str, env: &[(String, String)]) -> Result<String> {
    if name.is_empty() {
        return Err(Failure::new(
            "can't run the application: its command is empty",
        ));
    }
    if name.contains('/') {
        return Ok(name.to_owned());
    }
    let path = env
        .iter()
        .find(|(name, _)| name == "PATH")
        .map_or(DEFAULT_PATH, |(_, v)| v);
    path.split(':')
        .filter(|directory| directory.starts_with('/'))
        .map(|directory| Path::new(directory).join(name))
        .find(|candidate| is_program(candidate))
        .and_then(|found| PathBuf::into_os_string(found).into_string().ok())
        .ok_or_else(|| {
            let reason = format!("No such file or directory (not in any directory of PATH={path})");
            can_not_run(name, &reason)
        })
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Gives the application's user the console, so that it can open `/dev/stdout` anew.
pub(crate) fn give_console(config: &Application) -> Result<()> {
    std::os::unix::fs::chown("/dev/console", Some(config.uid), Some(config.gid))
        .context(|| "can't give the console to the application".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_looked_up_in_the_configured_path() {
        let env = |path: &str| vec![("PATH".to_owned(), path.to_owned())];
        assert_eq!(find("./sh", &env("/bin")).unwrap(), "./sh");
        assert_eq!(
            find("sh", &env("/nonexistent:relative:/bin")).unwrap(),
            "/bin/sh"
        );
        assert!(find("sh", &[]).unwrap().ends_with("/sh"));
        assert!(find("", &[]).is_err());
        let failure = find("passwd", &env("/etc")).unwrap_err().to_string();
        assert!(
            failure.starts_with("can't run passwd: No such file or directory"),
            "{failure}"
        );
    }
}
