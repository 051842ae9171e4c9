//! What runs: the user's words and the container image's configuration, merged as Docker does.

use super::{AppChoice, EnvName, GuestPath, Restart, Spec, SpecError, User};

/// `PATH` where nothing says another: Docker's and Debian's.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a container image's configuration says (OCI image specification, "config").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerDefaults {
    /// `Entrypoint`
    pub entrypoint: Vec<String>,
    /// `Cmd`
    pub cmd: Vec<String>,
    /// `Env`, each `NAME=VALUE`. One without `=` is left out, as Docker leaves it unset.
    pub env: Vec<String>,
    /// `User`
    pub user: Option<String>,
    /// `WorkingDir`
    pub working_dir: Option<String>,
}

/// What runs once the root file system is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// The image's own init, by its absolute path, takes over as PID 1.
    Init(String),
    /// PID 1 looks after one application.
    Application(RunSpec),
}

/// The application that PID 1 looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSpec {
    /// Program and arguments; never empty, nor is the program.
    pub command: Vec<String>,
    /// The whole environment, names unique; has `PATH` and `HOME`.
    pub env: Vec<(String, String)>,
    /// `USER`, `UID`, `USER:GROUP` or `UID:GID`, to be looked up in the image.
    pub user: String,
    /// Absolute working directory.
    pub working_directory: String,
    /// When a finished application is started again.
    pub restart: Restart,
    /// Whether it starts when the network is up, and not before.
    pub wait_for_network: bool,
}

/// Merges the spec with the container image's configuration.
///
/// The command is the first of: `-- COMMAND ARGS…`; `entrypoint` and `command`, where each one
/// not in the spec is the container image's, except that an `entrypoint` in the spec drops the
/// image's command; `default_program` (`/app` for an ELF).
pub fn application(
    spec: &Spec,
    config: &ContainerDefaults,
    default_program: Option<&str>,
) -> Result<Run, SpecError> {
    let said = &spec.app;
    if let Some(init) = &said.init {
        return Ok(Run::Init(init.clone()));
    }
    let user = match (&said.user, config.user.as_deref()) {
        (Some(user), _) => user.clone(),
        (None, None | Some("")) => "0:0".to_owned(),
        (None, Some(user)) => user
            .parse::<User>()
            .map_err(|source| SpecError::Container {
                field: "User",
                source,
            })?
            .into(),
    };
    let working_directory = match (&said.working_directory, config.working_dir.as_deref()) {
        (Some(dir), _) => dir.clone(),
        (None, None | Some("")) => "/".to_owned(),
        (None, Some(dir)) => dir
            .parse::<GuestPath>()
            .map_err(|source| SpecError::Container {
                field: "WorkingDir",
                source,
            })?
            .into(),
    };
    Ok(Run::Application(RunSpec {
        command: command(said, config, default_program)?,
        env: environment(said, config, &user)?,
        user,
        working_directory,
        restart: said.restart,
        wait_for_network: said.wait_for_network.unwrap_or(true),
    }))
}

fn command(
    said: &AppChoice,
    config: &ContainerDefaults,
    default_program: Option<&str>,
) -> Result<Vec<String>, SpecError> {
    let mut command = match &said.command_line {
        Some(line) => line.clone(),
        None => {
            let entrypoint = said.entrypoint.as_ref().unwrap_or(&config.entrypoint);
            let none = Vec::new();
            let arguments = match (&said.command, &said.entrypoint) {
                (Some(command), _) => command,
                (None, Some(_)) => &none,
                (None, None) => &config.cmd,
            };
            [entrypoint.as_slice(), arguments].concat()
        }
    };
    if command.is_empty() {
        command.extend(default_program.map(str::to_owned));
    }
    match command.first() {
        None => return Err(SpecError::NoCommand),
        Some(program) if program.is_empty() => return Err(SpecError::EmptyProgram),
        Some(_) => {}
    }
    match command.iter().find(|argument| argument.contains('\0')) {
        Some(argument) => Err(SpecError::Nul {
            field: "command",
            value: argument.clone(),
        }),
        None => Ok(command),
    }
}

/// The container image's variables, then the spec's; a later value takes an earlier one's place.
fn environment(
    said: &AppChoice,
    config: &ContainerDefaults,
    user: &str,
) -> Result<Vec<(String, String)>, SpecError> {
    let mut env: Vec<(String, String)> = Vec::new();
    let mut place = std::collections::BTreeMap::new();
    let mut set = |name: String, value: String| match place.get(&name) {
        Some(&at) => {
            let entry: &mut (String, String) = &mut env[at];
            entry.1 = value;
        }
        None => {
            place.insert(name.clone(), env.len());
            env.push((name, value));
        }
    };
    for entry in &config.env {
        let Some((name, value)) = entry.split_once('=') else {
            continue;
        };
        let container = |source| SpecError::Container {
            field: "Env",
            source,
        };
        let name: EnvName = name.parse().map_err(container)?;
        let value: super::EnvValue = value.parse().map_err(container)?;
        set(name.into(), value.into());
    }
    for (name, value) in &said.env {
        set(name.clone(), value.clone());
    }
    let has = |env: &[(String, String)], wanted: &str| env.iter().any(|(name, _)| name == wanted);
    if !has(&env, "PATH") {
        env.push(("PATH".to_owned(), DEFAULT_PATH.to_owned()));
    }
    if !has(&env, "HOME") {
        env.push(("HOME".to_owned(), home(user).to_owned()));
    }
    Ok(env)
}

/// Root's home, or `/` for anybody else: what `/etc/passwd` says is not looked up, so that the
/// environment does not depend on the content of the image.
fn home(user: &str) -> &'static str {
    match user.split(':').next() {
        Some("root" | "0") => "/root",
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HostConfig, Overrides, resolve};
    use super::*;
    use std::path::Path;

    fn run(said: AppChoice, config: &ContainerDefaults) -> Result<RunSpec, SpecError> {
        let host = HostConfig {
            kernel: Some("k".into()),
            modules: None,
            stub: Some("s".into()),
        };
        let mut spec = resolve(Some(Path::new("x")), None, &Overrides::default(), &host).unwrap();
        spec.app = said;
        match application(&spec, config, None)? {
            Run::Application(run) => Ok(run),
            Run::Init(path) => panic!("{path}"),
        }
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn entrypoint_and_command_follow_docker() {
        let some = |text: Option<&str>| text.map(words);
        // container: entrypoint, cmd; spec: `--`, entrypoint, command; what runs
        for (entry, cmd, line, e, c, runs) in [
            ("/e", "c", None, None, None, "/e c"),
            ("", "c d", None, None, None, "c d"),
            ("/e", "", None, None, None, "/e"),
            ("/e", "c", None, None, Some("x y"), "/e x y"),
            ("/e", "c", None, None, Some(""), "/e"),
            ("/e", "c", None, Some("/f"), None, "/f"),
            ("/e", "c", None, Some("/f"), Some("x"), "/f x"),
            ("/e", "c", None, Some(""), Some("x"), "x"),
            ("/e", "c", Some("/l m"), None, None, "/l m"),
            ("/e", "c", Some("/l m"), Some("/f"), Some("x"), "/l m"),
            ("", "", None, None, Some("x"), "x"),
        ] {
            let config = ContainerDefaults {
                entrypoint: words(entry),
                cmd: words(cmd),
                ..ContainerDefaults::default()
            };
            let said = AppChoice {
                command_line: some(line),
                entrypoint: some(e),
                command: some(c),
                ..AppChoice::default()
            };
            let got = run(said.clone(), &config).unwrap().command;
            assert_eq!(got, words(runs), "{config:?} {said:?}");
        }
    }

    #[test]
    fn no_command_is_refused_unless_the_input_is_a_program() {
        let nothing = ContainerDefaults::default();
        let error = run(AppChoice::default(), &nothing).unwrap_err();
        assert!(matches!(error, SpecError::NoCommand));
        assert!(error.hint().unwrap().contains("-- COMMAND"));
        let command = command(&AppChoice::default(), &nothing, Some("/app")).unwrap();
        assert_eq!(command, ["/app"]);
        for (line, why) in [("", "empty"), ("a\0b", "NUL")] {
            let said = AppChoice {
                command_line: Some(vec![line.to_owned()]),
                ..AppChoice::default()
            };
            let error = run(said, &nothing).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn environment_keeps_its_order_and_has_path_and_home() {
        let config = ContainerDefaults {
            cmd: words("x"),
            env: ["B=1", "A=2", "UNSET", "B=3=4"].map(str::to_owned).into(),
            ..ContainerDefaults::default()
        };
        let said = AppChoice {
            env: vec![("A".into(), "5".into()), ("C".into(), "6".into())],
            ..AppChoice::default()
        };
        let env = run(said, &config).unwrap().env;
        let expected = [
            ("B", "3=4"),
            ("A", "5"),
            ("C", "6"),
            ("PATH", DEFAULT_PATH),
            ("HOME", "/root"),
        ];
        assert_eq!(env, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn user_and_directory_come_from_the_container_unless_said() {
        let mut config = ContainerDefaults {
            cmd: words("x"),
            user: Some("www-data".into()),
            working_dir: Some("/srv/".into()),
            ..ContainerDefaults::default()
        };
        let got = run(AppChoice::default(), &config).unwrap();
        assert_eq!(got.user, "www-data");
        assert_eq!(got.working_directory, "/srv");
        assert!(got.env.contains(&("HOME".into(), "/".into())));
        let said = AppChoice {
            user: Some("7:8".into()),
            working_directory: Some("/tmp".into()),
            ..AppChoice::default()
        };
        let got = run(said, &config).unwrap();
        assert_eq!(
            (got.user.as_str(), got.working_directory.as_str()),
            ("7:8", "/tmp")
        );
        config.user = Some(String::new());
        config.working_dir = Some(String::new());
        let got = run(AppChoice::default(), &config).unwrap();
        assert_eq!(
            (got.user.as_str(), got.working_directory.as_str()),
            ("0:0", "/")
        );
    }

    #[test]
    fn a_broken_container_configuration_is_refused_by_field() {
        let good = ContainerDefaults {
            cmd: words("x"),
            ..ContainerDefaults::default()
        };
        for (config, field) in [
            (
                ContainerDefaults {
                    user: Some("a b".into()),
                    ..good.clone()
                },
                "User",
            ),
            (
                ContainerDefaults {
                    working_dir: Some("srv".into()),
                    ..good.clone()
                },
                "WorkingDir",
            ),
            (
                ContainerDefaults {
                    env: vec!["=x".into()],
                    ..good.clone()
                },
                "Env",
            ),
        ] {
            let error = run(AppChoice::default(), &config).unwrap_err();
            assert!(
                matches!(error, SpecError::Container { field: f, .. } if f == field),
                "{error}"
            );
        }
    }
}
