//! Accepted connections: loopback sockets that can be cut from outside, so that a fault or a shutdown can end them mid-byte.
//!
//! Must not know what is said over them.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// No limit is set.
const UNLIMITED: u64 = u64::MAX;

/// Bytes gathered before the kernel gets them, at most.
const GATHERED_BYTES: usize = 128 << 10;

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
        LoopbackStream::new(socket, ConnectionHandle(shared))
    }

    /// Closes every connection at once.
    pub fn cut_all(&self) {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        for shared in open.iter().filter_map(Weak::upgrade) {
            ConnectionHandle(shared).cut_after(0);
        }
    }
}

/// An accepted socket. What is written is gathered and given to the kernel in large pieces: HTTP/2 writes frame by frame, and
/// a call of the kernel's per frame costs more than copying what is in the cache anyway.
#[derive(Debug)]
pub(crate) struct LoopbackStream {
    socket: TcpStream,
    handle: ConnectionHandle,
    gathered: Vec<u8>,
    /// Bytes at the beginning of `gathered` that the kernel has.
    given: usize,
    /// Whether something came after the last flush.
    fresh: bool,
    /// Whether a flush was put off; whoever writes is woken to do it then.
    owed: bool,
}

impl LoopbackStream {
    fn new(socket: TcpStream, handle: ConnectionHandle) -> Self {
        Self {
            socket,
            handle,
            gathered: Vec::new(),
            given: 0,
            fresh: false,
            owed: false,
        }
    }

    /// The handle that requests over this connection carry.
    pub fn handle(&self) -> ConnectionHandle {
        self.handle.clone()
    }

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

    /// Gives the kernel everything gathered.
    fn poll_give(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.given < self.gathered.len() {
            let allowed = self.allowed(self.gathered.len() - self.given)?;
            let rest = self.gathered.get(self.given..self.given + allowed);
            let Some(rest) = rest else {
                return Poll::Ready(Err(Self::cut_error()));
            };
            let given = ready!(Pin::new(&mut self.socket).poll_write(cx, rest))?;
            if given == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written(given);
            self.given += given;
        }
        self.gathered.clear();
        self.given = 0;
        self.owed = false;
        Poll::Ready(Ok(()))
    }

    /// Makes room for `wanted` bytes, or for as many as are ever gathered.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<()>> {
        // What a cut leaves is found out when it is given to the kernel.
        self.allowed(wanted)?;
        if self.gathered.len() + wanted > GATHERED_BYTES {
            ready!(self.poll_give(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn gather(&mut self, bytes: &[u8]) -> usize {
        let room = GATHERED_BYTES.saturating_sub(self.gathered.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.gathered.extend_from_slice(taken);
        self.fresh |= !taken.is_empty();
        taken.len()
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
        if this.owed
            && let Poll::Ready(Err(error)) = this.poll_give(cx)
        {
            return Poll::Ready(Err(error));
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
        ready!(this.poll_room(cx, buf.len()))?;
        Poll::Ready(Ok(this.gather(buf)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wanted = bufs.iter().map(|buf| buf.len()).sum();
        ready!(this.poll_room(cx, wanted))?;
        let mut taken = 0;
        for buf in bufs {
            let bytes = this.gather(buf);
            taken += bytes;
            if bytes < buf.len() {
                break;
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The first flush after a write is put off while little is gathered: HTTP/2 flushes after every frame, and once more when it has
    /// nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.fresh && this.gathered.len() < GATHERED_BYTES {
            this.fresh = false;
            if !this.owed {
                this.owed = true;
                cx.waker().wake_by_ref();
            }
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_give(cx))?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_give(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}
