//! The one HTTP server: what listens for challenges and what shows pages differ in what they answer. A client that is slow
//! or hostile costs a place and some memory for a while, and nobody else's time.

use std::{convert::Infallible, io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Connections at the same time; whoever comes beyond waits. A CA looks from a handful of places at once, and so do people
/// and what collects metrics.
///
/// <https://letsencrypt.org/docs/multi-perspective-validation-faq/>
const AT_ONCE: usize = 64;

/// The longest time for a client to send a request's line and headers.
const LONGEST_HEAD: Duration = Duration::from_secs(5);

/// The bytes that these may have; hyper takes no less for an upper limit.
const LARGEST_HEAD: usize = 8 * 1024;

/// The pause where the system has no room for one more.
const PAUSE: Duration = Duration::from_millis(200);

/// Listens at an address, and answers one request a connection as long as the local set of tasks is there that this is
/// called in. A connection lasts no longer than `longest`. Returns the address, of which the port may have been chosen.
///
/// # Errors
/// When nobody may listen there, or somebody does.
pub(super) async fn serve<B>(
    at: SocketAddr,
    longest: Duration,
    answer: impl AsyncFn(Request<Incoming>) -> Response<B> + 'static,
) -> io::Result<SocketAddr>
where
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let socket = TcpListener::bind(at).await?;
    let at = socket.local_addr()?;
    tokio::task::spawn_local(accept(socket, longest, Rc::new(answer)));
    Ok(at)
}

async fn accept<B>(
    socket: TcpListener,
    longest: Duration,
    answer: Rc<impl AsyncFn(Request<Incoming>) -> Response<B> + 'static>,
) where
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        // It is never closed.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match socket.accept().await {
            Ok((stream, _)) => {
                let answer = Rc::clone(&answer);
                tokio::task::spawn_local(async move {
                    // Who asks wrongly or leaves early notices it themselves.
                    let _ = timeout(longest, converse(stream, &*answer)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("no connection could be taken: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one request.
async fn converse<B>(
    stream: TcpStream,
    answer: &impl AsyncFn(Request<Incoming>) -> Response<B>,
) -> Result<(), hyper::Error>
where
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(request).await));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST_HEAD)
        .max_buf_size(LARGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
