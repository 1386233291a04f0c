//! How long it takes to count, number and look up the categories of one text column, in memory.
//!
//! `cargo run --release -p millpond-features --example vocabulary_speed -- 100000 4000000` is for 100,000 distinct values
//! in 4,000,000 rows; one line per form of the column and order of the codes, times in seconds.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use millpond_features::{
    CategoryOrder, FeaturePlan, NoExpressions, OrdinalEncoder, OutputDtype, Roles, SplitSpec,
    TransformCounts, columns,
};

const BATCH_ROWS: usize = 8192;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u64>().unwrap());
    let distinct = arguments.next().unwrap_or(100_000);
    let rows = arguments.next().unwrap_or(4_000_000);
    let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    for (form, data_type) in [("plain", DataType::Utf8), ("dictionary", dictionary)] {
        let batches = batches(distinct, rows, &data_type);
        for order in [CategoryOrder::Value, CategoryOrder::Frequency] {
            measure(form, order, &batches);
        }
    }
}

fn measure(form: &str, order: CategoryOrder, batches: &[RecordBatch]) {
    let schema = batches.first().unwrap().schema();
    let set = columns("x").then(OrdinalEncoder {
        order,
        ..OrdinalEncoder::default()
    });
    let plan = FeaturePlan::try_new(
        &[set],
        &schema,
        &Roles::default(),
        OutputDtype::Float64,
        &NoExpressions,
    )
    .unwrap();
    let split: SplitSpec = serde_json::from_str(r#"{"column": {"column": "split"}}"#).unwrap();
    let splitter = split.bind(&schema).unwrap();
    let assigned: Vec<_> = batches
        .iter()
        .map(|b| splitter.assign(b).unwrap())
        .collect();
    let mut fit = plan.fit();
    let mut states = [fit.state(), fit.state()];
    let start = Instant::now();
    for (index, (batch, splits)) in batches.iter().zip(&assigned).enumerate() {
        let train = splits.train_rows(batch).unwrap();
        states[index % 2].update(index as u32, &train).unwrap();
    }
    let counted = start.elapsed();
    fit.finish_pass(states.into()).unwrap();
    let fitted = fit.finish().unwrap();
    let numbered = start.elapsed() - counted;
    let start = Instant::now();
    let mut counts = TransformCounts::default();
    for batch in batches {
        std::hint::black_box(fitted.transform(batch, &mut counts).unwrap());
    }
    println!(
        "{form:>10} {order:?}: count {:.3} number {:.3} look up {:.3}",
        counted.as_secs_f64(),
        numbered.as_secs_f64(),
        start.elapsed().as_secs_f64()
    );
}

/// Rows whose values are spread over the distinct ones by a multiplicative hash.
fn batches(distinct: u64, rows: u64, data_type: &DataType) -> Vec<RecordBatch> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("x", data_type.clone(), true),
        Field::new("split", DataType::Utf8, true),
    ]));
    let mut made = Vec::new();
    let mut row = 0;
    while row < rows {
        let end = (row + BATCH_ROWS as u64).min(rows);
        let texts: StringArray = (row..end)
            .map(|n| {
                Some(format!(
                    "value-{:012x}",
                    (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) % distinct
                ))
            })
            .collect();
        let texts: ArrayRef = Arc::new(texts);
        let train: StringArray = (row..end).map(|_| Some("train")).collect();
        let columns = vec![
            cast(&texts, data_type).unwrap(),
            Arc::new(train) as ArrayRef,
        ];
        made.push(RecordBatch::try_new(Arc::clone(&schema), columns).unwrap());
        row = end;
    }
    made
}
