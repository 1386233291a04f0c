//! Digits of floats and decimals as C writes them, without a sign.

/// The digits of the size of a float by one of the elements `f`, `e`, `g` and their capitals.
pub(super) fn digits(element: char, value: f64, precision: Option<usize>, marked: bool) -> String {
    let upper = element.is_ascii_uppercase();
    let size = value.abs();
    let text = if size.is_nan() {
        "nan".to_owned()
    } else if size.is_infinite() {
        "inf".to_owned()
    } else {
        let precision = precision.unwrap_or(6);
        match element.to_ascii_lowercase() {
            'f' => format!("{size:.precision$}"),
            'e' => scientific(size, precision),
            _ => general(size, precision.max(1), marked),
        }
    };
    if upper {
        text.to_ascii_uppercase()
    } else {
        text
    }
}

/// An exponent has a sign and two digits at least.
fn scientific(size: f64, precision: usize) -> String {
    let text = format!("{size:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{exponent:0>2}")
}

/// The shorter of both, of so many digits in all.
fn general(size: f64, digits: usize, marked: bool) -> String {
    let text = scientific(size, digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i64 = exponent.parse().unwrap_or(0);
    let last = i64::try_from(digits).unwrap_or(i64::MAX);
    let plain = (-4..last).contains(&power);
    let (number, exponent) = if plain {
        let places = usize::try_from(last - 1 - power).unwrap_or(0);
        (format!("{size:.places$}"), String::new())
    } else {
        (mantissa.to_owned(), format!("e{exponent}"))
    };
    let number = match number.contains('.') && !marked {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => &number,
    };
    format!("{number}{exponent}")
}

/// A decimal's digits with so many behind the point, half away from zero.
pub(super) fn decimal(size: &str, places: usize) -> String {
    let (whole, part) = size.split_once('.').unwrap_or((size, ""));
    let kept: String = part.chars().take(places).collect();
    let up = part.as_bytes().get(places).is_some_and(|d| *d >= b'5');
    let mut digits: Vec<u8> = format!("0{whole}{kept:0<places$}").into_bytes();
    if up {
        for digit in digits.iter_mut().rev() {
            if *digit == b'9' {
                *digit = b'0';
            } else {
                *digit += 1;
                break;
            }
        }
    }
    let digits = String::from_utf8(digits).unwrap_or_default();
    let (whole, part) = digits.split_at(digits.len() - places);
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    match places {
        0 => whole.to_owned(),
        _ => format!("{whole}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_c() {
        for (element, value, precision, text) in [
            ('f', 1.1, None, "1.100000"),
            ('E', 2.2, None, "2.200000E+00"),
            ('e', 12345.678, Some(2), "1.23e+04"),
            ('g', 0.000_01, None, "1e-05"),
            ('g', 123_456_789.0, None, "1.23457e+08"),
            ('g', 0.0001, None, "0.0001"),
            ('G', 1e100, None, "1E+100"),
            ('g', 100_000.0, None, "100000"),
            ('F', f64::INFINITY, None, "INF"),
        ] {
            assert_eq!(digits(element, value, precision, false), text);
        }
        for (size, places, text) in [
            ("3.145", 2, "3.15"),
            ("0.5", 0, "1"),
            ("99.995", 2, "100.00"),
            ("2", 3, "2.000"),
            ("0.000000001", 6, "0.000000"),
        ] {
            assert_eq!(decimal(size, places), text);
        }
    }
}
