//! Real servers of the tests: each a process of its own on loopback, ended when dropped.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// A server that runs.
pub struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Starts it and waits until it is ready; `None` when it ends instead, or takes longer than 5 s.
    pub fn start(command: &mut Command, is_ready: impl Fn() -> bool) -> Option<Self> {
        let started = command.spawn();
        let name = command.get_program().display();
        let mut server = Self(started.unwrap_or_else(|error| panic!("{name}: {error}")));
        for _ in 0..500 {
            let is_ready = is_ready();
            match server.0.try_wait() {
                // Asked after that, so that another process at its port is not taken for it.
                Ok(None) if is_ready => return Some(server),
                Ok(None) => thread::sleep(Duration::from_millis(10)),
                _ => return None,
            }
        }
        None
    }
}

/// A server that starts within five tries: a port that was free when asked may be another's by the time it is used.
pub fn started<T>(name: &str, mut try_start: impl FnMut() -> Option<T>) -> T {
    (0..5)
        .find_map(|_| try_start())
        .unwrap_or_else(|| panic!("{name} does not start within five tries"))
}

/// The command that runs a server, whose words go to a file.
#[expect(
    clippy::disallowed_methods,
    reason = "the servers of the tests are processes of their own"
)]
pub fn command(program: &str, log: &Path) -> Command {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command
}

/// True if something takes connections there.
pub fn listens(at: SocketAddr) -> bool {
    TcpStream::connect(at).is_ok()
}

/// An address that is free for both UDP and TCP when asked.
pub fn free_address() -> Option<SocketAddr> {
    let tcp = TcpListener::bind("127.0.0.1:0").ok()?;
    let at = tcp.local_addr().ok()?;
    UdpSocket::bind(at).ok()?;
    Some(at)
}
