#![allow(clippy::unwrap_used)]
use super::*;

use bytes::Bytes;
use tempfile::TempDir;

const LIMIT: u64 = 100_000;

fn message(rows: u64, bytes: usize) -> Message {
    Message {
        body: Bytes::from(vec![rows as u8; bytes]).into(),
        rows,
        progress: 0.1..0.7,
        uncompressed_bytes: None,
    }
}

fn keep(kept: &Arc<KeptMessages>, key: &str, messages: &[(u64, usize)]) -> bool {
    let recording = messages
        .iter()
        .try_fold(kept.record(key).unwrap(), |recording, (rows, bytes)| {
            recording.add(&message(*rows, *bytes))
        });
    let Some(recording) = recording else {
        return false;
    };
    recording.finish();
    true
}

fn rows(kept: &KeptMessages, key: &str, offset: u64) -> Option<Vec<u64>> {
    let mut rest = kept.find(key, offset)?;
    let mut rows = Vec::new();
    while let Some(message) = rest.next_message().unwrap() {
        rows.push(message.rows);
    }
    Some(rows)
}

fn files(root: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.path()).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Bytes of all files.
fn on_disk(root: &TempDir) -> u64 {
    let lengths = files(root)
        .into_iter()
        .map(|p| fs::metadata(p).unwrap().len());
    lengths.sum()
}

fn new(root: &TempDir) -> Arc<KeptMessages> {
    Arc::new(KeptMessages::new(root.path().to_owned(), LIMIT))
}

#[test]
fn a_kept_stream_is_found_from_where_a_message_begins() {
    let root = TempDir::new().unwrap();
    let kept = new(&root);
    assert!(keep(&kept, "a", &[(3, 10), (4, 10), (5, 10)]));
    assert_eq!(rows(&kept, "a", 0).unwrap(), [3, 4, 5]);
    assert_eq!(rows(&kept, "a", 7).unwrap(), [5]);
    assert_eq!(rows(&kept, "a", 12).unwrap(), [0; 0]);
    for offset in [1, 4, 11, 13] {
        assert_eq!(rows(&kept, "a", offset), None, "{offset}");
    }
    assert_eq!(rows(&kept, "b", 0), None);
    assert!(keep(&kept, "empty", &[]));
    assert_eq!(rows(&kept, "empty", 0).unwrap(), [0; 0]);
}

#[test]
fn a_message_comes_back_as_it_was() {
    let root = TempDir::new().unwrap();
    let kept = new(&root);
    // More pieces than are written at a time, of lengths that do not go together.
    let pieces: Vec<Bytes> = (0..200_u8)
        .map(|i| vec![i; 1 + usize::from(i)].into())
        .collect();
    let mut sent = message(9, 0);
    pieces
        .iter()
        .for_each(|piece| sent.body.push(piece.clone()));
    sent.uncompressed_bytes = Some(-1);
    kept.record("a").unwrap().add(&sent).unwrap().finish();
    let found = kept.find("a", 0).unwrap().next_message().unwrap().unwrap();
    assert_eq!(found.body.into_bytes(), pieces.concat());
    assert_eq!(found.progress, sent.progress);
    assert_eq!((found.rows, found.uncompressed_bytes), (9, Some(-1)));
}

#[test]
fn what_was_not_asked_for_longest_makes_room() {
    let root = TempDir::new().unwrap();
    let kept = new(&root);
    assert!(keep(&kept, "a", &[(1, 40_000)]));
    assert!(keep(&kept, "b", &[(1, 40_000)]));
    let mut being_read = kept.find("b", 0).unwrap();
    assert!(rows(&kept, "a", 0).is_some());
    assert!(keep(&kept, "c", &[(1, 40_000)]));
    assert!(rows(&kept, "b", 0).is_none());
    assert!(rows(&kept, "a", 0).is_some() && rows(&kept, "c", 0).is_some());
    assert_eq!(kept.lock().bytes, on_disk(&root));
    // Whoever has begun to read comes to the end.
    assert_eq!(being_read.next_message().unwrap().unwrap().rows, 1);
}

#[test]
fn what_is_not_finished_or_too_large_leaves_nothing_behind() {
    let root = TempDir::new().unwrap();
    let kept = new(&root);
    let recording = kept.record("a").unwrap().add(&message(1, 60_000));
    assert_eq!(kept.lock().bytes, 60_000);
    drop(recording);
    drop(kept.record("a"));
    assert!(!keep(&kept, "b", &[(1, 60_000), (1, 60_000)]));
    assert_eq!((kept.lock().bytes, files(&root)), (0, Vec::new()));
    assert!(rows(&kept, "a", 0).is_none() && rows(&kept, "b", 0).is_none());
    // The same stream recorded twice counts once.
    assert!(keep(&kept, "c", &[(1, 30)]) && keep(&kept, "c", &[(1, 30)]));
    assert_eq!(kept.lock().bytes, on_disk(&root));
}

#[test]
fn streams_outlive_the_program_and_what_it_left_unfinished_does_not() {
    let root = TempDir::new().unwrap();
    let kept = new(&root);
    assert!(keep(&kept, "a", &[(1, 10)]));
    let unfinished = kept.record("b").unwrap().add(&message(1, 10));
    std::mem::forget(unfinished);
    assert_eq!(files(&root).len(), 2);
    let kept = new(&root);
    assert_eq!(files(&root).len(), 1);
    assert_eq!(kept.lock().bytes, on_disk(&root));
    assert_eq!(rows(&kept, "a", 0).unwrap(), [1]);
    // Another build may send the same rows as other bytes.
    let mut other = KeptMessages::new(root.path().to_owned(), LIMIT);
    other.program.push('x');
    assert_eq!(rows(&other, "a", 0), None);
}

#[test]
fn damaged_files_are_never_sent_and_go() {
    let root = TempDir::new().unwrap();
    let kept = new(&root);
    let damage: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(10),
        |bytes| *bytes.iter_mut().nth_back(30).unwrap() ^= 1,
        |bytes| *bytes.iter_mut().nth_back(15).unwrap() ^= 1,
        // As after a crash: the length is there, the bytes are not.
        |bytes| bytes.fill(0),
    ];
    for (case, damage) in damage.iter().enumerate() {
        assert!(keep(&kept, "a", &[(1, 50), (2, 50)]));
        let [path]: [PathBuf; 1] = files(&root).try_into().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        assert_eq!(rows(&kept, "a", 0), None, "{case}");
        assert_eq!((kept.lock().bytes, files(&root)), (0, Vec::new()), "{case}");
    }
    // A message is looked at when its turn comes.
    assert!(keep(&kept, "a", &[(1, 50), (2, 50)]));
    let [path]: [PathBuf; 1] = files(&root).try_into().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.get_mut(70).unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut rest = kept.find("a", 0).unwrap();
    assert_eq!(rest.next_message().unwrap().unwrap().rows, 1);
    let error = rest.next_message().unwrap_err();
    assert_eq!(
        (error.kind(), rest.next_row()),
        (io::ErrorKind::InvalidData, 1)
    );
}

#[test]
fn a_file_is_checked_once_for_as_long_as_it_stays_as_it_is() {
    let root = TempDir::new().unwrap();
    let kept = new(&root);
    assert!(keep(&kept, "a", &[(1, 50), (2, 50), (3, 50)]));
    // From the middle on, which says nothing of the beginning, and then all of it.
    assert_eq!(rows(&kept, "a", 1).unwrap(), [2, 3]);
    assert_eq!(rows(&kept, "a", 0).unwrap(), [1, 2, 3]);
    let [path]: [PathBuf; 1] = files(&root).try_into().unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.get_mut(70).unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let file = fs::File::options().append(true).open(&path).unwrap();
    file.set_modified(written).unwrap();
    assert_eq!(rows(&kept, "a", 0).unwrap(), [1, 2, 3]);
    let later = written + std::time::Duration::from_secs(1);
    file.set_modified(later).unwrap();
    let mut rest = kept.find("a", 1).unwrap();
    let error = rest.next_message().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn what_is_kept_follows_from_the_limit_and_what_is_free() {
    let root = TempDir::new().unwrap();
    let kept = new(&root);
    for (bytes, expected) in [
        (0, false),
        (96, false),
        (97, true),
        (LIMIT, true),
        (LIMIT + 1, false),
    ] {
        assert_eq!(kept.is_worth(bytes), expected, "{bytes}");
    }
    let nothing = KeptMessages::new(root.path().to_owned(), 0);
    assert!(!nothing.is_worth(0) && !nothing.is_worth(1));
    assert_eq!(room(1000, 100, 10_000), 1000);
    assert_eq!(room(1000, 100, 700), 200);
    assert_eq!(room(1000, 0, 0), 0);
    assert_eq!(room(u64::MAX, u64::MAX, u64::MAX), u64::MAX / 4);
}

#[test]
fn where_files_cannot_be_made_nothing_is_kept() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let kept = Arc::new(KeptMessages::new(file, LIMIT));
    assert!(kept.record("a").is_none());
    assert!(kept.find("a", 0).is_none());
}
