//! What bytes cost: a dated list of prices, built in or the user's own.
//!
//! Owns the list and its arithmetic. Must not know what is read.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::source::Billing;

/// Bytes of a TiB.
const TIB: f64 = (1_u64 << 40) as f64;
/// A list is a few lines. Anything far larger is another file named by mistake.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Prices of reading from BigQuery, as somebody read them on some day: an assumption, dated and for one region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// When the list was read, for example `2025-11`.
    pub as_of: String,
    /// Where it holds.
    pub region: String,
    /// Currency of the prices.
    #[serde(default = "usd")]
    pub currency: String,
    /// Price of a TiB that on-demand queries process.
    pub query_per_tib: f64,
    /// TiB of queries a month that are free.
    #[serde(default)]
    pub query_free_tib_per_month: f64,
    /// Price of a TiB that the Storage Read API reads.
    pub storage_read_per_tib: f64,
    /// TiB of such reads a month that are free.
    #[serde(default)]
    pub storage_read_free_tib_per_month: f64,
}

fn usd() -> String {
    "USD".to_owned()
}

impl PriceList {
    /// Google's list prices for the US multi-region as of 2025.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            as_of: "2025".to_owned(),
            region: "US multi-region".to_owned(),
            currency: usd(),
            query_per_tib: 6.25,
            query_free_tib_per_month: 1.0,
            storage_read_per_tib: 1.1,
            storage_read_free_tib_per_month: 300.0,
        }
    }

    /// Reads a list from a YAML or JSON file.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when there is no such file, [`Config`](ErrorKind::Config) when it holds no list of prices.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let unreadable = |e: std::io::Error| {
            let kind = match e.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Config,
            };
            Error::with_source(kind, format!("cannot read prices {}", path.display()), e)
        };
        let wrong = |why: String| Error::config(format!("prices {}: {why}", path.display()));
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > MAX_FILE_BYTES {
            return Err(wrong(format!(
                "{bytes} bytes are more than the {MAX_FILE_BYTES} a list of prices may have"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let list: Self = serde_saphyr::from_str(&text)
            .map_err(|e| wrong(e.to_string().lines().next().unwrap_or_default().to_owned()))?;
        let numbers = [
            ("query_per_tib", list.query_per_tib),
            ("query_free_tib_per_month", list.query_free_tib_per_month),
            ("storage_read_per_tib", list.storage_read_per_tib),
            (
                "storage_read_free_tib_per_month",
                list.storage_read_free_tib_per_month,
            ),
        ];
        for (name, value) in numbers {
            if !value.is_finite() || value < 0.0 {
                return Err(wrong(format!("{name} is {value}, not a price")));
            }
        }
        Ok(list)
    }

    /// What so many bytes cost before anything that is free; nothing for what nobody asks money for.
    #[must_use]
    pub fn price(&self, billing: Billing, bytes: u64) -> Option<f64> {
        let per_tib = match billing {
            Billing::None => return None,
            Billing::StorageRead => self.storage_read_per_tib,
            Billing::Query => self.query_per_tib,
        };
        Some(bytes as f64 / TIB * per_tib)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tib_costs_its_price() {
        let list = PriceList::built_in();
        assert_eq!(list.price(Billing::Query, 1 << 40), Some(6.25));
        assert_eq!(list.price(Billing::StorageRead, 1 << 39), Some(0.55));
        assert_eq!(list.price(Billing::None, 1 << 40), None);
    }

    #[test]
    fn lists_are_read_from_yaml_and_json_and_checked() {
        let directory = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let path = directory.path().join("prices");
            std::fs::write(&path, text).unwrap();
            PriceList::from_file(&path)
        };
        let yaml = "as_of: 2026-10\nregion: europe-west3\ncurrency: EUR\nquery_per_tib: 8.13\nstorage_read_per_tib: 1.4\n";
        let list = read(yaml).unwrap();
        assert_eq!((list.query_per_tib, list.currency.as_str()), (8.13, "EUR"));
        let json = serde_json::to_string(&PriceList::built_in()).unwrap();
        assert_eq!(read(&json).unwrap(), PriceList::built_in());
        for (wrong, says) in [
            ("region: x", "as_of"),
            (&yaml.replace("1.4", "-1"), "storage_read_per_tib is -1"),
            (&yaml.replace("8.13", ".nan"), "query_per_tib"),
            (&yaml.replace("query_per_tib", "query_price"), "query_price"),
        ] {
            let error = read(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(says), "{error}");
        }
        let missing = PriceList::from_file(directory.path().join("none")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
}
