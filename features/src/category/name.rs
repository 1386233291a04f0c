//! How scikit-learn writes a category in a feature name: the text Python's `str` gives.
//!
//! Owns the text forms; knows nothing of columns or encoders.

use super::{Category, CategoryKind};

/// `str(category)` in Python. A missing value is `nan` among floats and `None` among everything else, booleans are
/// `True` and `False`, floats are written by Python's `repr`.
pub(crate) fn python_text(category: &Category, kind: CategoryKind) -> String {
    match category {
        Category::Missing => match kind {
            CategoryKind::Float32 | CategoryKind::Float64 => "nan".to_owned(),
            CategoryKind::Bool | CategoryKind::Int | CategoryKind::Text => "None".to_owned(),
        },
        Category::Bool(true) => "True".to_owned(),
        Category::Bool(false) => "False".to_owned(),
        Category::Int(value) => value.to_string(),
        Category::Float(value) => match kind {
            CategoryKind::Float32 => python_float(&format!("{:e}", *value as f32)),
            _ => python_float(&format!("{value:e}")),
        },
        Category::Text(text) => text.clone(),
    }
}

/// Rewrites Rust's shortest exponent form (`1.25e-7`) as Python's `repr`: positional between 1e-4 and 1e16, otherwise
/// with a signed exponent of at least two digits.
fn python_float(shortest: &str) -> String {
    let Some((mantissa, exponent)) = shortest.split_once('e') else {
        return shortest.to_owned();
    };
    let Ok(exponent) = exponent.parse::<i32>() else {
        return shortest.to_owned();
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    if !(-4..16).contains(&exponent) {
        let mark = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{mark}{:02}", exponent.unsigned_abs());
    }
    let digits: String = mantissa
        .chars()
        .filter(|character| *character != '.')
        .collect();
    let places = exponent.unsigned_abs() as usize;
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(places - 1));
    }
    if digits.len() <= places + 1 {
        return format!("{sign}{digits}{}.0", "0".repeat(places + 1 - digits.len()));
    }
    let (whole, fraction) = digits.split_at(places + 1);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (0.0, "0.0"),
            (100.0, "100.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (123_456_789.125, "123456789.125"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (-1e-300, "-1e-300"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
        ] {
            assert_eq!(
                python_text(&Category::Float(value), CategoryKind::Float64),
                text
            );
        }
        assert_eq!(
            python_text(&Category::Float(f64::from(0.1_f32)), CategoryKind::Float32),
            "0.1"
        );
        assert_eq!(
            python_text(&Category::Float(f64::from(0.1_f32)), CategoryKind::Float64),
            "0.10000000149011612"
        );
    }

    #[test]
    fn missing_is_none_or_nan() {
        assert_eq!(python_text(&Category::Missing, CategoryKind::Text), "None");
        assert_eq!(
            python_text(&Category::Missing, CategoryKind::Float64),
            "nan"
        );
        assert_eq!(
            python_text(&Category::Bool(true), CategoryKind::Bool),
            "True"
        );
        assert_eq!(python_text(&Category::Int(-7), CategoryKind::Int), "-7");
    }
}
