//! Changes that hold only while a resource is still the one the client has seen.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::error::RestError;

/// Refuses a change whose `If-Match` names another state than that of `resource`.
///
/// # Errors
/// [`RestError`] with status 412.
pub(super) fn check(headers: &HeaderMap, resource: &Value) -> Result<(), RestError> {
    let mut wanted = headers.get_all(header::IF_MATCH).iter().peekable();
    if wanted.peek().is_none() {
        return Ok(());
    }
    let own = resource["etag"].as_str().unwrap_or_default();
    let matches = wanted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_matches('"'))
        .any(|tag| tag == "*" || tag == own);
    if matches {
        return Ok(());
    }
    Err(RestError::new(
        StatusCode::PRECONDITION_FAILED,
        "conditionNotMet",
        "FAILED_PRECONDITION",
        "Precondition check failed.".to_owned(),
    )
    .at_header("If-Match"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_needs_one_tag_that_matches() {
        let resource = json!({"etag": "abc"});
        let holds = |tags: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for tag in tags {
                headers.append(header::IF_MATCH, tag.parse().unwrap());
            }
            check(&headers, &resource).is_ok()
        };
        for tags in [
            &[][..],
            &["abc"],
            &["\"abc\""],
            &["*"],
            &["x, \"abc\""],
            &["x", "abc"],
        ] {
            assert!(holds(tags), "{tags:?}");
        }
        for tags in [&["x"][..], &[""], &["ab"], &["x", "y"]] {
            assert!(!holds(tags), "{tags:?}");
        }
    }
}
