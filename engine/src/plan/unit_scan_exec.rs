//! The leaf of every plan: one partition per work unit, read when it is executed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::TryStreamExt;

use crate::source::{Leg, ReadContext, Scan};

/// Reads a [`Scan`]; partition `i` is unit `i`.
#[derive(Debug)]
pub(crate) struct UnitScanExec {
    scan: Arc<dyn Scan>,
    read: ReadContext,
    label: String,
    delivered: Arc<Vec<AtomicU64>>,
    legs: Arc<Legs>,
    properties: Arc<PlanProperties>,
}

/// Which part of each unit its next execution reads; the whole unit unless one was chosen.
#[derive(Debug, Default)]
pub(crate) struct Legs(Mutex<BTreeMap<usize, Leg>>);

impl Legs {
    /// The next execution of unit `index` reads `leg`.
    pub fn choose(&self, index: usize, leg: Leg) {
        self.map().insert(index, leg);
    }

    fn take(&self, index: usize) -> Option<Leg> {
        self.map().remove(&index)
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<usize, Leg>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnitScanExec {
    /// A leaf over `scan`, shown in plans with `label`.
    pub fn new(scan: Arc<dyn Scan>, read: ReadContext, label: String) -> Self {
        // DataFusion wants at least one partition; a scan without units has one that is empty.
        let partitions = scan.units().len().max(1);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(scan.schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let delivered = (0..scan.units().len()).map(|_| AtomicU64::new(0)).collect();
        Self {
            scan,
            read,
            label,
            delivered: Arc::new(delivered),
            legs: Arc::default(),
            properties: Arc::new(properties),
        }
    }

    /// The scan that is read.
    pub fn scan(&self) -> &Arc<dyn Scan> {
        &self.scan
    }

    /// Where the part to be read is chosen.
    pub fn legs(&self) -> &Arc<Legs> {
        &self.legs
    }

    /// Rows delivered by the newest execution of each unit.
    pub fn delivered(&self) -> &Arc<Vec<AtomicU64>> {
        &self.delivered
    }
}

impl DisplayAs for UnitScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.scan.schema();
        let columns: Vec<&str> = schema.fields().iter().map(|c| c.name().as_str()).collect();
        write!(
            f,
            "UnitScanExec: source={}, units={}, columns=[{}]",
            self.label,
            self.scan.units().len(),
            columns.join(", ")
        )
    }
}

impl ExecutionPlan for UnitScanExec {
    fn name(&self) -> &'static str {
        "UnitScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema: SchemaRef = self.scan.schema();
        if partition >= self.scan.units().len() {
            return Ok(Box::pin(RecordBatchStreamAdapter::new(
                schema,
                futures::stream::empty(),
            )));
        }
        let read = self.read.of_unit(partition);
        let stream = match self.legs.take(partition) {
            Some(leg) => self.scan.open_leg(partition, leg, &read),
            None => self.scan.open(partition, &read),
        };
        let stream = stream
            .map_err(|e| DataFusionError::External(Box::new(e)))?
            .map_err(|e| DataFusionError::External(Box::new(e)));
        let delivered = Arc::clone(&self.delivered);
        if let Some(count) = delivered.get(partition) {
            count.store(0, Ordering::Relaxed);
        }
        let stream = stream.inspect_ok(move |batch| {
            if let Some(count) = delivered.get(partition) {
                count.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}
