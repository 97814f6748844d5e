//! Something that already runs: it is loaded and, when a process or a container is named, weighed. It is neither
//! started nor stopped.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::docker;
use super::error::LaunchError;
use super::instance::{Context, Instance, Launcher};
use super::ready::{Start, client};
use super::words::target_error;
use crate::proc;
use crate::target::Target;
use crate::weigh::Scope;

pub(super) struct ExistingLauncher;

impl Launcher for ExistingLauncher {
    fn launch(&self, target: &Target, context: &Context<'_>) -> Result<Box<dyn Instance>, LaunchError> {
        let failed = |what: String| target_error(target, what);
        let url = target.url.as_deref().unwrap_or_default();
        let address = address(url).map_err(failed)?;
        let scope = match (target.pid, &target.container) {
            (Some(pid), _) if !proc::is_running(pid) => {
                return Err(failed(format!("no process {pid} is running")));
            }
            (Some(pid), _) => Scope::of(vec![pid]),
            (None, Some(name)) => docker::scope(name)
                .map_err(|error| failed(format!("the container {name} cannot be weighed: {error}")))?,
            (None, None) => Scope::default(),
        };
        answers(target, address, context)?;
        Ok(Box::new(Existing { address, scope, target: target.name.clone() }))
    }
}

fn address(url: &str) -> Result<SocketAddr, String> {
    let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let authority = authority.filter(|rest| !rest.contains('/'));
    let authority = authority.ok_or_else(|| format!("url {url:?} is not like http://127.0.0.1:8080"))?;
    let mut found = authority.to_socket_addrs().map_err(|error| format!("url {url:?}: {error}"))?;
    found.next().ok_or_else(|| format!("url {url:?} has no address"))
}

fn answers(target: &Target, address: SocketAddr, context: &Context<'_>) -> Result<(), LaunchError> {
    let timeout = Duration::from_secs(target.ready.timeout_s);
    let url = format!("http://{address}{}", target.ready.path);
    let started = Instant::now();
    loop {
        let last = match client(timeout).get(&url).call() {
            Ok(response) if response.status() == 200 => return Ok(()),
            Ok(response) => format!("status {}", response.status()),
            Err(error) => error.to_string(),
        };
        if context.interrupt.wait(Duration::from_millis(20)) {
            return Err(LaunchError::Interrupted);
        }
        if started.elapsed() > timeout {
            return Err(target_error(
                target,
                format!("{url} did not answer 200 within {timeout:?} (last: {last})"),
            ));
        }
    }
}

struct Existing {
    address: SocketAddr,
    scope: Scope,
    target: String,
}

impl Instance for Existing {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn scope(&self) -> Scope {
        self.scope.clone()
    }

    fn start(&self) -> Option<Start> {
        None
    }

    fn check_alive(&mut self) -> Result<(), LaunchError> {
        match self.scope.roots.iter().find(|&&pid| !proc::is_running(pid)) {
            Some(pid) => Err(LaunchError::Target {
                target: self.target.clone(),
                what: format!("process {pid} has ended"),
            }),
            None => Ok(()),
        }
    }

    fn stop(&mut self) -> Result<(), LaunchError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn a_url_is_an_address() {
        assert_eq!(address("http://127.0.0.1:81/").unwrap().to_string(), "127.0.0.1:81");
        for bad in ["https://127.0.0.1:81", "127.0.0.1:81", "http://127.0.0.1:81/path", "http://127.0.0.1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
