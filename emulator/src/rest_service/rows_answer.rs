//! An answer with rows: its members as values, its rows as the text they were written as.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::error::RestError;
use super::rows::RowsText;

/// The body of an answer that may have rows.
pub(super) struct RowsAnswer(Vec<u8>);

impl RowsAnswer {
    /// `members`, which are an object's, and the member `rows` where there are any.
    ///
    /// # Errors
    /// Never: values can be written.
    pub fn try_new(members: &Value, rows: &RowsText) -> Result<Self, RestError> {
        let mut body = serde_json::to_vec(members)?;
        if rows.count() > 0 {
            let closing = body.pop();
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend_from_slice(b"\"rows\":[");
            body.extend_from_slice(rows.text());
            body.push(b']');
            body.extend(closing);
        }
        Ok(Self(body))
    }
}

impl IntoResponse for RowsAnswer {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json)], self.0).into_response()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_come_after_the_other_members() {
        let text = |members: Value, count: usize| {
            let mut rows = RowsText::default();
            (0..count).for_each(|row| rows.push(&json!({"f": [{"v": row}]})).unwrap());
            let answer = RowsAnswer::try_new(&members, &rows).unwrap();
            String::from_utf8(answer.0).unwrap()
        };
        assert_eq!(text(json!({"a": 1}), 0), r#"{"a":1}"#);
        assert_eq!(
            text(json!({"a": 1}), 2),
            r#"{"a":1,"rows":[{"f":[{"v":0}]},{"f":[{"v":1}]}]}"#
        );
        assert_eq!(text(json!({}), 1), r#"{"rows":[{"f":[{"v":0}]}]}"#);
    }
}
