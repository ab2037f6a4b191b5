//! A socket before the engine's, which can be cut.

use std::{
    io,
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Passes on what comes, both ways, until it is told otherwise; its threads end with the process.
pub struct Relay {
    pub socket: PathBuf,
    open: Arc<Mutex<Vec<UnixStream>>>,
    away: Arc<AtomicBool>,
}

impl Relay {
    /// Listens at `socket` for what is meant for the engine at `behind`.
    pub fn start(socket: PathBuf, behind: PathBuf) -> Self {
        let listener = UnixListener::bind(&socket).unwrap();
        let relay = Self {
            socket,
            open: Arc::default(),
            away: Arc::default(),
        };
        let (open, away) = (Arc::clone(&relay.open), Arc::clone(&relay.away));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // One that comes while the engine is away is dropped: the connection ends without a word.
                if !away.load(Ordering::SeqCst) {
                    pass_on(client, &behind, &open);
                }
            }
        });
        relay
    }

    /// Breaks off every connection; new ones are served.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Breaks off every connection, and new ones too until it is back.
    pub fn away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
        self.cut();
    }
}

fn pass_on(client: UnixStream, behind: &Path, open: &Mutex<Vec<UnixStream>>) {
    // An engine that is not there is as good as a cut.
    let Ok(engine) = UnixStream::connect(behind) else {
        return;
    };
    let both = |stream: &UnixStream| stream.try_clone().unwrap();
    open.lock().unwrap().extend([both(&client), both(&engine)]);
    for (mut from, mut to) in [(both(&client), both(&engine)), (engine, client)] {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}
