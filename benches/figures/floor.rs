//! The least that can be done about an event: to read it, and to send the signal.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
};

/// The floor as a process, which ends when this is dropped.
pub struct Floor(Child);

impl Floor {
    /// Starts it and waits until it is subscribed. Events whose text holds `concerns` make it signal `target`.
    pub fn start(socket: &Path, concerns: &str, target: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .arg("floor")
            .arg(socket)
            .args([concerns, target])
            .stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Waits until it says that it is subscribed.
    pub fn subscribed(&mut self) {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "subscribed\n");
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The work of the process.
pub fn run(socket: &str, concerns: &str, target: &str) {
    let mut events = UnixStream::connect(socket).unwrap();
    events
        .write_all(b"GET /events HTTP/1.1\r\nHost: docker\r\n\r\n")
        .unwrap();
    for line in BufReader::new(events).lines() {
        let line = line.unwrap();
        if line.starts_with("HTTP/1.1 200") {
            println!("subscribed");
        } else if line.contains(concerns)
            && (line.contains("\"start\"") || line.contains("\"health_status"))
        {
            let mut kill = UnixStream::connect(socket).unwrap();
            let close = "Host: docker\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            kill.write_all(
                format!("POST /containers/{target}/kill?signal=HUP HTTP/1.1\r\n{close}").as_bytes(),
            )
            .unwrap();
            kill.read_to_end(&mut Vec::new()).unwrap();
        }
    }
}
