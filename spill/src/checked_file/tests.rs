#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};

use super::*;
use crate::spill_dir::SpillDir;

struct Fixture {
    _root: tempfile::TempDir,
    dir: Arc<SpillDir>,
}

fn fixture() -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let dir = Arc::new(SpillDir::create(root.path(), None).unwrap());
    Fixture { _root: root, dir }
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

fn written(dir: &Arc<SpillDir>, bytes: &[u8]) -> (Arc<FileSlot>, Seal) {
    let (file, slot) = dir.create_file().unwrap();
    let mut sink = CheckedSink::new(file, Arc::clone(&slot));
    for (i, piece) in bytes.chunks(7001).enumerate() {
        let (a, b) = piece.split_at(piece.len().min(i % 13));
        sink.write_all(a).unwrap();
        sink.write_all(b).unwrap();
    }
    let seal = sink.seal();
    (slot, seal)
}

#[test]
fn every_range_reads_back() {
    let f = fixture();
    for len in [
        0,
        1,
        BLOCK_BYTES - 1,
        BLOCK_BYTES,
        BLOCK_BYTES + 1,
        3 * BLOCK_BYTES + 77,
    ] {
        let bytes = content(len);
        let (slot, seal) = written(&f.dir, &bytes);
        let file = CheckedFile::open(&slot, &seal).unwrap();
        assert_eq!(file.len(), len as u64);
        for start in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, len / 2, len] {
            for end in [start, start + 1, start + BLOCK_BYTES, len] {
                if start <= end && end <= len {
                    let read = file.get_bytes(start as u64, end - start).unwrap();
                    assert_eq!(read.as_ref(), &bytes[start..end]);
                }
            }
            if start <= len {
                let mut rest = Vec::new();
                file.get_read(start as u64)
                    .unwrap()
                    .read_to_end(&mut rest)
                    .unwrap();
                assert_eq!(rest, &bytes[start..]);
            }
        }
        assert!(file.get_bytes(len as u64, 1).is_err());
    }
    assert_eq!(f.dir.live_bytes(), 0, "every file was removed");
}

#[test]
fn a_flipped_bit_is_found_in_its_block_and_only_there() {
    let f = fixture();
    let bytes = content(2 * BLOCK_BYTES + 100);
    let (slot, seal) = written(&f.dir, &bytes);
    for at in [
        0,
        BLOCK_BYTES - 1,
        BLOCK_BYTES,
        2 * BLOCK_BYTES,
        bytes.len() - 1,
    ] {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            fs::write(slot.path(), &damaged).unwrap();
            let file = CheckedFile::open(&slot, &seal).unwrap();
            assert!(file.get_bytes(at as u64, 1).is_err());
            let failure = file.take_failure().unwrap();
            assert!(
                matches!(&failure, SpillError::Corrupt { path, .. } if path == slot.path()),
                "{failure}"
            );
            let other = if at < BLOCK_BYTES { BLOCK_BYTES } else { 0 };
            assert!(file.get_bytes(other as u64, 10).is_ok());
        }
    }
}

#[test]
fn a_cut_or_deleted_file_is_found() {
    let f = fixture();
    let bytes = content(BLOCK_BYTES * 2);
    let (slot, seal) = written(&f.dir, &bytes);
    let open = CheckedFile::open(&slot, &seal).unwrap();
    let file = OpenOptions::new().write(true).open(slot.path()).unwrap();
    file.set_len(BLOCK_BYTES as u64 + 5).unwrap();
    assert!(open.get_bytes(BLOCK_BYTES as u64, 10).is_err());
    assert!(matches!(
        open.take_failure(),
        Some(SpillError::Corrupt { .. })
    ));
    assert!(matches!(
        CheckedFile::open(&slot, &seal),
        Err(SpillError::Corrupt { .. })
    ));
    fs::remove_file(slot.path()).unwrap();
    assert!(matches!(
        CheckedFile::open(&slot, &seal),
        Err(SpillError::Missing { .. })
    ));
}

#[test]
fn a_full_disk_is_named_and_costs_no_quota() {
    let f = fixture();
    let (_, slot) = f.dir.create_file().unwrap();
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
        eprintln!("skipped: this system has no /dev/full");
        return;
    };
    let mut sink = CheckedSink::new(full, Arc::clone(&slot));
    assert!(sink.write_all(b"rows").is_err());
    let failure = sink.take_failure().unwrap();
    assert!(
        matches!(&failure, SpillError::Io { path, source, .. }
            if path == slot.path() && source.kind() == io::ErrorKind::StorageFull),
        "{failure}"
    );
    assert_eq!((f.dir.live_bytes(), f.dir.bytes_written()), (0, 0));
}
