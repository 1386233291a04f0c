//! Rows on their way into one row group, texts interned while they come. Owns the forms that columns take; encoding and files
//! belong to others.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use crate::batch_size::BatchMeasure;
use crate::compact::compact_if_wasteful;
use crate::error::SpillError;
use crate::reservoir::COLUMN_OVERHEAD_BYTES;
use crate::seen_texts::SeenTexts;
use crate::text_interner::{InternedTexts, TextInterner};

/// How texts are kept.
#[derive(Debug, Clone)]
pub(crate) enum Texts {
    /// As they come.
    Plain,
    /// Each once per row group, in columns where they repeat.
    Interned(SeenTexts),
}

/// Gathers batches.
pub(crate) struct RowGroup {
    columns: Vec<Form>,
    batches: Vec<Gathered>,
    /// Of what is not interned.
    measure: BatchMeasure,
    bytes: usize,
    seen: SeenTexts,
}

/// What becomes of the values of a column.
enum Form {
    /// They are kept.
    Kept,
    /// Their keys are kept, and nearly as many texts as rows are borne for so many rows.
    Interned(TextInterner, usize),
}

/// One batch: what is kept of its columns.
struct Gathered {
    schema: SchemaRef,
    rows: usize,
    columns: Vec<GatheredColumn>,
}

enum GatheredColumn {
    Kept(ArrayRef),
    /// The numbers of interned texts.
    Numbers(Int32Array),
}

impl RowGroup {
    pub(crate) fn new(schema: &Schema, texts: &Texts) -> Self {
        let (interns, seen) = match texts {
            Texts::Plain => (false, SeenTexts::default()),
            Texts::Interned(seen) => (true, seen.clone()),
        };
        let columns = schema.fields().iter().enumerate().map(|(index, field)| {
            match interns && field.data_type() == &DataType::Utf8 && !seen.are_rare(index) {
                true => {
                    let interner = TextInterner::with_capacity(seen.expected(index));
                    Form::Interned(interner, seen.patience(index))
                }
                false => Form::Kept,
            }
        });
        Self {
            columns: columns.collect(),
            batches: Vec::new(),
            measure: BatchMeasure::new(),
            bytes: 0,
            seen,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let interners = self.columns.iter().map(|form| match form {
            Form::Interned(interner, _) => interner.memory_bytes(),
            Form::Kept => 0,
        });
        self.bytes + interners.sum::<usize>()
    }

    /// The columns that have been interned from the first row on, as they are read back.
    pub(crate) fn file_schema(&self, schema: &Schema) -> Schema {
        let fields = schema
            .fields()
            .iter()
            .zip(&self.columns)
            .map(|(field, form)| match form {
                Form::Interned(..) => Arc::new(interned_field(field)),
                Form::Kept => Arc::clone(field),
            });
        Schema::new(fields.collect::<Fields>())
    }

    /// Adds the rows of `batch`.
    ///
    /// # Errors
    /// [`SpillError::Arrow`] when a column cannot be copied.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<(), SpillError> {
        let mut numbers: Vec<Option<Int32Array>> = Vec::with_capacity(batch.num_columns());
        for index in 0..batch.num_columns() {
            numbers.push(self.intern(index, batch.column(index))?);
        }
        // What is interned is not needed any more; without it a message from the wire need not be kept.
        let kept: Vec<usize> = (0..numbers.len())
            .filter(|index| numbers.get(*index).is_some_and(Option::is_none))
            .collect();
        let kept = batch
            .project(&kept)
            .map_err(SpillError::arrow("keep a batch"))?;
        let kept = compact_if_wasteful(kept)?;
        self.bytes += self.measure.add(&kept) + batch.num_columns() * COLUMN_OVERHEAD_BYTES;
        let mut kept = kept.columns().iter();
        let mut columns = Vec::with_capacity(numbers.len());
        for numbers in numbers {
            self.bytes += numbers.as_ref().map_or(0, Array::get_buffer_memory_size);
            let kept = || kept.next().cloned().map(GatheredColumn::Kept);
            columns.extend(numbers.map(GatheredColumn::Numbers).or_else(kept));
        }
        self.batches.push(Gathered {
            schema: batch.schema(),
            rows: batch.num_rows(),
            columns,
        });
        Ok(())
    }

    /// Numbers for the texts of a column that is interned.
    fn intern(&mut self, index: usize, texts: &ArrayRef) -> Result<Option<Int32Array>, SpillError> {
        let Some(Form::Interned(interner, patience)) = self.columns.get_mut(index) else {
            return Ok(None);
        };
        let numbers = texts
            .as_string_opt::<i32>()
            .and_then(|texts| interner.intern(texts));
        let rare = interner.rows() >= *patience && interner.distinct() > interner.rows() / 10 * 9;
        match numbers {
            Some(numbers) if !rare => Ok(Some(numbers)),
            _ => {
                self.give_up(index)?;
                Ok(None)
            }
        }
    }

    /// Texts of a column come as they are from here on, and those that came before are made whole again.
    fn give_up(&mut self, index: usize) -> Result<(), SpillError> {
        let Some(form) = self.columns.get_mut(index) else {
            return Ok(());
        };
        if let Form::Interned(interner, _) = std::mem::replace(form, Form::Kept) {
            self.seen.rare(index, interner.rows());
            let interned = interner.texts()?;
            for batch in &mut self.batches {
                if let Some(column) = batch.columns.get_mut(index)
                    && let GatheredColumn::Numbers(numbers) = column
                {
                    let keys = interned.keys(numbers.clone());
                    let texts = take(interned.values(), &keys, None)
                        .map_err(SpillError::arrow("look up a dictionary"))?;
                    self.bytes += texts.get_buffer_memory_size();
                    *column = GatheredColumn::Kept(texts);
                }
            }
        }
        Ok(())
    }

    /// The rows gathered, in order, interned texts as dictionaries that all batches share. The group is then empty, and columns in
    /// which three of four texts are new are not interned in the next one: that would hash nearly as often as not to intern them.
    ///
    /// # Errors
    /// [`SpillError::Arrow`] never for rows that were pushed.
    pub(crate) fn settle(&mut self) -> Result<Vec<RecordBatch>, SpillError> {
        let rows = self.batches.iter().map(|batch| batch.rows).sum();
        let telling = self.seen.is_telling(rows);
        let mut dictionaries: Vec<Option<InternedTexts>> = Vec::with_capacity(self.columns.len());
        for (index, form) in self.columns.iter_mut().enumerate() {
            let Form::Interned(interner, _) = form else {
                dictionaries.push(None);
                continue;
            };
            dictionaries.push(Some(interner.texts()?));
            let rows = interner.rows();
            self.seen.expect(index, interner.distinct());
            if telling && interner.distinct() > rows / 4 * 3 {
                self.seen.rare(index, rows);
                *form = Form::Kept;
            } else {
                interner.clear();
            }
        }
        self.measure = BatchMeasure::new();
        self.bytes = 0;
        let batches = std::mem::take(&mut self.batches);
        let settled = batches
            .into_iter()
            .map(|batch| settled(batch, &dictionaries));
        settled.collect()
    }
}

fn settled(
    batch: Gathered,
    dictionaries: &[Option<InternedTexts>],
) -> Result<RecordBatch, SpillError> {
    let failed = || SpillError::arrow("make a dictionary");
    let mut fields = Vec::with_capacity(batch.columns.len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.columns.len());
    for ((column, field), dictionary) in batch
        .columns
        .into_iter()
        .zip(batch.schema.fields())
        .zip(dictionaries)
    {
        match (column, dictionary) {
            (GatheredColumn::Numbers(numbers), Some(interned)) => {
                let values = Arc::clone(interned.values());
                let texts = DictionaryArray::try_new(interned.keys(numbers), values);
                columns.push(Arc::new(texts.map_err(failed())?));
                fields.push(Arc::new(interned_field(field)));
            }
            (GatheredColumn::Kept(column), _) => {
                columns.push(column);
                fields.push(Arc::clone(field));
            }
            // Numbers are there only as long as their column is interned; without it a batch would be a column short, and refused.
            (GatheredColumn::Numbers(_), None) => {}
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(failed())
}

/// The field of a column of texts as dictionaries.
fn interned_field(field: &Field) -> Field {
    field.clone().with_data_type(DataType::Dictionary(
        Box::new(DataType::Int32),
        Box::new(DataType::Utf8),
    ))
}
