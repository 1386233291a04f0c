//! Changes that hold only while a resource is still the one the client has seen, and answers only to those who have not.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::Value;

use super::error::RestError;

/// Refuses a change whose `If-Match` names another state than that of `resource`.
///
/// # Errors
/// [`RestError`] with status 412.
pub(super) fn check(headers: &HeaderMap, resource: &Value) -> Result<(), RestError> {
    if names(headers, &header::IF_MATCH, resource).unwrap_or(true) {
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

/// Ends with "not modified" for a client whose `If-None-Match` names the state of `resource`.
///
/// # Errors
/// [`RestError`] with status 304, which has no body.
pub(super) fn check_news(headers: &HeaderMap, resource: &Value) -> Result<(), RestError> {
    match names(headers, &header::IF_NONE_MATCH, resource) {
        Some(true) => Err(RestError::not_modified()),
        _ => Ok(()),
    }
}

/// Whether a header names the state of `resource`; `None` without such a header.
fn names(headers: &HeaderMap, header: &HeaderName, resource: &Value) -> Option<bool> {
    let mut wanted = headers.get_all(header).iter().peekable();
    wanted.peek()?;
    let own = resource["etag"].as_str().unwrap_or_default();
    Some(
        wanted
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
            .any(|tag| tag == "*" || tag == own),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn who_knows_the_state_is_not_told_again() {
        let resource = json!({"etag": "abc"});
        let news = |tag: Option<&'static str>| {
            let tag = tag.map(|tag| (header::IF_NONE_MATCH, tag.parse().unwrap()));
            check_news(&tag.into_iter().collect(), &resource).is_ok()
        };
        assert!(news(None) && news(Some("x")) && news(Some("")));
        assert!(!news(Some("abc")) && !news(Some("W/\"abc\"")) && !news(Some("*")));
    }

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
