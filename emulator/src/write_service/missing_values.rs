//! What a column holds where a row of an append has no value: null, or the column's default.

use std::collections::BTreeMap;

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use proto::append_rows_request::MissingValueInterpretation as Meaning;

/// What was asked for on a connection so far.
#[derive(Debug, Clone, Default)]
pub(super) struct MissingValues {
    /// For columns that are not named; holds until another comes.
    usual: Option<Meaning>,
    /// For this request.
    named: BTreeMap<String, Meaning>,
}

impl MissingValues {
    /// Takes in what a request asks for.
    ///
    /// # Errors
    /// A message naming a column whose interpretation is none.
    pub fn ask(&mut self, usual: i32, named: BTreeMap<String, i32>) -> Result<(), String> {
        if let Some(usual) = known(usual) {
            self.usual = Some(usual);
        }
        self.named.clear();
        for (column, meaning) in named {
            let Some(meaning) = known(meaning) else {
                return Err(format!(
                    "Invalid missing value interpretation of field {column}"
                ));
            };
            self.named.insert(column.to_lowercase(), meaning);
        }
        Ok(())
    }

    /// Whether the column's default takes the place of a missing value.
    pub fn is_default(&self, column: &str) -> bool {
        let named = self.named.get(&column.to_lowercase()).copied();
        named.or(self.usual) == Some(Meaning::DefaultValue)
    }
}

fn known(meaning: i32) -> Option<Meaning> {
    Meaning::try_from(meaning)
        .ok()
        .filter(|meaning| *meaning != Meaning::Unspecified)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_usual_meaning_stays_and_named_ones_do_not() {
        let mut missing = MissingValues::default();
        assert!(!missing.is_default("a"));
        let named = BTreeMap::from([("A".to_owned(), 1)]);
        missing.ask(2, named).unwrap();
        assert!(!missing.is_default("a") && missing.is_default("b"));
        missing.ask(0, BTreeMap::new()).unwrap();
        assert!(missing.is_default("a"));
        missing
            .ask(1, BTreeMap::from([("b".to_owned(), 2)]))
            .unwrap();
        assert!(!missing.is_default("a") && missing.is_default("B"));
        let wrong = missing.ask(0, BTreeMap::from([("c".to_owned(), 0)]));
        assert!(wrong.unwrap_err().contains("field c"));
    }
}
