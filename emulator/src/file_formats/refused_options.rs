//! Options of files that change what rows are, and that this emulator does not follow.

use serde_json::Value;

use super::FormatError;

/// Their names, and what they say where nothing is changed.
const REFUSED: [(&str, &[&str]); 11] = [
    (
        "columnNameCharacterMap",
        &["COLUMN_NAME_CHARACTER_MAP_UNSPECIFIED", "STRICT"],
    ),
    ("dateFormat", &[]),
    ("datetimeFormat", &[]),
    ("fileSetSpecType", &["FILE_SET_SPEC_TYPE_FILE_SYSTEM_MATCH"]),
    ("jsonExtension", &["JSON_EXTENSION_UNSPECIFIED"]),
    ("mapTargetType", &["MAP_TARGET_TYPE_UNSPECIFIED"]),
    ("objectMetadata", &["OBJECT_METADATA_UNSPECIFIED"]),
    (
        "sourceColumnMatch",
        &["SOURCE_COLUMN_MATCH_UNSPECIFIED", "POSITION"],
    ),
    ("timeFormat", &[]),
    ("timeZone", &["UTC"]),
    ("timestampFormat", &[]),
];

/// Refuses settings that have one of them.
///
/// # Errors
/// [`FormatError`] naming it.
pub(crate) fn refuse(settings: &Value) -> Result<(), FormatError> {
    let refused = REFUSED.iter().find_map(|(name, usual)| {
        let value = settings[*name].as_str().filter(|text| !text.is_empty())?;
        (!usual.contains(&value)).then(|| format!("{name} {value}"))
    });
    match refused {
        Some(option) => Err(FormatError::new(format!(
            "the option {option} is not supported by this emulator"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_change_rows_is_refused_by_name() {
        let refused = refuse(&json!({"sourceFormat": "CSV", "dateFormat": "DD/MM/YYYY"}));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "the option dateFormat DD/MM/YYYY is not supported by this emulator"
        );
        assert!(refuse(&json!({"sourceColumnMatch": "NAME"})).is_err());
        let usual = json!({"timeFormat": "", "timeZone": "UTC", "dateFormat": null, "sourceColumnMatch": "POSITION"});
        assert_eq!(refuse(&usual), Ok(()));
    }
}
