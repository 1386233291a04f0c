//! What must hold for any name of an output file. Compiled for tests and fuzz targets only.

use std::path::{Component, Path};

use super::name::FileName;

/// Any text is refused as a name, or names a file in the root or one directory below it.
///
/// # Panics
/// When it does not hold.
pub(crate) fn names(text: &str) {
    let root = Path::new("/root/of/the/output");
    if let Ok(name) = FileName::parse(text) {
        let directory = name
            .directory()
            .map_or_else(|| root.to_path_buf(), |d| root.join(d));
        let (path, temporary) = name.paths_in(&directory);
        for path in [path, temporary] {
            let below = path
                .strip_prefix(root)
                .unwrap_or_else(|_| panic!("{path:?} lies outside of the root"));
            let parts: Vec<_> = below.components().collect();
            assert!(
                (1..=2).contains(&parts.len())
                    && parts
                        .iter()
                        .all(|part| matches!(part, Component::Normal(_))),
                "{below:?} leads elsewhere"
            );
        }
        let again = FileName::parse(&name.text());
        assert!(
            again.is_ok_and(|again| again == name),
            "{text:?} reads back as another name"
        );
    }
}
