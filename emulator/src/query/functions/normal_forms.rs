//! `NORMALIZE` and `NORMALIZE_AND_CASEFOLD`: one form for texts that look alike.

use std::sync::Arc;

use arrow::array::StringArray;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

use super::{Call, Function, each, text};

pub(super) fn functions() -> Vec<ScalarUDF> {
    // The text, and the name of the form.
    vec![
        Function::made("millpond_normalize", &[2], text, |call| {
            Ok(Arc::new(StringArray::from(normalized(call)?)))
        }),
        Function::made("millpond_normalize_and_casefold", &[2], text, |call| {
            let texts = normalized(call)?.into_iter();
            let folded = texts.map(|text| text.map(|text| folded(&text)));
            Ok(Arc::new(folded.collect::<StringArray>()))
        }),
    ]
}

fn normalized(call: &Call) -> Result<Vec<Option<String>>> {
    let texts = call.texts(0)?;
    if call.rows == 0 {
        return Ok(Vec::new());
    }
    let form = call.word(1)?;
    let normal: Box<dyn Fn(&str) -> String> = match form.as_str() {
        "NFC" => composing(ComposingNormalizerBorrowed::new_nfc()),
        "NFKC" => composing(ComposingNormalizerBorrowed::new_nfkc()),
        "NFD" => decomposing(DecomposingNormalizerBorrowed::new_nfd()),
        "NFKD" => decomposing(DecomposingNormalizerBorrowed::new_nfkd()),
        _ => return exec_err!("{form} is no normalization mode: NFC, NFKC, NFD or NFKD"),
    };
    each(&texts, |text| Ok(normal(text)))
}

fn composing(form: ComposingNormalizerBorrowed<'static>) -> Box<dyn Fn(&str) -> String> {
    Box::new(move |text| form.normalize(text).into_owned())
}

fn decomposing(form: DecomposingNormalizerBorrowed<'static>) -> Box<dyn Fn(&str) -> String> {
    Box::new(move |text| form.normalize(text).into_owned())
}

/// A text in the form in which CONTAINS_SUBSTR compares: letters that look alike are one, large and small, too.
pub(super) fn compatible(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let form = ComposingNormalizerBorrowed::new_nfkc();
    form.normalize(&folded(&form.normalize(text))).into_owned()
}

/// A text without upper and lower case, as Unicode folds it: the small letters of the large ones, but for letters that have
/// only one of both, and those of the Cherokee, which are folded to large ones.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'ı' => out.push(c),
            'ẞ' => out.push_str("ss"),
            '\u{13a0}'..='\u{13f5}' => out.push(c),
            '\u{13f8}'..='\u{13fd}' | '\u{ab70}'..='\u{abbf}' => out.extend(c.to_uppercase()),
            _ => out.extend(c.to_uppercase().flat_map(char::to_lowercase)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_folded_as_unicode_has_it() {
        for (text, wanted) in [
            ("The Red Barn", "the red barn"),
            ("Straße STRAẞE", "strasse strasse"),
            ("ΣΊΣΥΦΟΣ ς", "σίσυφοσ σ"),
            ("ıİI", "ıi\u{307}i"),
            ("\u{ab70}\u{13a0}\u{13f8}", "\u{13a0}\u{13a0}\u{13f0}"),
            ("ŉ Kſµ", "ʼn ksμ"),
        ] {
            assert_eq!(folded(text), wanted, "{text}");
        }
    }
}
