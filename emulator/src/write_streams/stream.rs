//! One write stream: what may be appended, flushed and committed, and what is true of it on disk at every moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::WriteError;
use crate::catalog::{
    Catalog, Part, Publishing, StreamFiles, StreamKind, StreamRecord, TableWriter, Waiting, micros,
};
use crate::name::TableName;
use crate::wire;

/// One stream that a client has made.
#[derive(Debug)]
pub(crate) struct WriteStream {
    pub name: String,
    pub table: TableName,
    pub kind: StreamKind,
    pub created: SystemTime,
    files: StreamFiles,
    state: Mutex<State>,
}

/// How far a stream is, as it is on disk.
#[derive(Debug)]
pub(super) struct State {
    pub record: StreamRecord,
    waiting: Vec<Waiting>,
}

impl State {
    /// Rows appended.
    fn rows(&self) -> i64 {
        let waiting = self
            .waiting
            .last()
            .map_or(0, |last| last.offset + last.rows);
        waiting.max(self.record.published)
    }
}

impl WriteStream {
    /// Makes a stream.
    pub fn create(
        catalog: &Catalog,
        table: &TableName,
        id: &str,
        kind: StreamKind,
        now: SystemTime,
    ) -> Result<Self, WriteError> {
        let record = StreamRecord::new(kind, micros(now));
        let files = catalog.create_stream(table, id, &record)?;
        Ok(Self::of(table, id, files, record, Vec::new()))
    }

    /// Takes a stream up that is on disk.
    pub fn find(
        catalog: &Catalog,
        table: &TableName,
        id: &str,
    ) -> Result<Option<Self>, WriteError> {
        let Some((files, record)) = catalog.find_stream(table, id)? else {
            return Ok(None);
        };
        let mut waiting = Vec::new();
        for rows in files.waiting()? {
            // What has become part of the table waits no longer; the server died before it was taken away.
            if rows.offset + rows.rows <= record.published {
                files.remove(&rows)?;
            } else {
                waiting.push(rows);
            }
        }
        Ok(Some(Self::of(table, id, files, record, waiting)))
    }

    fn of(
        table: &TableName,
        id: &str,
        files: StreamFiles,
        record: StreamRecord,
        waiting: Vec<Waiting>,
    ) -> Self {
        let created = Duration::from_micros(record.created_us.unsigned_abs());
        Self {
            name: format!("{}/streams/{id}", table.to_resource()),
            table: table.clone(),
            kind: record.kind,
            created: SystemTime::UNIX_EPOCH + created,
            files,
            state: Mutex::new(State { record, waiting }),
        }
    }

    /// Adds rows at the stream's end, or refuses them all; returns the offset of the first.
    ///
    /// # Errors
    /// [`WriteError`] when `offset` is not the stream's end, or the stream takes no rows any more.
    pub fn append(
        &self,
        catalog: &Arc<Catalog>,
        batch: &RecordBatch,
        offset: Option<i64>,
    ) -> Result<i64, WriteError> {
        let mut state = self.lock();
        if state.record.finalized {
            return Err(WriteError::Finalized {
                stream: self.name.clone(),
            });
        }
        let expected = state.rows();
        if let Some(offset) = offset {
            self.check_offset(offset, expected)?;
        }
        let rows = i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        match self.kind {
            StreamKind::Committed => {
                let writer = written(catalog, &self.table, std::slice::from_ref(batch))?;
                self.publish(&mut state, writer, expected + rows)?;
            }
            StreamKind::Pending | StreamKind::Buffered => {
                let waiting = self.files.add(expected, batch)?;
                state.waiting.push(waiting);
            }
        }
        Ok(expected)
    }

    fn check_offset(&self, offset: i64, expected: i64) -> Result<(), WriteError> {
        let stream = self.name.clone();
        match offset.cmp(&expected) {
            std::cmp::Ordering::Less => Err(WriteError::OffsetExists {
                stream,
                offset,
                expected,
            }),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(WriteError::OffsetBeyond {
                stream,
                offset,
                expected,
            }),
        }
    }

    /// Takes no more rows from now on; returns how many there are.
    pub fn finalize(&self) -> Result<i64, WriteError> {
        let mut state = self.lock();
        if !state.record.finalized {
            state.record.finalized = true;
            self.files.save(&state.record)?;
        }
        Ok(state.rows())
    }

    /// Makes all rows up to and including `offset` part of the table.
    pub fn flush(&self, catalog: &Arc<Catalog>, offset: i64) -> Result<(), WriteError> {
        if self.kind != StreamKind::Buffered {
            return Err(WriteError::WrongKind {
                stream: self.name.clone(),
                wanted: "of type BUFFERED",
            });
        }
        let mut state = self.lock();
        if offset >= state.rows() {
            return Err(WriteError::FlushBeyond {
                stream: self.name.clone(),
                offset,
            });
        }
        let (begin, end) = (state.record.published, offset + 1);
        if end <= begin {
            return Ok(());
        }
        let mut due = Vec::new();
        for waiting in state.waiting.iter().filter(|waiting| waiting.offset < end) {
            let from = (begin - waiting.offset).max(0);
            let to = (end - waiting.offset).min(waiting.rows);
            let index = |row: i64| usize::try_from(row).unwrap_or(0);
            due.push(waiting.read()?.slice(index(from), index(to - from)));
        }
        let writer = written(catalog, &self.table, &due)?;
        self.publish(&mut state, writer, end)?;
        self.forget(&mut state)
    }

    /// Makes the rows of a finished writer part of the table: all of the stream up to `published`.
    fn publish(
        &self,
        state: &mut State,
        writer: TableWriter,
        published: i64,
    ) -> Result<(), WriteError> {
        state.record.publishing = Some(Publishing {
            parts: writer.part().into_iter().collect(),
            published,
            committed: state.record.committed,
        });
        // Written down first: whoever finds this finds out from the file whether it happened.
        self.files.save(&state.record)?;
        if let Err(error) = writer.publish() {
            state.record.publishing = None;
            // The first error is the one to tell.
            let _ = self.files.save(&state.record);
            return Err(error.into());
        }
        state.record.publish();
        Ok(())
    }

    /// Takes away rows that wait no longer.
    fn forget(&self, state: &mut State) -> Result<(), WriteError> {
        self.files.save(&state.record)?;
        let published = state.record.published;
        let (gone, left): (Vec<Waiting>, Vec<Waiting>) = std::mem::take(&mut state.waiting)
            .into_iter()
            .partition(|waiting| waiting.offset + waiting.rows <= published);
        state.waiting = left;
        for waiting in &gone {
            self.files.remove(waiting)?;
        }
        Ok(())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes all rows of finalized pending streams, which are held, part of their table.
pub(super) fn publish_all(
    catalog: &Arc<Catalog>,
    table: &TableName,
    streams: &[Arc<WriteStream>],
    held: &mut [MutexGuard<'_, State>],
) -> Result<(), WriteError> {
    let mut writers = Vec::new();
    // Everything that can fail for want of space fails before the first file is seen.
    for state in held.iter() {
        let mut writer = catalog.writer(table, None)?;
        let schema = Arc::clone(writer.schema());
        for waiting in &state.waiting {
            writer.write(&fit(&waiting.read()?, &schema)?)?;
        }
        writer.finish()?;
        writers.push(writer);
    }
    let parts: Vec<Part> = writers.iter().filter_map(TableWriter::part).collect();
    for (stream, state) in streams.iter().zip(held.iter_mut()) {
        state.record.publishing = Some(Publishing {
            parts: parts.clone(),
            published: state.rows(),
            committed: true,
        });
        stream.files.save(&state.record)?;
    }
    for writer in writers {
        writer.publish()?;
    }
    for (stream, state) in streams.iter().zip(held.iter_mut()) {
        state.record.publish();
        stream.forget(state)?;
    }
    Ok(())
}

/// A finished file of rows, which may be of an older schema of the table.
fn written(
    catalog: &Arc<Catalog>,
    table: &TableName,
    batches: &[RecordBatch],
) -> Result<TableWriter, WriteError> {
    let mut writer = catalog.writer(table, None)?;
    let schema = Arc::clone(writer.schema());
    for batch in batches {
        writer.write(&fit(batch, &schema)?)?;
    }
    writer.finish()?;
    Ok(writer)
}

/// Rows that are part of their table at once, of no stream that could be taken up.
pub(super) fn write_now(
    catalog: &Arc<Catalog>,
    table: &TableName,
    batch: &RecordBatch,
) -> Result<(), WriteError> {
    written(catalog, table, std::slice::from_ref(batch))?.publish()?;
    Ok(())
}

/// Rows of an older schema of the table, in its schema of now.
pub(super) fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.schema() == *schema {
        return Ok(batch.clone());
    }
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => wire::to_wire(column, field),
            None => wire::absent(field, batch.num_rows()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
}
