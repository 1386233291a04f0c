//! The bytes of one message, in pieces that need not lie side by side: what rows were decoded into is sent from where it is.
//!
//! Must not know what the bytes mean.

use std::collections::VecDeque;
use std::io::IoSlice;

use arrow::buffer::Buffer;
use bytes::{Buf, Bytes};

/// Pieces shorter than this are copied next to each other: owning one costs more.
const SMALL_BYTES: usize = 512;

/// Bytes in order, shared where they are many.
#[derive(Debug, Clone, Default)]
pub(crate) struct MessageBody {
    pieces: VecDeque<Bytes>,
    len: usize,
}

/// An Arrow buffer as the owner of bytes.
struct Owner(Buffer);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl MessageBody {
    /// All buffers, one after the other. Large ones are shared, small ones copied.
    pub fn from_buffers(buffers: Vec<Buffer>) -> Self {
        let mut body = Self::default();
        let mut small: Vec<u8> = Vec::new();
        for buffer in buffers {
            if buffer.len() < SMALL_BYTES {
                small.extend_from_slice(&buffer);
                continue;
            }
            body.push(Bytes::from(std::mem::take(&mut small)));
            body.push(Bytes::from_owner(Owner(buffer)));
        }
        body.push(Bytes::from(small));
        body
    }

    /// Adds bytes at the end.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Adds what another one holds at the end.
    pub fn append(&mut self, mut other: Self) {
        self.len += other.len;
        self.pieces.append(&mut other.pieces);
    }

    /// Bytes left.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The bytes in one piece; copied unless they already are.
    pub fn into_bytes(mut self) -> Bytes {
        if self.pieces.len() == 1 {
            return self.pieces.pop_front().unwrap_or_default();
        }
        let mut whole = Vec::with_capacity(self.len);
        for piece in &self.pieces {
            whole.extend_from_slice(piece);
        }
        Bytes::from(whole)
    }
}

impl From<Bytes> for MessageBody {
    fn from(bytes: Bytes) -> Self {
        let mut body = Self::default();
        body.push(bytes);
        body
    }
}

impl Buf for MessageBody {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    /// Pieces that have been sent are let go.
    fn advance(&mut self, mut count: usize) {
        self.len = self.len.saturating_sub(count);
        while let Some(front) = self.pieces.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn body() -> (MessageBody, Vec<u8>) {
        let lengths = [3, 0, SMALL_BYTES, 7, 1, 4000, SMALL_BYTES - 1, 9];
        let mut next = 0u8;
        let buffers: Vec<Vec<u8>> = lengths
            .iter()
            .map(|len| {
                (0..*len)
                    .map(|_| {
                        next = next.wrapping_add(1);
                        next
                    })
                    .collect()
            })
            .collect();
        let whole = buffers.concat();
        let buffers = buffers.into_iter().map(Buffer::from_vec).collect();
        (MessageBody::from_buffers(buffers), whole)
    }

    #[test]
    fn large_buffers_are_shared_and_small_ones_joined() {
        let large = Buffer::from_vec(vec![5u8; 4000]);
        let shared = large.as_ptr();
        let small = Buffer::from_vec(vec![6u8; 10]);
        let body = MessageBody::from_buffers(vec![small.clone(), small.clone(), large, small]);
        let lengths: Vec<usize> = body.pieces.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [20, 4000, 10]);
        assert_eq!(body.pieces.get(1).unwrap().as_ptr(), shared);
        assert_eq!(body.len(), 4030);
    }

    #[test]
    fn bytes_are_the_same_however_they_are_taken() {
        let (whole, expected) = body();
        assert_eq!(whole.len(), expected.len());
        assert_eq!(whole.clone().into_bytes(), expected);
        for step in [1, 5, SMALL_BYTES, 100_000] {
            let (mut rest, mut taken) = (whole.clone(), Vec::new());
            while rest.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = rest.chunks_vectored(&mut slices);
                let seen: Vec<u8> = slices
                    .iter()
                    .take(filled)
                    .flat_map(|s| s.to_vec())
                    .collect();
                let step = step.min(rest.remaining());
                let ahead = expected.get(taken.len()..).unwrap();
                assert!(ahead.starts_with(&seen) && !rest.chunk().is_empty());
                taken.extend_from_slice(&rest.clone().copy_to_bytes(step));
                rest.advance(step);
                assert_eq!(rest.remaining(), expected.len() - taken.len());
            }
            assert_eq!(taken, expected);
        }
    }

    #[test]
    fn one_piece_is_not_copied() {
        let piece = Bytes::from(vec![1u8; 3000]);
        let body = MessageBody::from(piece.clone());
        assert_eq!(body.into_bytes().as_ptr(), piece.as_ptr());
        assert!(MessageBody::from(Bytes::new()).into_bytes().is_empty());
    }
}
