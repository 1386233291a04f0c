//! The elements of a model of a date or a time.

use datafusion::common::{Result, exec_err};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    Text(String),
    /// So many digits.
    Year(usize),
    /// Two digits of the years around 2000.
    RoundYear(usize),
    Month,
    MonthName,
    ShortMonth,
    Day,
    DayOfYear,
    DayOfWeek,
    DayName,
    ShortDay,
    Hour,
    HalfHour,
    /// Before or after noon; with points or without.
    Half(bool),
    Minute,
    Second,
    SecondOfDay,
    Fraction(usize),
    ZoneHour,
    ZoneMinute,
}

impl Element {
    pub fn is_of_date(&self) -> bool {
        matches!(
            self,
            Self::Year(_)
                | Self::RoundYear(_)
                | Self::Month
                | Self::MonthName
                | Self::ShortMonth
                | Self::Day
                | Self::DayOfYear
                | Self::DayOfWeek
                | Self::DayName
                | Self::ShortDay
        )
    }

    pub fn is_of_zone(&self) -> bool {
        matches!(self, Self::ZoneHour | Self::ZoneMinute)
    }

    pub fn is_of_time(&self) -> bool {
        !matches!(self, Self::Text(_)) && !self.is_of_date() && !self.is_of_zone()
    }
}

/// How the letters of an element are to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    AsIs,
    Upper,
    Lower,
}

/// Words and what they stand for; longer ones come before what they begin with.
const WORDS: &[(&str, Element)] = &[
    ("YYYY", Element::Year(4)),
    ("YYY", Element::Year(3)),
    ("YY", Element::Year(2)),
    ("Y", Element::Year(1)),
    ("RRRR", Element::RoundYear(4)),
    ("RR", Element::RoundYear(2)),
    ("MONTH", Element::MonthName),
    ("MON", Element::ShortMonth),
    ("MM", Element::Month),
    ("MI", Element::Minute),
    ("DDD", Element::DayOfYear),
    ("DD", Element::Day),
    ("DAY", Element::DayName),
    ("DY", Element::ShortDay),
    ("D", Element::DayOfWeek),
    ("HH24", Element::Hour),
    ("HH12", Element::HalfHour),
    ("HH", Element::HalfHour),
    ("SSSSS", Element::SecondOfDay),
    ("SS", Element::Second),
    ("FF1", Element::Fraction(1)),
    ("FF2", Element::Fraction(2)),
    ("FF3", Element::Fraction(3)),
    ("FF4", Element::Fraction(4)),
    ("FF5", Element::Fraction(5)),
    ("FF6", Element::Fraction(6)),
    ("FF7", Element::Fraction(7)),
    ("FF8", Element::Fraction(8)),
    ("FF9", Element::Fraction(9)),
    ("A.M.", Element::Half(true)),
    ("P.M.", Element::Half(true)),
    ("AM", Element::Half(false)),
    ("PM", Element::Half(false)),
    ("TZH", Element::ZoneHour),
    ("TZM", Element::ZoneMinute),
];

/// The elements of a model in order.
pub(super) fn elements(model: &str) -> Result<Vec<(Element, Case)>> {
    let mut all = Vec::new();
    let mut rest = model;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let mut text = String::new();
            let mut inner = rest.char_indices().skip(1);
            let mut end = None;
            while let Some((at, c)) = inner.next() {
                match c {
                    '"' => {
                        end = Some(at + 1);
                        break;
                    }
                    '\\' => text.extend(inner.next().map(|(_, c)| c)),
                    c => text.push(c),
                }
            }
            let Some(end) = end else {
                return exec_err!("the format {model:?} has a text without an end");
            };
            all.push((Element::Text(text), Case::AsIs));
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        if "-./,'; :".contains(first) || first.is_whitespace() {
            all.push((Element::Text(first.to_string()), Case::AsIs));
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let is = |word: &&(&str, Element)| {
            let own = rest.get(..word.0.len());
            own.is_some_and(|own| own.eq_ignore_ascii_case(word.0))
        };
        let Some((word, element)) = WORDS.iter().find(is) else {
            return exec_err!(
                "Cannot find matched format element at {rest:?} of the format {model:?}"
            );
        };
        let (own, after) = rest.split_at(word.len());
        // The first two letters tell how the others are written.
        let mut letters = own.chars().filter(char::is_ascii_alphabetic);
        let case = match (letters.next(), letters.next()) {
            (Some(a), Some(b)) if a.is_uppercase() && b.is_uppercase() => Case::Upper,
            (Some(a), _) if a.is_lowercase() => Case::Lower,
            _ => Case::AsIs,
        };
        all.push((element.clone(), case));
        rest = after;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_are_taken_as_long_as_they_are() {
        let all = elements("Month DD, yyyy\"T\"HH24:MI:SS.FF3TZH").unwrap();
        let words: Vec<Element> = all.iter().map(|(e, _)| e.clone()).collect();
        let text = |t: &str| Element::Text(t.to_owned());
        assert_eq!(
            words,
            [
                Element::MonthName,
                text(" "),
                Element::Day,
                text(","),
                text(" "),
                Element::Year(4),
                text("T"),
                Element::Hour,
                text(":"),
                Element::Minute,
                text(":"),
                Element::Second,
                text("."),
                Element::Fraction(3),
                Element::ZoneHour,
            ]
        );
        assert_eq!(all.first().unwrap().1, Case::AsIs);
        assert_eq!(elements("MONTH").unwrap().first().unwrap().1, Case::Upper);
        assert_eq!(elements("mon").unwrap().first().unwrap().1, Case::Lower);
        assert!(elements("QQ").is_err());
        assert!(elements("\"x").is_err());
    }
}
