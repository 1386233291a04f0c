#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{DirBuilderExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::spill_dir::SpillDir;

fn orphan(root: &Path, name: &str) -> PathBuf {
    let path = root.join(format!("{PREFIX}{name}"));
    fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
    fs::write(path.join(LOCK), "").unwrap();
    fs::write(path.join(MARKER), "").unwrap();
    fs::write(path.join("rows-000000.parquet"), "rows").unwrap();
    fs::create_dir(path.join("operators")).unwrap();
    fs::write(path.join("operators/x"), "rows").unwrap();
    path
}

#[test]
fn orphans_go_and_everything_else_stays() {
    let root = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(root.path()).unwrap();
    let live = SpillDir::create(&root, None).unwrap();
    let dead = orphan(&root, "dead");
    let half = orphan(&root, "half-removed");
    fs::remove_file(half.join(LOCK)).unwrap();
    // Not ours: another name, no marker, a file, a mode that others could have written to.
    let other = root.join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join(MARKER), "").unwrap();
    let unmarked = orphan(&root, "unmarked");
    fs::remove_file(unmarked.join(MARKER)).unwrap();
    let file = root.join(format!("{PREFIX}file"));
    fs::write(&file, "").unwrap();
    let open = orphan(&root, "open");
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o770)).unwrap();

    let report = sweep(&root).unwrap();
    assert_eq!(report.removed, [dead.clone(), half.clone()]);
    assert_eq!((report.failed.len(), report.live), (0, 1));
    assert!(!dead.exists() && !half.exists());
    for kept in [live.path(), &other, &unmarked, &file, &open] {
        assert!(kept.exists(), "{}", kept.display());
    }
}

#[test]
fn empty_directories_go() {
    let root = tempfile::tempdir().unwrap();
    let empty = root.path().join(format!("{PREFIX}empty"));
    fs::DirBuilder::new().mode(0o700).create(&empty).unwrap();
    let open = root.path().join(format!("{PREFIX}open"));
    fs::DirBuilder::new().mode(0o755).create(&open).unwrap();
    assert_eq!(sweep(root.path()).unwrap().removed.len(), 1);
    assert!(!empty.exists() && open.exists());
}

#[test]
fn sweeps_take_no_directory_away_from_those_who_make_one() {
    let root = tempfile::tempdir().unwrap();
    let made = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !made.load(Ordering::Relaxed) {
                    assert_eq!(sweep(root.path()).unwrap().failed, [] as [PathBuf; 0]);
                }
            });
        }
        for _ in 0..300 {
            let dir = SpillDir::create(root.path(), None);
            let there = dir.as_ref().map(|dir| dir.path().join(MARKER).exists());
            if !matches!(there, Ok(true)) {
                made.store(true, Ordering::Relaxed);
            }
            assert!(there.unwrap());
        }
        made.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn links_are_never_followed() {
    let root = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = orphan(elsewhere.path(), "target");
    symlink(&target, root.path().join(format!("{PREFIX}link"))).unwrap();
    // A link inside an orphan is removed, what it points to is not.
    let dead = orphan(root.path(), "dead");
    symlink(&target, dead.join("inner")).unwrap();
    // A marker that is a link does not count.
    let odd = orphan(root.path(), "odd");
    fs::remove_file(odd.join(MARKER)).unwrap();
    symlink(target.join(MARKER), odd.join(MARKER)).unwrap();
    let report = sweep(root.path()).unwrap();
    assert_eq!(report.removed.len(), 1);
    assert!(!dead.exists());
    assert!(odd.exists());
    assert!(target.join("operators/x").exists());
}

#[test]
fn directories_of_other_users_stay() {
    let root = tempfile::tempdir().unwrap();
    let dead = orphan(root.path(), "dead");
    let uid = own_uid().unwrap();
    assert!(matches!(
        remove_if_orphan(&dead, uid + 1).unwrap(),
        Found::NotOurs
    ));
    assert!(dead.exists());
    assert!(matches!(
        remove_if_orphan(&dead, uid).unwrap(),
        Found::Removed
    ));
}
