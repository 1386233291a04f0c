//! Numbers, shares and names as words for comments and YAML.
//!
//! Owns the text forms. Must not know what they describe.

/// A share as a percentage; shares that are not 0 or 1 never read as 0 % or 100 %.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if share > 0.0 && percent < 0.1 {
        "under 0.1 %".to_owned()
    } else if share < 1.0 && percent > 99.9 {
        "over 99.9 %".to_owned()
    } else if share == 0.0 || share == 1.0 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// A count with its thousands apart.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

/// A number in a comment: whole numbers in full, others with five digits.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if value.fract() == 0.0 && size < 1e15 {
        return format!("{value:.0}");
    }
    if !(1e-4..1e15).contains(&size) {
        return format!("{value:.4e}");
    }
    let digits = (4 - size.log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A name as a YAML scalar, bare where YAML reads it back as the same text.
pub(super) fn scalar(name: &str) -> String {
    let mut chars = name.chars();
    let bare = chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !matches!(
            name.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if bare { name.to_owned() } else { quoted(name) }
}

/// Text as a YAML double-quoted scalar of one line.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // What YAML takes for a line break or does not print must not stand as itself.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A name inside a comment: one line, whatever the name holds.
pub(super) fn in_comment(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// A column in SQL, quoted so that its case and any reserved word survive.
pub(super) fn sql_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Up to ten names and how many more there are.
pub(super) fn some_of(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(10).map(|n| in_comment(n)).collect();
    match names.len().saturating_sub(10) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shares_never_round_to_certainty() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.00001), "under 0.1 %");
        assert_eq!(percent(0.99999), "over 99.9 %");
        assert_eq!(percent(0.4512), "45.1 %");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(count(1), "1");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(number(-2.0), "-2");
        assert_eq!(number(1.23456789), "1.2346");
        assert_eq!(number(0.5), "0.5");
        assert_eq!(number(123_456.789), "123457");
        assert_eq!(number(1e300), "1.0000e300");
        assert_eq!(number(0.00001234), "1.2340e-5");
    }

    #[test]
    fn scalars_read_back_as_written() {
        for name in [
            "a", "i1", "no", "Y", "1", "a b", "a: b", "#x", "\"", "\\", "a\nb", "", "ü", "*",
            "\u{2028}", "-", "\u{7f}",
        ] {
            let text = format!("k: [{}]", scalar(name));
            let read: std::collections::BTreeMap<String, Vec<String>> =
                serde_saphyr::from_str(&text).unwrap();
            assert_eq!(read.get("k").unwrap(), &[name.to_owned()], "{text}");
        }
        assert_eq!(scalar("row_id"), "row_id");
    }
}
