//! What the command line takes from the host: configuration, libraries, processors. Nothing below
//! it looks at the environment.

use crate::spec::{HostConfig, SpecError, load_host_config};
use std::path::{Path, PathBuf};

/// The host's configuration: the first of these files that is there.
///
/// A prepared checkout has one in `.imgtool/`, which serves every directory below it.
pub fn config() -> Result<HostConfig, SpecError> {
    for path in config_paths() {
        if let Some(config) = load_host_config(&path)? {
            return Ok(config);
        }
    }
    Ok(HostConfig::default())
}

/// `imgtool` in the user's cache directory, if there is a user with one.
pub fn cache_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
    dir.is_absolute().then(|| dir.join("imgtool"))
}

fn config_paths() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    if let Ok(dir) = std::env::current_dir() {
        paths.extend(dir.ancestors().map(|dir| dir.join(".imgtool/config.toml")));
    }
    let home = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
    paths.extend(home.map(|dir| dir.join("imgtool/config.toml")));
    paths.push("/etc/imgtool/config.toml".into());
    paths
}

/// `SOURCE_DATE_EPOCH`, as the Reproducible Builds project specifies it.
pub fn source_date_epoch() -> Result<Option<u32>, SpecError> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    match text.to_str().and_then(|t| t.parse().ok()) {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(SpecError::Epoch { text }),
    }
}

/// Where the dynamic linker of this host looks for libraries: what `/etc/ld.so.conf` names, then
/// its own directories.
pub fn library_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    read_ld_so_conf(Path::new("/etc/ld.so.conf"), 0, &mut dirs);
    let own = [
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/lib64",
        "/usr/lib64",
    ];
    dirs.extend(own.iter().chain(&["/lib", "/usr/lib"]).map(PathBuf::from));
    dirs
}

fn read_ld_so_conf(path: &Path, depth: u32, dirs: &mut Vec<PathBuf>) {
    let Ok(text) = std::fs::read_to_string(path) else {
        return;
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.strip_prefix("include") {
            // The one form distributions use: include /etc/ld.so.conf.d/*.conf
            Some(pattern) if depth < 4 => {
                let Some(dir) = pattern.trim().strip_suffix("/*.conf") else {
                    continue;
                };
                let Ok(entries) = std::fs::read_dir(dir) else {
                    continue;
                };
                let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
                files.retain(|file| file.extension().is_some_and(|e| e == "conf"));
                files.sort();
                for file in files {
                    read_ld_so_conf(&file, depth + 1, dirs);
                }
            }
            None if line.starts_with('/') => dirs.push(line.into()),
            _ => {}
        }
    }
}

/// Worker threads unless `--jobs` says otherwise: one for each processor this process may use.
pub fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}
