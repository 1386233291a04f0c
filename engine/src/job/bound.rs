//! A recipe bound to its source: connected, checked, and fitted into its memory.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use bytesize::ByteSize;
use millpond_features::{INSIDE_OF, Split};

use super::checkpoints::Checkpoints;
use super::cost::{check_bytes, max_bytes_of};
use super::inputs::{Inputs, row_bytes};
use super::materialise::{materialise, source_of};
use super::memory_need::MemoryNeed;
use super::progress::Phase;
use super::resources::Resources;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::plain_type;
use crate::plan::RowPlan;
use crate::recipe::{Recipe, SourceSpec, TableSpec};
use crate::source::connect::{Connecting, connect_sql, connect_table};
use crate::source::{ReadContext, Source};

/// Connects the source of `recipe`; a query is run and written down first, unless an earlier run did.
pub(super) async fn connect(
    recipe: &Recipe,
    connecting: Connecting,
    resources: &Resources,
    checkpoints: &Checkpoints,
) -> Result<Arc<dyn Source>> {
    let connecting = Connecting {
        earlier: checkpoints.earlier_scan(),
        ..connecting
    };
    match &recipe.source {
        Some(SourceSpec::Address(address)) => {
            let table = TableSpec {
                table: address.clone(),
                bigquery: Default::default(),
                csv: Default::default(),
            };
            connect_table(&table, connecting).await
        }
        Some(SourceSpec::Table(table)) => connect_table(table, connecting).await,
        Some(SourceSpec::Sql(sql)) => connect_sql(sql, connecting).await,
        Some(SourceSpec::Query(query)) => {
            if let Some(files) = checkpoints.query_files()? {
                return source_of(files).await;
            }
            resources.gauge.enter(Phase::Materialise, None, None);
            let dir = checkpoints.query_dir();
            let files = materialise(query, &recipe.key.0, resources, &connecting, dir).await;
            resources.gauge.enter(Phase::Connect, None, None);
            let files = files?;
            checkpoints.query_done(&files)?;
            source_of(files).await
        }
        None => Err(Error::config("the recipe names no source")),
    }
}

/// A recipe bound to its source, with the slots its memory allows.
pub(super) struct Bound {
    pub recipe: Recipe,
    pub source: Arc<dyn Source>,
    pub inputs: Inputs,
    pub read: ReadContext,
    pub need: MemoryNeed,
    pub slots: usize,
    max_bytes: Option<ByteSize>,
}

impl Bound {
    /// Connects the source of `recipe` and checks everything that can be checked before a row is read.
    ///
    /// # Errors
    /// As [`connect`] and [`Inputs::bind`]; MemoryBudget when not even one slot fits.
    pub async fn connect(
        recipe: Recipe,
        connecting: Connecting,
        resources: &Resources,
        checkpoints: &Checkpoints,
    ) -> Result<Self> {
        let max_bytes = connecting.max_bytes.or_else(|| max_bytes_of(&recipe));
        let source = connect(&recipe, connecting, resources, checkpoints).await?;
        let inputs = Inputs::bind(&recipe, &source, &resources.session)?;
        let columns = inputs.all_columns();
        let width = row_bytes(&inputs.schema, &columns);
        let read = resources.read_context(width);
        let need = MemoryNeed::within(resources.memory_limit_bytes, |limit_bytes| MemoryNeed {
            batch_rows: read.batch_rows,
            row_bytes: width,
            columns: columns.len(),
            shards: Split::ALL.len(),
            reader_bytes: source.reader_bytes(&columns, limit_bytes),
        })?;
        // A limit counts rows in unit order, so units then run one after the other.
        let wanted = if recipe.limit.is_some() {
            1
        } else {
            resources.slots
        };
        let slots = need.slots(wanted, resources.memory_limit_bytes);
        resources.budget.reserve(need.uncounted_bytes(slots));
        Ok(Self {
            recipe,
            source,
            inputs,
            read,
            need,
            slots,
            max_bytes,
        })
    }

    /// The plan of rows with `columns`.
    ///
    /// # Errors
    /// As [`RowPlan::try_new`]; Config when it would read more bytes than are allowed.
    pub async fn plan(&self, resources: &Resources, columns: Vec<String>) -> Result<Arc<RowPlan>> {
        let query = self.inputs.query(&self.recipe, columns);
        let plan = RowPlan::try_new(&resources.session, &self.source, &self.read, &query).await?;
        let bytes = plan.scan().units().iter().map(|unit| unit.bytes).sum();
        check_bytes(self.source.name(), bytes, self.max_bytes)?;
        Ok(Arc::new(plan))
    }

    /// Source columns the features and carried columns are made of, text as plain text.
    ///
    /// # Errors
    /// When a derived column's SQL is wrong.
    pub fn input_schema(&self, resources: &Resources) -> Result<SchemaRef> {
        let wanted: Vec<String> = self
            .inputs
            .carried
            .iter()
            .cloned()
            .chain(
                self.inputs
                    .features
                    .input_columns()
                    .into_iter()
                    .map(str::to_owned),
            )
            .collect();
        let names =
            self.inputs
                .source_columns(&wanted, &self.recipe, &self.source, &resources.session)?;
        let fields: Vec<_> = self
            .source
            .schema()
            .fields()
            .iter()
            .filter(|f| names.contains(f.name()))
            .map(|f| {
                let plain = plain_type(f.data_type());
                let inside = f.metadata().get_key_value(INSIDE_OF);
                let inside = inside.map(|(key, root)| (key.clone(), root.clone()));
                let plain = Field::new(f.name(), plain, f.is_nullable());
                Arc::new(plain.with_metadata(inside.into_iter().collect()))
            })
            .collect();
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Source columns without which no feature can be computed.
    ///
    /// # Errors
    /// When a derived column's SQL is wrong.
    pub fn required_columns(&self, resources: &Resources) -> Result<Vec<String>> {
        let features: Vec<String> = self
            .inputs
            .features
            .input_columns()
            .into_iter()
            .map(str::to_owned)
            .collect();
        self.inputs
            .source_columns(&features, &self.recipe, &self.source, &resources.session)
    }

    /// The error for a source of `units` units that leaves nothing to learn from.
    pub fn no_training_rows(&self, units: usize) -> Error {
        let name = self.source.name();
        let why = match &self.recipe.filter {
        _ if units == 0 => "it is empty".to_owned(),
        Some(filter) => format!("none of its rows is a training row; check `where: {filter}` and the split"),
        None => "none of its rows is a training row; it is empty, or the split leaves nothing to train on".to_owned(),
    };
        Error::new(
            ErrorKind::Data,
            format!("nothing can be learned from {name}: {why}"),
        )
    }
}
