//! `spin up`, where there is Spin.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use ounce_bench::launch::{Process, Spawn, free_port, until_ready};

use super::{Answer, DEADLINE, Server, skip_absent};

/// A running application.
pub struct Spin {
    pub server: Server,
    /// Removed when the process has ended.
    pub files: Temporary,
}

impl Spin {
    pub fn get(&self, path: &str) -> Answer {
        self.server.get(path)
    }

    pub fn log(&self) -> String {
        self.server.process.last_words()
    }

    /// Ends it and starts it again, with what it has stored.
    pub fn restart(self, variables: &[(&str, &str)]) -> Spin {
        let Spin { server, files } = self;
        drop(server);
        start(&program().expect("it was there"), files, variables)
    }
}

/// A file or a directory, or nothing.
pub struct Temporary(pub PathBuf);

impl Temporary {
    pub fn new(address: SocketAddr) -> Temporary {
        Temporary(env::temp_dir().join(format!("ounce-spin-{}-{}", process::id(), address.port())))
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("an UTF-8 path")
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0).or_else(|_| fs::remove_dir_all(&self.0));
    }
}

/// `OUNCE_SPIN`, or `spin` on the `PATH`.
fn program() -> Option<PathBuf> {
    let named = env::var_os("OUNCE_SPIN").map(PathBuf::from);
    named.or_else(|| {
        env::split_paths(&env::var_os("PATH")?)
            .map(|directory| directory.join("spin"))
            .find(|path| path.is_file())
    })
}

/// The application, with what it writes elsewhere than beside the manifest. `None` where there is no Spin, which is said.
pub fn spin_up(variables: &[(&str, &str)]) -> Option<Spin> {
    let Some(program) = program() else {
        skip_absent("spin", "neither OUNCE_SPIN nor the PATH has it; see https://spinframework.dev");
        return None;
    };
    let files = Temporary::new(free_port().expect("a free port"));
    Some(start(&program, files, variables))
}

fn start(program: &Path, files: Temporary, variables: &[(&str, &str)]) -> Spin {
    let address = free_port().expect("a free port");
    let (program, state) = (program.to_str().expect("an UTF-8 path"), files.path());
    let listen = address.to_string();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/spin.toml");
    let command =
        [program, "up", "--from", manifest, "--listen", &listen, "--state-dir", state, "--log-dir", state];
    let mut spawn = Spawn::new(command);
    for (name, value) in variables {
        spawn = spawn.env(format!("SPIN_VARIABLE_{name}"), *value);
    }
    let mut process = Process::spawn(&spawn).expect("spin starts");
    until_ready(&mut process, address, "/livez", DEADLINE, &Default::default()).expect("it gets ready");
    Spin { server: Server::at(process, address), files }
}
