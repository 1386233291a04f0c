#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;

use super::*;

fn fault(root: &Path, uid: u32) -> RootFault {
    match trusted_root(root, uid).unwrap_err() {
        SpillError::InsecureRoot { fault, .. } => fault,
        other => unreachable!("{other}"),
    }
}

#[test]
fn own_uid_is_the_owner_of_new_files() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(own_uid().unwrap(), file.as_file().metadata().unwrap().uid());
}

#[test]
fn a_world_writable_root_needs_the_sticky_bit() {
    let uid = own_uid().unwrap();
    let root = tempfile::tempdir().unwrap();
    let mode = |m| fs::set_permissions(root.path(), fs::Permissions::from_mode(m)).unwrap();
    mode(0o777);
    assert_eq!(
        fault(root.path(), uid),
        RootFault::WorldWritable { mode: 0o777 }
    );
    mode(0o1777);
    assert!(trusted_root(root.path(), uid).is_ok());
    mode(0o775);
    assert!(trusted_root(root.path(), uid).is_ok());
}

#[test]
fn links_and_directories_of_other_users_are_refused() {
    let uid = own_uid().unwrap();
    let root = tempfile::tempdir().unwrap();
    let link = root.path().join("link");
    let target = root.path().join("target");
    fs::create_dir(&target).unwrap();
    symlink(&target, &link).unwrap();
    let real = fs::canonicalize(&target).unwrap();
    let is_a_link = |owner| RootFault::Link {
        owner,
        target: real.clone(),
    };
    // Even one of our own: what is beside it may be somebody else's.
    assert_eq!(fault(&link, uid), is_a_link(uid));
    assert_eq!(trusted_root(&target, uid).unwrap(), real);
    if uid == ROOT_UID {
        // What root made for others is the system's, and only root can make files that belong to somebody else.
        std::os::unix::fs::chown(&target, Some(4242), None).unwrap();
        assert_eq!(trusted_root(&link, 4242).unwrap(), real);
        assert_eq!(fault(&target, uid), RootFault::ForeignOwner { owner: 4242 });
        std::os::unix::fs::lchown(&link, Some(4242), None).unwrap();
        assert_eq!(fault(&link, uid), is_a_link(4242));
    } else {
        // Seen from any other user, what is ours is foreign.
        assert_eq!(fault(&link, uid + 1), is_a_link(uid));
        assert_eq!(
            fault(&target, uid + 1),
            RootFault::ForeignOwner { owner: uid }
        );
    }
}

#[test]
fn a_file_or_device_is_no_root() {
    let uid = own_uid().unwrap();
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(fault(&file, uid), RootFault::NotADirectory);
    assert_eq!(fault(Path::new("/dev/full"), uid), RootFault::NotADirectory);
    let missing = trusted_root(&root.path().join("none"), uid).unwrap_err();
    assert!(matches!(missing, SpillError::Io { .. }));
}
