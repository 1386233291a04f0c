//! How words sound and how far they are apart.

use std::sync::Arc;

use arrow::array::{Array, Int64Array, StringArray};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::{Function, each, integer, text};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_soundex", &[1], text, |call| {
            let codes = each(&call.texts(0)?, |word| Ok(soundex(word)))?;
            Ok(Arc::new(StringArray::from(codes)))
        }),
        Function::made("millpond_edit_distance", &[2, 3], integer, |call| {
            let (left, right) = (call.texts(0)?, call.texts(1)?);
            let most = match call.arrays.len() {
                3 => Some(call.integers(2)?),
                _ => None,
            };
            let found = (0..call.rows).map(|row| {
                let most = match &most {
                    Some(most) if most.is_null(row) => return Ok(None),
                    Some(most) => most.value(row),
                    None => i64::MAX,
                };
                if left.is_null(row) || right.is_null(row) {
                    return Ok(None);
                }
                if most < 0 {
                    return exec_err!("max_distance must not be negative, it is {most}");
                }
                let distance = distance(left.value(row), right.value(row));
                Ok(Some(i64::try_from(distance).unwrap_or(i64::MAX).min(most)))
            });
            Ok(Arc::new(found.collect::<Result<Int64Array>>()?))
        }),
    ]
}

/// The class of a consonant; vowels and others have none.
fn class(c: char) -> Option<char> {
    Some(match c.to_ascii_lowercase() {
        'b' | 'f' | 'p' | 'v' => '1',
        'c' | 'g' | 'j' | 'k' | 'q' | 's' | 'x' | 'z' => '2',
        'd' | 't' => '3',
        'l' => '4',
        'm' | 'n' => '5',
        'r' => '6',
        _ => return None,
    })
}

/// The first letter and the classes of three consonants, of which equal ones count once unless a vowel parts them.
fn soundex(word: &str) -> String {
    let mut letters = word.chars().filter(char::is_ascii_alphabetic);
    let Some(first) = letters.next() else {
        return String::new();
    };
    let mut code = first.to_ascii_uppercase().to_string();
    let mut before = class(first);
    for letter in letters {
        let own = class(letter);
        if let Some(digit) = own
            && own != before
        {
            code.push(digit);
            if code.len() == 4 {
                break;
            }
        }
        if !matches!(letter.to_ascii_lowercase(), 'h' | 'w') {
            before = own;
        }
    }
    format!("{code:0<4}")
}

/// How many characters must be put in, taken out or exchanged to make one text the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut costs: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.chars().enumerate() {
        let mut corner = row;
        let mut before = row + 1;
        for (cost, b) in costs.iter_mut().skip(1).zip(&right) {
            let exchanged = corner + usize::from(a != *b);
            corner = *cost;
            before = exchanged.min(before + 1).min(*cost + 1);
            *cost = before;
        }
        if let Some(first) = costs.first_mut() {
            *first = row + 1;
        }
    }
    costs.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_sound_alike_have_one_code() {
        for (word, code) in [
            ("Ashcraft", "A261"),
            ("Raven", "R150"),
            ("Tymczak", "T522"),
            ("Pfister", "P236"),
            ("Honeyman", "H555"),
            ("", ""),
        ] {
            assert_eq!(soundex(word), code, "{word}");
        }
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (left, right, wanted) in [
            ("", "", 0),
            ("ab", "b", 1),
            ("abcdefg", "a", 6),
            ("kitten", "sitting", 3),
            ("", "äb", 2),
            ("abc", "", 3),
        ] {
            assert_eq!(distance(left, right), wanted, "{left} {right}");
        }
    }
}
