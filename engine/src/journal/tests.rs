#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;

use serde_json::json;

use super::*;

fn begun() -> Record {
    Record::Begun(Begun {
        format_version: FORMAT_VERSION,
        engine_version: "1.2.3".into(),
        recipe: json!({"where": "a = 'é\n'"}),
    })
}

fn rows(segment: usize) -> Record {
    Record::Rows(RowsRecord {
        unit: 3,
        segment,
        delivered: 100,
        rows: 90,
        bytes: 1000,
        digest: 7,
    })
}

fn written(path: &Path, records: &[Record]) -> Vec<u8> {
    let (mut journal, before) = Journal::open(path).unwrap();
    assert!(before.is_empty());
    for record in records {
        journal.append(record).unwrap();
    }
    fs::read(path).unwrap()
}

fn learned() -> Record {
    Record::Learned(LearnedRecord {
        passes: 2,
        train_rows: 10,
        filtered: vec![(0, 3), (7, 0)],
        files: vec![],
        warnings: vec!["w".into()],
        dropped: vec![],
    })
}

#[test]
fn records_come_back_in_order() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("journal");
    let records = [begun(), rows(0), rows(1), learned(), Record::Committing];
    written(&path, &records);
    let (mut journal, found) = Journal::open(&path).unwrap();
    assert_eq!(found, records);
    journal.append(&rows(2)).unwrap();
    assert_eq!(Journal::open(&path).unwrap().1.len(), 6);
    journal.clear().unwrap();
    assert_eq!(Journal::open(&path).unwrap().1, []);
}

#[test]
fn a_torn_end_is_cut_off_wherever_it_is_torn() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("journal");
    let whole = written(&path, &[begun(), rows(0), rows(1)]);
    let last = line_of(&rows(1)).unwrap().len();
    for cut in 1..=last {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert_eq!(found, [begun(), rows(0)], "{cut} bytes short");
        journal.append(&rows(1)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn a_torn_end_may_also_hold_anything() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("journal");
    let mut whole = written(&path, &[begun()]);
    whole.extend([0; 40]);
    fs::write(&path, &whole).unwrap();
    assert_eq!(Journal::open(&path).unwrap().1, [begun()]);
}

#[test]
fn damage_before_the_end_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("journal");
    let whole = written(&path, &[begun(), rows(0), rows(1)]);
    let middle = line_of(&begun()).unwrap().len() + 30;
    let mut changed = whole.clone();
    changed[middle] ^= 1;
    fs::write(&path, &changed).unwrap();
    let error = Journal::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Manifest);
    assert!(error.to_string().contains("--restart"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), changed, "the evidence is kept");
}

#[cfg(unix)]
#[test]
fn a_link_is_not_a_journal() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("target");
    fs::write(&target, b"").unwrap();
    let path = place.path().join("journal");
    std::os::unix::fs::symlink(&target, &path).unwrap();
    assert_eq!(Journal::open(&path).unwrap_err().kind(), ErrorKind::Sink);
}
