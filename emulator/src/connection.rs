//! Accepted connections: loopback sockets that can be cut from outside, so that a fault or a shutdown can end them mid-byte.
//!
//! Must not know what is said over them.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::Connected;

/// No limit is set.
const UNLIMITED: u64 = u64::MAX;

/// A handle on one connection; every request that arrives over it carries one.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Bytes that may still be written.
    remaining: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl ConnectionHandle {
    /// Closes the connection once about `bytes` more bytes have been written; 0 closes it now.
    pub fn cut_after(&self, bytes: u64) {
        self.0
            .remaining
            .fetch_min(bytes.min(UNLIMITED - 1), Ordering::SeqCst);
        let waker = self
            .0
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The connections a server has accepted and not yet seen closed.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<Vec<Weak<Shared>>>,
}

impl Connections {
    /// Takes charge of an accepted socket.
    pub fn admit(&self, socket: TcpStream) -> LoopbackStream {
        let shared = Arc::new(Shared {
            remaining: AtomicU64::new(UNLIMITED),
            waker: Mutex::default(),
        });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|c| c.strong_count() > 0);
        open.push(Arc::downgrade(&shared));
        LoopbackStream {
            socket,
            handle: ConnectionHandle(shared),
        }
    }

    /// Closes every connection at once.
    pub fn cut_all(&self) {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        for shared in open.iter().filter_map(Weak::upgrade) {
            ConnectionHandle(shared).cut_after(0);
        }
    }
}

/// An accepted socket.
#[derive(Debug)]
pub(crate) struct LoopbackStream {
    socket: TcpStream,
    handle: ConnectionHandle,
}

impl LoopbackStream {
    fn cut_error() -> io::Error {
        io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "connection cut on request",
        )
    }

    /// How many of `wanted` bytes may be written.
    fn allowed(&self, wanted: usize) -> io::Result<usize> {
        match self.handle.0.remaining.load(Ordering::SeqCst) {
            0 => Err(Self::cut_error()),
            UNLIMITED => Ok(wanted),
            remaining => Ok(usize::try_from(remaining).unwrap_or(usize::MAX).min(wanted)),
        }
    }

    fn written(&self, bytes: usize) {
        let _ =
            self.handle
                .0
                .remaining
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |remaining| {
                    (remaining != UNLIMITED).then(|| remaining.saturating_sub(bytes as u64))
                });
    }
}

impl Connected for LoopbackStream {
    type ConnectInfo = ConnectionHandle;

    fn connect_info(&self) -> ConnectionHandle {
        self.handle.clone()
    }
}

impl AsyncRead for LoopbackStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A reader is always waiting, so this is where a cut from outside wakes the connection up.
        *this
            .handle
            .0
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        if this.handle.0.remaining.load(Ordering::SeqCst) == 0 {
            return Poll::Ready(Err(Self::cut_error()));
        }
        Pin::new(&mut this.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for LoopbackStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let allowed = this.allowed(buf.len())?;
        let Some(buf) = buf.get(..allowed) else {
            return Poll::Ready(Err(Self::cut_error()));
        };
        let written = std::task::ready!(Pin::new(&mut this.socket).poll_write(cx, buf))?;
        this.written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wanted = bufs.iter().map(|b| b.len()).sum();
        if this.allowed(wanted)? < wanted {
            let first = bufs.iter().find(|b| !b.is_empty()).map_or(&[][..], |b| b);
            return Pin::new(this).poll_write(cx, first);
        }
        let written = std::task::ready!(Pin::new(&mut this.socket).poll_write_vectored(cx, bufs))?;
        this.written(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
