//! Accepting connections and serving HTTP over them, until told to stop.
//!
//! Must not know what is served.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::front::Front;
use crate::connection::{Connections, LoopbackStream};

/// HTTP/2 frames as large as this are accepted from clients.
const MAX_FRAME_BYTES: u32 = 1 << 20;

/// HTTP/2 receive windows per connection and per stream.
const WINDOW_BYTES: u32 = 4 << 20;

/// How long to wait after a connection could not be accepted: what is short then, such as file descriptors, is short for a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves until `stopped`, then until the open connections have done what they were at.
pub(super) async fn serve(
    listener: TcpListener,
    front: Front,
    connections: Arc<Connections>,
    stopped: oneshot::Receiver<()>,
) {
    let server = server();
    let (closing, close) = watch::channel(false);
    let mut open = JoinSet::new();
    let mut stopped = pin!(stopped);
    loop {
        tokio::select! {
            // A dropped sender asks for the same.
            _ = stopped.as_mut() => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    let socket = admit(&connections, socket);
                    open.spawn(converse(server.clone(), socket, front.clone(), close.clone()));
                }
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = open.join_next() => {}
        }
    }
    drop(listener);
    // Nobody listens when no connection is open.
    let _ = closing.send(true);
    while open.join_next().await.is_some() {}
}

/// A REST client speaks HTTP/1, a gRPC client HTTP/2 with prior knowledge; the first bytes tell which.
fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(None)
        .max_frame_size(MAX_FRAME_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    server
}

fn admit(connections: &Connections, socket: TcpStream) -> LoopbackStream {
    // Small messages must not wait for an acknowledgement; without it they only come later.
    let _ = socket.set_nodelay(true);
    connections.admit(socket)
}

/// One connection, from its first byte to its last.
async fn converse(
    server: auto::Builder<TokioExecutor>,
    socket: LoopbackStream,
    front: Front,
    mut close: watch::Receiver<bool>,
) {
    let service = front.over(socket.handle());
    let mut served = pin!(server.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = asked(&mut close) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(
            error = error.as_ref() as &dyn std::error::Error,
            "connection ended"
        );
    }
}

/// Waits until connections are to close.
async fn asked(close: &mut watch::Receiver<bool>) {
    // A sender that is gone asks for the same.
    let _ = close.wait_for(|close| *close).await;
}
