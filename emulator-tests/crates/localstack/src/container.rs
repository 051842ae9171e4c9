//! LocalStack in a container.

use super::process::ENVIRONMENT;
use super::{Kind, Lease, Options, StartError, health, tail};
use error_class::Chain;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};
use testcontainers::bollard;
use testcontainers::bollard::models::PortBinding;
use testcontainers::core::{AccessMode, IntoContainerPort, Mount};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::runtime::Handle;

/// The last release that was seen to work with no account token, on Python 3.11.
pub const DEFAULT_IMAGE: &str = "localstack/localstack:4.10.0";

/// Marks our containers.
const LABEL: &str = "emulator-tests.lease";

/// LocalStack's port in the image.
const PORT: u16 = 4566;

/// Where the image finds what we mount.
const LAUNCHER: &str = "/opt/emulator";
const HOME: &str = "/var/lib/emulator";

/// What the launcher writes when it can't start, of which the engine's log goes with the container.
const FAILURE: &str = "failure.log";

/// How long saving may take before the engine kills the container.
const ENDS_WITHIN_SECONDS: i32 = 30;

const ENGINE_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How long the engine may take to remove one that has ended.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// A container engine that has the image.
pub struct Docker {
    client: bollard::Docker,
}

impl Docker {
    /// Asks the engine that testcontainers would use whether it has the image.
    ///
    /// # Errors
    /// If no engine answers, or it has no such image.
    pub async fn connect(image: &str) -> Result<Self, StartError> {
        let no_engine = |error: &dyn std::fmt::Display| StartError::NoEngine(error.to_string());
        let client = testcontainers::core::client::docker_client_instance()
            .await
            .map_err(|error| no_engine(&error))?;
        let ping = tokio::time::timeout(ENGINE_ANSWERS_WITHIN, client.ping()).await;
        match ping {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(no_engine(&error)),
            Err(error) => return Err(no_engine(&error)),
        }
        match client.inspect_image(image).await {
            Ok(_) => Ok(Self { client }),
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404, ..
            }) => Err(StartError::NoImage(image.to_owned())),
            Err(error) => Err(no_engine(&error)),
        }
    }

    /// Removes our containers whose lease nobody holds: their parents are gone.
    async fn remove_stale(&self) {
        let filters = HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])]);
        let options = bollard::query_parameters::ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let Ok(containers) = self.client.list_containers(Some(options)).await else {
            return;
        };
        for container in containers {
            let lease = container.labels.and_then(|mut labels| labels.remove(LABEL));
            let (Some(id), Some(lease)) = (container.id, lease) else {
                continue;
            };
            if parent_is_gone(Path::new(&lease)) {
                self.remove(&id).await;
            }
        }
    }

    async fn remove(&self, id: &str) {
        let options = bollard::query_parameters::RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        if let Err(error) = self.client.remove_container(id, Some(options)).await {
            tracing::debug!("container {id}: {error}");
        }
        self.wait_until_gone(id).await;
    }

    /// A container with `auto_remove` is still there for a moment after it has ended, and refuses to be
    /// removed by another.
    async fn wait_until_gone(&self, id: &str) {
        let until = Instant::now() + GONE_WITHIN;
        loop {
            match self.client.inspect_container(id, None).await {
                Ok(_) if Instant::now() < until => tokio::time::sleep(health::PAUSE).await,
                Ok(_) => {
                    tracing::warn!("the engine does not remove the container {id}");
                    return;
                }
                Err(bollard::errors::Error::DockerResponseServerError {
                    status_code: 404, ..
                }) => return,
                Err(error) => {
                    tracing::warn!("container {id}: {error}");
                    return;
                }
            }
        }
    }
}

/// Whether the lease can be taken, or was removed with its directory. One that can't be looked at
/// is another user's.
fn parent_is_gone(lease: &Path) -> bool {
    match lease.try_exists() {
        Ok(true) => Lease::try_take(lease).is_ok(),
        Ok(false) => true,
        Err(_) => false,
    }
}

/// A container, removed when this is dropped.
pub(super) struct Container {
    container: Option<ContainerAsync<GenericImage>>,
    docker: Docker,
    runtime: Handle,
    keep: bool,
}

/// Starts it and waits until it answers.
pub(super) async fn start(
    docker: Docker,
    options: &Options,
    launcher: &Path,
) -> Result<(SocketAddr, Container), StartError> {
    docker.remove_stale().await;
    let _ = std::fs::remove_file(options.home.join(FAILURE));
    let text = |path: &Path| path.display().to_string();
    let (name, tag) = options
        .image
        .rsplit_once(':')
        .filter(|(_, tag)| !tag.contains('/'))
        .unwrap_or((&options.image, "latest"));
    let mut request = GenericImage::new(name, tag)
        .with_exposed_port(PORT.tcp())
        .with_label(LABEL, text(&options.home.join("lease")))
        .with_mount(Mount::bind_mount(text(&options.home), HOME))
        .with_mount(
            Mount::bind_mount(text(launcher), LAUNCHER).with_access_mode(AccessMode::ReadOnly),
        )
        .with_env_var("GATEWAY_LISTEN", format!("0.0.0.0:{PORT}"))
        .with_env_var("EMULATOR_HOME", HOME)
        .with_env_var("EMULATOR_LEASE", format!("{HOME}/lease"))
        .with_env_var("EMULATOR_KEEP", if options.keep { "1" } else { "0" })
        // Read by the image's supervisor: our launcher in place of LocalStack's own start.
        .with_env_var(
            "LOCALSTACK_SUPERVISOR_COMMAND",
            format!("python {LAUNCHER}/launcher.py"),
        )
        .with_env_var("SHUTDOWN_TIMEOUT", ENDS_WITHIN_SECONDS.to_string())
        .with_host_config_modifier(|host| {
            // testcontainers would publish on all interfaces.
            host.publish_all_ports = Some(false);
            host.port_bindings = Some(HashMap::from([(
                format!("{PORT}/tcp"),
                Some(vec![PortBinding {
                    host_ip: Some(Ipv4Addr::LOCALHOST.to_string()),
                    host_port: Some("0".to_owned()),
                }]),
            )]));
            // Also when the launcher ends it because this process was killed.
            host.auto_remove = Some(true);
        });
    for (name, value) in ENVIRONMENT {
        request = request.with_env_var(name, value);
    }
    let failed = |error: testcontainers::TestcontainersError| {
        StartError::Container(Chain(&error).to_string())
    };
    let container = Container {
        container: Some(request.start().await.map_err(failed)?),
        docker,
        runtime: Handle::current(),
        keep: options.keep,
    };
    let Some(running) = &container.container else {
        return Err(StartError::Container("it has gone".to_owned()));
    };
    let port = running.get_host_port_ipv4(PORT.tcp()).await;
    let port = match port {
        Ok(port) => port,
        Err(error) => return Err(ended(running, &error, options).await),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let until = Instant::now() + options.ready_within;
    while !health::answers(address).await {
        match running.is_running().await {
            Ok(true) => {}
            Ok(false) => return Err(ended(running, &"it ended", options).await),
            Err(error) => return Err(ended(running, &error, options).await),
        }
        if Instant::now() > until {
            return Err(StartError::Silent {
                kind: Kind::Container,
                within: options.ready_within,
                log: log_of(running, options).await,
            });
        }
        tokio::time::sleep(health::PAUSE).await;
    }
    Ok((address, container))
}

async fn ended(
    container: &ContainerAsync<GenericImage>,
    status: &dyn std::fmt::Display,
    options: &Options,
) -> StartError {
    StartError::Ended {
        kind: Kind::Container,
        status: status.to_string(),
        log: log_of(container, options).await,
    }
}

/// The engine's log of it, or, once the engine has removed it, the file that the launcher wrote.
async fn log_of(container: &ContainerAsync<GenericImage>, options: &Options) -> String {
    let mut log = container.stdout_to_vec().await.unwrap_or_default();
    log.extend(container.stderr_to_vec().await.unwrap_or_default());
    if log.is_empty() {
        tail::of_file(&options.home.join(FAILURE))
    } else {
        tail::last_lines(&String::from_utf8_lossy(&log))
    }
}

impl Container {
    /// Ends it; if its state is to be kept, after that is saved.
    pub(super) async fn end(mut self) {
        let Some(container) = self.container.take() else {
            return;
        };
        if self.keep
            && let Err(error) = container.stop_with_timeout(Some(ENDS_WITHIN_SECONDS)).await
        {
            tracing::warn!("LocalStack's container: {}", Chain(&error));
        }
        let id = container.id().to_owned();
        // The engine may be doing so by itself.
        if let Err(error) = container.rm().await {
            tracing::debug!("LocalStack's container: {}", Chain(&error));
        }
        self.docker.wait_until_gone(&id).await;
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // testcontainers wants a runtime to be entered.
        let _entered = self.runtime.enter();
        self.container = None;
    }
}
