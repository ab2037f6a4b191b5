//! An engine that says what a test tells it to, byte by byte.

use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
    rc::Rc,
};

use quaymaster::adapters::engine::DockerEngine;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixListener,
    sync::mpsc::UnboundedReceiver,
    task::{JoinHandle, LocalSet, yield_now},
};

/// An answer of the fake engine, and the thing that comes then.
pub struct Reply {
    bytes: Vec<u8>,
    then: Then,
}

enum Then {
    /// The connection ends.
    Ends,
    /// It stays open without a further word.
    Hangs,
    /// Each text is sent as a chunk, until the sender is dropped.
    Follows(UnboundedReceiver<String>),
}

impl Reply {
    /// Just these bytes.
    pub fn raw(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            then: Then::Ends,
        }
    }

    /// A whole answer.
    pub fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 {status} Whatever\r\nDate: Sun, 22 Nov 2026 18:46:08 GMT\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Self::raw(&[head.as_bytes(), body].concat())
    }

    /// The beginning of a chunked answer: each part is a chunk of its own. Cut off after it, unless it hangs.
    pub fn stream(parts: &[&[u8]]) -> Self {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        bytes.extend(parts.iter().flat_map(|part| chunk(part)));
        Self::raw(&bytes)
    }

    /// Nothing more comes, and the connection stays open.
    pub fn then_hangs(mut self) -> Self {
        self.then = Then::Hangs;
        self
    }

    /// A chunked answer goes on with what is sent through this.
    pub fn then_follows(mut self, feed: UnboundedReceiver<String>) -> Self {
        self.then = Then::Follows(feed);
        self
    }

    /// A chunked answer comes to its proper end.
    pub fn then_ends(mut self) -> Self {
        self.bytes.extend(b"0\r\n\r\n");
        self
    }
}

fn chunk(part: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()
}

/// A fake engine on a socket of its own.
pub struct Fake {
    pub socket: PathBuf,
    /// Requests as they came (`GET /_ping`), and `closed GET …` when the other side hung up on a hanging one.
    pub seen: Rc<RefCell<Vec<String>>>,
    /// The most connections that were open at once.
    pub peak: Rc<Cell<usize>>,
    _folder: TempDir,
    _listens: JoinHandle<()>,
}

impl Fake {
    /// An engine that answers each request by `script`; to be called in a [`LocalSet`].
    pub fn start(script: impl Fn(&str) -> Reply + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (seen, peak, open) = (
            Rc::default(),
            Rc::<Cell<usize>>::default(),
            Rc::<Cell<usize>>::default(),
        );
        let (script, seen_too, peak_too) = (Rc::new(script), Rc::clone(&seen), Rc::clone(&peak));
        let listens = tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                open.set(open.get() + 1);
                peak.set(peak.get().max(open.get()));
                let (script, seen, open) = (Rc::clone(&script), Rc::clone(&seen), Rc::clone(&open));
                tokio::task::spawn_local(async move {
                    answer(stream, &*script, &seen).await;
                    open.set(open.get() - 1);
                });
            }
        });
        Self {
            socket,
            seen: seen_too,
            peak: peak_too,
            _folder: folder,
            _listens: listens,
        }
    }

    /// Our adapter on this engine.
    pub fn engine(&self) -> DockerEngine {
        DockerEngine::new(&format!("unix://{}", self.socket.display()), None, |_| ()).unwrap()
    }
}

/// Serves one request.
pub async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: &dyn Fn(&str) -> Reply,
    seen: &RefCell<Vec<String>>,
) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    assert!(
        request.to_lowercase().contains("\r\nhost: "),
        "engines refuse requests without a host: {request}"
    );
    let line = request
        .lines()
        .next()
        .unwrap()
        .trim_end_matches(" HTTP/1.1")
        .to_owned();
    seen.borrow_mut().push(line.clone());
    let reply = script(&line);
    // Others get their turn, so that calls which may overlap do.
    for _ in 0..8 {
        yield_now().await;
    }
    let _ = stream.write_all(&reply.bytes).await;
    let _ = stream.flush().await;
    match reply.then {
        Then::Ends => {}
        Then::Hangs => {
            while stream.read_buf(&mut Vec::new()).await.unwrap_or(0) > 0 {}
            seen.borrow_mut().push(format!("closed {line}"));
        }
        Then::Follows(mut feed) => {
            while let Some(text) = feed.recv().await {
                let _ = stream.write_all(&chunk(text.as_bytes())).await;
            }
        }
    }
    let _ = stream.shutdown().await;
}

/// Runs a test with its fake engines on this thread.
pub async fn local<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(test).await
}
