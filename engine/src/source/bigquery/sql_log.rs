//! Telling what SQL is sent, for those who ask: without the values in it.
//!
//! Owns the redaction. Must not know why something is sent.

use super::query_job::Query;

/// Under this name, at level INFO, everything that is sent as SQL is logged.
pub(super) const TARGET: &str = "millpond::sql";

/// Tells of a query.
pub(super) fn query(purpose: &str, query: &Query) {
    tracing::info!(
        target: TARGET,
        parameters = query.parameters.len(),
        "{purpose}: {}",
        redacted(&query.sql)
    );
}

/// Tells of a read session.
pub(super) fn session(table: &str, columns: &[String], restriction: &str) {
    if restriction.is_empty() {
        tracing::info!(target: TARGET, "read session of {table}: {} columns, all rows", columns.len());
    } else {
        tracing::info!(
            target: TARGET,
            "read session of {table}: {} columns where {}",
            columns.len(),
            redacted(restriction)
        );
    }
}

/// The text on one line, without comments, with three stars for what stands in quotes. Names stand in backticks and stay.
fn redacted(sql: &str) -> String {
    let mut told = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let end_after = |end: &str, from: usize| {
            rest.get(from..)
                .and_then(|tail| tail.find(end))
                .map_or(rest.len(), |at| from + at + end.len())
        };
        let (taken, shown) = match first {
            '\'' | '"' => (literal(rest, first), "'***'"),
            '`' => {
                let end = end_after("`", 1);
                (end, rest.get(..end).unwrap_or_default())
            }
            '#' => (end_after("\n", 1), " "),
            '-' if rest.starts_with("--") => (end_after("\n", 2), " "),
            '/' if rest.starts_with("/*") => (end_after("*/", 2), " "),
            c if c.is_whitespace() || c.is_control() => (c.len_utf8(), " "),
            c => (c.len_utf8(), rest.get(..c.len_utf8()).unwrap_or_default()),
        };
        if shown != " " || !told.ends_with(' ') {
            told.push_str(shown);
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    told.trim().to_owned()
}

/// The length of the quoted text at the start of `text`: to its end quote, or three of them where it begins with three.
fn literal(text: &str, quote: char) -> usize {
    let three: String = std::iter::repeat_n(quote, 3).collect();
    let end = if text.starts_with(&three) {
        three
    } else {
        quote.to_string()
    };
    let mut at = end.len();
    while let Some(tail) = text.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with(&end) {
            return at + end.len();
        }
        let mut characters = tail.chars();
        let first = characters.next().map_or(1, char::len_utf8);
        at += first;
        if tail.starts_with('\\') {
            at += characters.next().map_or(0, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_told() {
        for (sql, told) in [
            ("SELECT 'a' , \"b\"", "SELECT '***' , '***'"),
            ("a = 'it\\'s' AND b = 1", "a = '***' AND b = 1"),
            ("a = '''x'y''' OR c", "a = '***' OR c"),
            (
                "-- don't\nSELECT 'x' /* 'y' */ # '\n FROM `p.d.it's`",
                "SELECT '***' FROM `p.d.it's`",
            ),
            ("'never ends", "'***'"),
            ("a\u{1b}[2Jb\n\n  c", "a [2Jb c"),
            ("r'\\' x' é", "r'***' é"),
        ] {
            assert_eq!(redacted(sql), told);
        }
    }
}
