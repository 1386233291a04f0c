//! What is finished for good: read from the journal of an earlier run, and written down by this one.
//!
//! Owns the meaning of records and the decision whether a run may go on from them. How records become durable belongs to the
//! output directory; what is done with the rows and shards they speak of, to the phases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use millpond_spill::{KeptFile, MemoryBudget, Segment, SpillDir};
use serde_json::Value;

use super::resources::Resources;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{
    Begun, FORMAT_VERSION, ForgottenRecord, KeptTable, LearnedRecord, QueryRecord, ReadRecord,
    Record, RowsRecord, ScanRecord, UnitRecord, WrittenRecord,
};
use crate::output_dir::{OutputDir, segment_name};
use crate::plan::RowPlan;
use crate::recipe::Recipe;
use crate::source::connect::EarlierScan;
use crate::source::{Scan, Source};

/// What an earlier run has kept of the rows of a unit.
#[derive(Debug, Clone, Default)]
pub(super) struct UnitRows {
    /// Its segments, in row order.
    pub segments: Vec<RowsRecord>,
    /// Whether they are all there is.
    pub complete: bool,
    /// The number of its next segment.
    pub next: usize,
}

/// The finished work of earlier runs, and the place where that of this run is written down.
pub(super) struct Checkpoints {
    output: Option<Arc<OutputDir>>,
    query_dir: PathBuf,
    begun: Option<Begun>,
    query: Option<QueryRecord>,
    scan: Option<ScanRecord>,
    units: BTreeMap<usize, UnitRows>,
    unit_tokens: BTreeMap<usize, Value>,
    learned: Option<LearnedRecord>,
    written: BTreeMap<usize, WrittenRecord>,
    /// Whether some of it has cost more than time.
    paid: AtomicBool,
    /// Whether this run has given up what was kept of a unit, because its session had ended.
    forgot: AtomicBool,
    /// Whether the source has gone, so that units that have not been read to their end never will be.
    forsaken: AtomicBool,
    /// Units this run has read to their end.
    read_to_the_end: AtomicUsize,
    /// How many units there are, once that is known.
    unit_count: AtomicUsize,
}

impl Checkpoints {
    /// Nothing is finished and nothing is written down.
    pub fn none(resources: &Resources) -> Self {
        Self {
            output: None,
            query_dir: resources.spill.path().join("query"),
            begun: None,
            query: None,
            scan: None,
            units: BTreeMap::new(),
            unit_tokens: BTreeMap::new(),
            learned: None,
            written: BTreeMap::new(),
            paid: AtomicBool::new(false),
            forgot: AtomicBool::new(false),
            forsaken: AtomicBool::new(false),
            read_to_the_end: AtomicUsize::new(0),
            unit_count: AtomicUsize::new(usize::MAX),
        }
    }

    /// What `records` tell, for a run of `recipe`. A recipe with a limit takes rows in the order in which they come, so no part
    /// of its work means anything without the rest, and nothing is written down.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when the earlier run was asked for something else, naming the difference.
    pub fn open(
        output: &Arc<OutputDir>,
        records: Vec<Record>,
        recipe: &Recipe,
        resources: &Resources,
    ) -> Result<Self> {
        let mut this = Self {
            query_dir: output.query_dir(),
            ..Self::none(resources)
        };
        for record in records {
            match record {
                Record::Begun(begun) => this.begun = Some(begun),
                Record::Query(query) => this.query = Some(query),
                Record::Scan(scan) => this.scan = Some(scan),
                Record::Unit(unit) => {
                    this.unit_tokens.insert(unit.unit, unit.token);
                }
                Record::Forgotten(forgotten) => {
                    this.unit_tokens.remove(&forgotten.unit);
                    let unit = this.units.entry(forgotten.unit).or_default();
                    unit.segments.clear();
                    unit.next = forgotten.segments;
                }
                Record::Rows(rows) => {
                    let unit = this.units.entry(rows.unit).or_default();
                    unit.next = rows.segment + 1;
                    unit.segments.push(rows);
                }
                Record::Read(read) => this.units.entry(read.unit).or_default().complete = true,
                Record::Learned(learned) => this.learned = Some(learned),
                Record::Written(written) => {
                    this.written.insert(written.unit, written);
                }
                Record::Committing => {}
            }
        }
        let now = Begun {
            format_version: FORMAT_VERSION,
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            recipe: serde_json::to_value(recipe)
                .map_err(|e| Error::with_source(ErrorKind::Config, "recipe", e))?,
        };
        if let Some(before) = &this.begun {
            check_begun(before, &now)?;
        }
        this.paid = AtomicBool::new(this.query.is_some() || !this.units.is_empty());
        if recipe.limit.is_none() {
            this.output = Some(Arc::clone(output));
        }
        if this.begun.is_none() {
            this.record(Record::Begun(now.clone()))?;
            this.begun = Some(now);
        }
        Ok(this)
    }

    /// Whether work of this run is written down.
    pub fn are_kept(&self) -> bool {
        self.output.is_some()
    }

    /// Whether there is finished work that has cost more than time.
    pub fn are_paid(&self) -> bool {
        self.paid.load(Ordering::Relaxed)
    }

    /// Units whose rows are all kept or written, and units whose shards are in place.
    pub fn finished(&self) -> (usize, usize) {
        let read = self
            .units
            .iter()
            .filter(|(unit, rows)| rows.complete || self.written.contains_key(unit));
        (read.count(), self.written.len())
    }

    fn record(&self, record: Record) -> Result<()> {
        self.record_files(record, Vec::new(), Vec::new())
    }

    fn record_files(
        &self,
        record: Record,
        files: Vec<PathBuf>,
        obsolete: Vec<PathBuf>,
    ) -> Result<()> {
        match &self.output {
            Some(output) => output.record(record, files, obsolete),
            None => Ok(()),
        }
    }

    /// Where a query puts its rows.
    pub fn query_dir(&self) -> &Path {
        &self.query_dir
    }

    /// The rows of the query, if an earlier run got so far.
    ///
    /// # Errors
    /// [`Manifest`](ErrorKind::Manifest) when a file is missing or has changed.
    pub fn query_files(&self) -> Result<Option<Vec<PathBuf>>> {
        let (Some(query), Some(output)) = (&self.query, &self.output) else {
            return Ok(None);
        };
        let paths = query
            .files
            .iter()
            .map(|file| output.check_kept(&self.query_dir, file));
        paths.collect::<Result<Vec<_>>>().map(Some)
    }

    /// Writes down that the rows of the query are in `paths`.
    pub fn query_done(&self, paths: &[PathBuf]) -> Result<()> {
        if !self.are_kept() {
            return Ok(());
        }
        let files = paths.iter().map(|path| kept_table(&self.query_dir, path));
        let record = Record::Query(QueryRecord {
            files: files.collect::<Result<_>>()?,
        });
        self.paid.store(true, Ordering::Relaxed);
        self.record_files(record, paths.to_vec(), Vec::new())
    }

    /// What the source needs to go on with the scan of an earlier run.
    pub fn earlier_scan(&self) -> Option<EarlierScan> {
        Some(EarlierScan {
            token: self.scan.as_ref()?.token.clone()?,
            units: self.unit_tokens.clone(),
        })
    }

    /// Writes down how to go on with a unit that was begun, where units are remembered one by one.
    pub fn unit_begun(&self, unit: usize, scan: &dyn Scan) -> Result<()> {
        match scan.unit_token(unit) {
            Some(token) if self.unit_tokens.get(&unit) != Some(&token) => {
                self.record(Record::Unit(UnitRecord { unit, token }))
            }
            _ => Ok(()),
        }
    }

    /// Writes down that what was kept of a unit in `segments` segments is of no use, and that it will be read from its start.
    pub fn forget_unit(&self, unit: usize, segments: usize) -> Result<()> {
        self.forgot.store(true, Ordering::Relaxed);
        self.record(Record::Forgotten(ForgottenRecord { unit, segments }))
    }

    /// Whether a further attempt of the same run reads units from their start whose sessions had ended.
    pub fn have_forgotten(&self) -> bool {
        self.forgot.load(Ordering::Relaxed)
    }

    /// Notes that nothing more can be read of the source, now or later.
    pub fn forsake(&self) {
        self.forsaken.store(true, Ordering::Relaxed);
    }

    /// Whether what was kept is of no use, because rows that are missing cannot be had any more.
    pub fn are_forsaken(&self) -> bool {
        self.forsaken.load(Ordering::Relaxed)
            && self.read_to_the_end.load(Ordering::Relaxed) + self.finished().0
                < self.unit_count.load(Ordering::Relaxed)
    }

    /// Writes down how the source was cut into units, or checks that it still is cut so.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) naming the difference when the source has changed since.
    pub fn scan_done(&self, source: &Arc<dyn Source>, plan: &RowPlan) -> Result<()> {
        let scan = plan.scan();
        self.unit_count.store(scan.units().len(), Ordering::Relaxed);
        if !self.are_kept() {
            return Ok(());
        }
        let now = ScanRecord {
            snapshot: scan.snapshot(),
            units: scan.units().to_vec(),
            token: scan.token(),
            state: source.state(),
        };
        match &self.scan {
            None => self.record(Record::Scan(now)),
            Some(before) => {
                let value = |record: &ScanRecord| serde_json::json!({"state": record.state, "units": record.units, "snapshot": record.snapshot});
                match first_difference("source", &value(before), &value(&now)) {
                    None => Ok(()),
                    Some(difference) => Err(Error::config(format!(
                        "the source has changed since this directory was begun: {difference}; add --restart to start over"
                    ))),
                }
            }
        }
    }

    /// What an earlier run has kept of unit `index`.
    pub fn unit_rows(&self, index: usize) -> UnitRows {
        self.units.get(&index).cloned().unwrap_or_default()
    }

    /// Writes down that `delivered` more rows of the source are in `segment`, the unit's next one; none where all were
    /// filtered out.
    pub fn rows_done(
        &self,
        unit: usize,
        number: usize,
        delivered: u64,
        segment: Option<&Segment>,
    ) -> Result<()> {
        let known = segment.map_or(
            KeptFile {
                rows: 0,
                bytes: 0,
                digest: 0,
            },
            Segment::known,
        );
        let files = segment.map(|s| s.path().to_owned()).into_iter().collect();
        if let Some(segment) = segment {
            segment.keep();
        }
        self.paid.store(true, Ordering::Relaxed);
        let record = Record::Rows(RowsRecord {
            unit,
            segment: number,
            delivered,
            rows: known.rows,
            bytes: known.bytes,
            digest: known.digest,
        });
        self.record_files(record, files, Vec::new())
    }

    /// Writes down that unit `unit` has been read to its end, in `segments` segments.
    pub fn unit_read(&self, unit: usize, segments: usize) -> Result<()> {
        self.read_to_the_end.fetch_add(1, Ordering::Relaxed);
        self.record(Record::Read(ReadRecord { unit, segments }))
    }

    /// What an earlier run learned.
    pub fn learned(&self) -> Option<&LearnedRecord> {
        self.learned.as_ref()
    }

    /// Checks the artefact that an earlier run left in `staged`.
    ///
    /// # Errors
    /// [`Manifest`](ErrorKind::Manifest) when a file is missing or has changed.
    pub fn check_learned(&self, output: &OutputDir) -> Result<()> {
        for file in self.learned.iter().flat_map(|learned| &learned.files) {
            output.check_kept(output.staged(), file)?;
        }
        Ok(())
    }

    /// Writes down that learning is over.
    pub fn learning_done(&self, learned: LearnedRecord) -> Result<()> {
        self.record(Record::Learned(learned))
    }

    /// What became of the units whose shards are in place.
    pub fn written(&self) -> &BTreeMap<usize, WrittenRecord> {
        &self.written
    }

    /// Checks the shards that an earlier run left.
    ///
    /// # Errors
    /// [`Manifest`](ErrorKind::Manifest) when a file is missing or has changed.
    pub fn check_written(&self) -> Result<()> {
        let Some(output) = &self.output else {
            return Ok(());
        };
        for shard in self.written.values().flat_map(|unit| &unit.shards) {
            let file = KeptTable {
                name: shard.path.clone(),
                bytes: shard.bytes,
                crc32c: shard.crc32c,
            };
            output.check_kept(output.staged(), &file)?;
        }
        Ok(())
    }

    /// Writes down that the shards of a unit are in place; its rows in `obsolete` files are of no use from then on.
    pub fn unit_written(&self, written: &WrittenRecord, obsolete: Vec<PathBuf>) -> Result<()> {
        self.record_files(Record::Written(written.clone()), Vec::new(), obsolete)
    }
}

/// The segment that a record tells of; none when it has no rows.
pub(super) fn adopt(
    dir: &Arc<SpillDir>,
    schema: &arrow::datatypes::SchemaRef,
    budget: &MemoryBudget,
    record: &RowsRecord,
) -> Result<Option<Segment>> {
    if record.rows == 0 {
        return Ok(None);
    }
    let known = KeptFile {
        rows: record.rows,
        bytes: record.bytes,
        digest: record.digest,
    };
    let name = segment_name(record.unit, record.segment);
    Segment::adopt(dir, &name, schema, known, budget)
        .map(Some)
        .map_err(|e| {
            Error::with_source(
                ErrorKind::Manifest,
                "rows that were kept cannot be used; add --restart to start over",
                e,
            )
        })
}

/// What is to be written down of a file of `directory`.
pub(super) fn kept_table(directory: &Path, path: &Path) -> Result<KeptTable> {
    let failed = |e| crate::output_dir::write_failed(path, "cannot read back", e);
    let name = path.strip_prefix(directory).unwrap_or(path);
    Ok(KeptTable {
        name: name.to_string_lossy().into_owned(),
        bytes: std::fs::metadata(path).map_err(failed)?.len(),
        crc32c: crate::manifest::checksum(path).map_err(failed)?,
    })
}

fn check_begun(before: &Begun, now: &Begun) -> Result<()> {
    let differs = |what: String| {
        Err(Error::config(format!(
            "the output directory was begun with another {what}; add --restart to start over"
        )))
    };
    if before.format_version != now.format_version || before.engine_version != now.engine_version {
        return differs(format!(
            "millpond: {}, not {}",
            before.engine_version, now.engine_version
        ));
    }
    match first_difference("recipe", &before.recipe, &now.recipe) {
        Some(difference) => differs(difference),
        None => Ok(()),
    }
}

/// Where two values differ first, in words; nothing when they are equal.
fn first_difference(path: &str, before: &Value, now: &Value) -> Option<String> {
    match (before, now) {
        _ if before == now => None,
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .map(|(key, value)| (key, value, b.get(key).unwrap_or(&Value::Null)))
            .chain(
                b.iter()
                    .filter(|(key, _)| !a.contains_key(*key))
                    .map(|(key, value)| (key, &Value::Null, value)),
            )
            .find_map(|(key, a, b)| first_difference(&format!("{path}.{key}"), a, b)),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(index, (a, b))| first_difference(&format!("{path}[{index}]"), a, b)),
        _ => Some(format!("{path}: {} and not {}", short(before), short(now))),
    }
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let mut cut: String = text.chars().take(LONGEST).collect();
    cut.push_str("...");
    cut
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let before = json!({"where": "a > 1", "features": [{"columns": "x"}, {"columns": "y"}]});
        let cases = [
            (
                json!({"where": "a > 2", "features": [{"columns": "x"}, {"columns": "y"}]}),
                "recipe.where: \"a > 1\" and not \"a > 2\"",
            ),
            (
                json!({"where": "a > 1", "features": [{"columns": "x"}, {"columns": "z"}]}),
                "recipe.features[1].columns: \"y\" and not \"z\"",
            ),
            (
                json!({"where": "a > 1", "features": []}),
                "recipe.features: [{\"columns\":\"x\"},{\"columns\":\"y\"}] and not []",
            ),
            (
                json!({"where": "a > 1", "features": [{"columns": "x"}, {"columns": "y"}], "label": "l"}),
                "recipe.label: null and not \"l\"",
            ),
        ];
        for (now, expected) in cases {
            assert_eq!(first_difference("recipe", &before, &now).unwrap(), expected);
        }
        assert_eq!(first_difference("recipe", &before, &before), None);
    }
}
