//! How large an LZ4 frame can become, read from its block headers without decompressing it.
//!
//! Owns the frame layout. The decoder of the Arrow library reads a frame to its end whatever length was claimed for it,
//! so a frame that can become much larger than its claim has to be refused first.

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
/// A block becomes at most this many times its size.
const MOST_GROWTH: u64 = 255;
/// Set in the size of a block that is stored as it is.
const STORED: u32 = 1 << 31;

/// An upper bound of the decompressed bytes of `frame`; nothing when it is not a whole frame.
pub(super) fn upper_bound(frame: &[u8]) -> Option<u64> {
    let mut rest = frame.strip_prefix(&MAGIC)?;
    let flags = take(&mut rest, 1)?.first().copied()?;
    let block_size = take(&mut rest, 1)?.first().copied()?;
    let largest_block: u64 = match (block_size >> 4) & 7 {
        4 => 64 << 10,
        5 => 256 << 10,
        6 => 1 << 20,
        7 => 4 << 20,
        _ => return None,
    };
    let content_size = if flags & 0x08 != 0 { 8 } else { 0 };
    let dictionary = if flags & 0x01 != 0 { 4 } else { 0 };
    let header_checksum = 1;
    take(&mut rest, content_size + dictionary + header_checksum)?;
    let block_checksum = if flags & 0x10 != 0 { 4 } else { 0 };
    let mut bound: u64 = 0;
    loop {
        let size = u32::from_le_bytes(*take(&mut rest, 4)?.first_chunk()?);
        if size == 0 {
            return Some(bound);
        }
        let bytes = size & !STORED;
        take(&mut rest, usize::try_from(bytes).ok()?)?;
        take(&mut rest, block_checksum)?;
        let bytes = u64::from(bytes);
        let grown = if size & STORED != 0 {
            bytes
        } else {
            largest_block.min(bytes * MOST_GROWTH)
        };
        bound = bound.checked_add(grown)?;
    }
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(bytes)?;
    *rest = left;
    Some(taken)
}
