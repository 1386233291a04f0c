//! What reading costs: bounds before, an estimate for the plan, the account afterwards.
//!
//! Owns which count stands for what. Must not ask a service.

use std::fmt;

use bytesize::ByteSize;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::price_list::PriceList;
use crate::recipe::{Recipe, SourceSpec};
use crate::source::{Appraisal, Billing, Scan};

/// What a run would cost, before anything that is free.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CostEstimate {
    /// How reading is paid for.
    pub billing: Billing,
    /// Bytes that would be billed: of a query by its dry run, else by the read session's estimate.
    pub bytes: u64,
    /// What they cost, in the currency of the list.
    pub price: f64,
    /// What a query of the same columns and rows would cost, where the table is read without one and a dry run told its bytes.
    pub price_of_query: Option<f64>,
    /// The prices assumed.
    pub prices: PriceList,
}

impl CostEstimate {
    /// The estimate; nothing for files, and where no bytes are known.
    pub(super) fn of(
        billing: Billing,
        scan: &dyn Scan,
        appraisal: &Appraisal,
        prices: &PriceList,
    ) -> Option<Self> {
        let of_units: Option<u64> = scan.units().iter().map(|unit| unit.bytes).sum();
        let bytes = match billing {
            Billing::Query => appraisal.dry_run_bytes.or(of_units)?,
            _ => of_units?,
        };
        let price_of_query = match billing {
            Billing::StorageRead => appraisal
                .dry_run_bytes
                .and_then(|bytes| prices.price(Billing::Query, bytes)),
            _ => None,
        };
        Some(Self {
            billing,
            bytes,
            price: prices.price(billing, bytes)?,
            price_of_query,
            prices: prices.clone(),
        })
    }
}

impl fmt::Display for CostEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PriceList {
            as_of,
            region,
            currency,
            ..
        } = &self.prices;
        let (how, free) = match self.billing {
            Billing::Query => ("by a query", self.prices.query_free_tib_per_month),
            _ => (
                "by the Storage Read API",
                self.prices.storage_read_free_tib_per_month,
            ),
        };
        write!(f, "{:.6} {currency} {how}", self.price)?;
        if let Some(price) = self.price_of_query {
            write!(f, ", {price:.6} {currency} by a query")?;
        }
        write!(f, " (assuming list prices of {as_of}, {region}")?;
        if free > 0.0 {
            write!(f, "; before the {free} TiB a month that are free")?;
        }
        f.write_str(")")
    }
}

/// What the service charges for a run that is over.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Charged {
    pub bytes_processed: Option<u64>,
    pub bytes_billed: Option<u64>,
    pub slot_ms: Option<u64>,
    pub query_jobs: u64,
}

impl Charged {
    /// The account of a scan whose rows were all read.
    pub fn of(billing: Billing, scan: &dyn Scan) -> Self {
        match billing {
            Billing::None => Self::default(),
            Billing::StorageRead => {
                let estimate = scan.units().iter().map(|unit| unit.bytes).sum();
                Self {
                    bytes_processed: estimate,
                    bytes_billed: estimate,
                    ..Self::default()
                }
            }
            Billing::Query => {
                let usage = scan.usage();
                Self {
                    bytes_processed: usage.bytes_processed,
                    bytes_billed: usage.bytes_billed,
                    slot_ms: usage.slot_ms,
                    query_jobs: usage.jobs,
                }
            }
        }
    }
}

/// The recipe's own bound.
pub(super) fn max_bytes_of(recipe: &Recipe) -> Option<ByteSize> {
    match &recipe.source {
        Some(SourceSpec::Table(table)) => table.bigquery.max_bytes,
        _ => None,
    }
}

/// Refuses to read `bytes` when there is a bound below that.
///
/// # Errors
/// Config with both numbers.
pub(super) fn check_bytes(source: &str, bytes: Option<u64>, most: Option<ByteSize>) -> Result<()> {
    match (bytes, most) {
        (Some(bytes), Some(most)) if bytes > most.as_u64() => Err(Error::config(format!(
            "reading {source} takes {bytes} bytes ({}) and at most {} ({}) are allowed: nothing was read; raise --max-bytes, or read fewer columns or rows",
            ByteSize::b(bytes).display().iec(),
            most.as_u64(),
            most.display().iec()
        ))),
        _ => Ok(()),
    }
}
