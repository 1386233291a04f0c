//! Files as extract jobs write them: CSV, newline-delimited JSON, Avro and Parquet, compressed or not.
//!
//! Settings have the names of an extract job's. Must not know about jobs, tables or buckets.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

mod avro;
mod text;

use avro::AvroWriter;

/// Rows of a row group.
const GROUP_ROWS: usize = 100_000;

/// Why rows cannot be written as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FileFormError {
    #[error(
        "{what} is not supported by this emulator; it extracts CSV and NEWLINE_DELIMITED_JSON (GZIP), AVRO (DEFLATE) and PARQUET (SNAPPY, GZIP, ZSTD)"
    )]
    Unsupported { what: String },
    #[error("Compression {compression} is not supported for the format {format}.")]
    Compression { compression: String, format: String },
    #[error("Invalid value for destinationFormat: {format}")]
    Format { format: String },
    #[error("Invalid field delimiter {text:?}: it must be one character")]
    Delimiter { text: String },
    #[error("Operation cannot be performed on a nested schema. Field: {field}")]
    Nested { field: String },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Csv {
        delimiter: char,
        header: bool,
    },
    Json,
    /// With the logical types of dates and times, or with texts in their place.
    Avro {
        logical: bool,
    },
    Parquet,
}

/// What a file is to look like.
#[derive(Debug, Clone)]
pub(crate) struct FileForm {
    kind: Kind,
    compression: Option<String>,
}

impl FileForm {
    /// As `destinationFormat`, `compression`, `fieldDelimiter`, `printHeader` and `useAvroLogicalTypes` of an extract job say.
    ///
    /// # Errors
    /// [`FileFormError`] for what is not written here.
    pub fn of_job(settings: &Value) -> Result<Self, FileFormError> {
        let format = settings["destinationFormat"].as_str().unwrap_or("CSV");
        let kind = match format.to_ascii_uppercase().as_str() {
            "CSV" => Kind::Csv {
                delimiter: delimiter(settings["fieldDelimiter"].as_str())?,
                header: settings["printHeader"].as_bool().unwrap_or(true),
            },
            "NEWLINE_DELIMITED_JSON" | "JSON" => Kind::Json,
            "AVRO" => Kind::Avro {
                logical: settings["useAvroLogicalTypes"].as_bool() == Some(true),
            },
            "PARQUET" => Kind::Parquet,
            _ => {
                let format = format.to_owned();
                return Err(FileFormError::Format { format });
            }
        };
        let compression = settings["compression"].as_str().unwrap_or("NONE");
        let compression = compression.to_ascii_uppercase();
        let known: &[&str] = match kind {
            Kind::Csv { .. } | Kind::Json => &["GZIP"],
            Kind::Avro { .. } if compression == "SNAPPY" => {
                let what = "AVRO compressed by SNAPPY".to_owned();
                return Err(FileFormError::Unsupported { what });
            }
            Kind::Avro { .. } => &["DEFLATE"],
            Kind::Parquet => &["SNAPPY", "GZIP", "ZSTD"],
        };
        let nothing = matches!(compression.as_str(), "NONE" | "");
        if !nothing && !known.contains(&compression.as_str()) {
            let format = format.to_owned();
            return Err(FileFormError::Compression {
                compression,
                format,
            });
        }
        Ok(Self {
            kind,
            compression: (!nothing).then_some(compression),
        })
    }

    /// The columns of a file for rows of `schema`.
    ///
    /// # Errors
    /// [`FileFormError::Nested`] for columns that are more than one value, in CSV.
    pub fn schema(&self, schema: &SchemaRef) -> Result<SchemaRef, FileFormError> {
        if let Kind::Csv { .. } = self.kind {
            let nested = |field: &&Arc<arrow::datatypes::Field>| {
                matches!(field.data_type(), DataType::List(_) | DataType::Struct(_))
            };
            if let Some(field) = schema.fields().iter().find(nested) {
                let field = field.name().clone();
                return Err(FileFormError::Nested { field });
            }
        }
        Ok(match self.kind {
            Kind::Avro { logical: false } => avro::plain_schema(schema),
            _ => Arc::clone(schema),
        })
    }

    /// Rows as a file has them.
    ///
    /// # Errors
    /// [`FileFormError::Arrow`] for rows that are none of the wire's.
    pub fn batch(&self, batch: &RecordBatch) -> Result<RecordBatch, FileFormError> {
        Ok(match self.kind {
            Kind::Avro { logical: false } => avro::plain_batch(batch)?,
            _ => batch.clone(),
        })
    }

    /// Begins a file.
    ///
    /// # Errors
    /// [`FileFormError`] when the beginning cannot be written.
    pub fn begin<W: Write + Send>(
        &self,
        file: W,
        schema: &SchemaRef,
    ) -> Result<FileWriter<W>, FileFormError> {
        let compressed = self.compression.as_deref();
        let form = match self.kind {
            Kind::Csv { .. } | Kind::Json => {
                let mut sink = match compressed {
                    None => Sink::Plain(file),
                    Some(_) => Sink::Packed(Box::new(GzEncoder::new(file, Level::default()))),
                };
                if let Kind::Csv { delimiter, header } = self.kind
                    && header
                {
                    sink.write_all(text::header(schema, delimiter).as_bytes())?;
                }
                Form::Text(sink)
            }
            Kind::Avro { .. } => Form::Avro(AvroWriter::begin(file, schema, compressed.is_some())?),
            Kind::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(codec(compressed))
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .build();
                let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties))?;
                Form::Parquet(Box::new(writer))
            }
        };
        Ok(FileWriter {
            kind: self.kind,
            form,
            bytes: 0,
        })
    }
}

fn codec(compression: Option<&str>) -> Compression {
    match compression {
        Some("SNAPPY") => Compression::SNAPPY,
        Some("GZIP") => Compression::GZIP(GzipLevel::default()),
        Some("ZSTD") => Compression::ZSTD(ZstdLevel::default()),
        _ => Compression::UNCOMPRESSED,
    }
}

fn delimiter(text: Option<&str>) -> Result<char, FileFormError> {
    let text = match text {
        None | Some("") => return Ok(','),
        Some("tab" | "\\t") => return Ok('\t'),
        Some(text) => text,
    };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) => Ok(one),
        _ => {
            let text = text.to_owned();
            Err(FileFormError::Delimiter { text })
        }
    }
}

/// A file that is being written.
pub(crate) struct FileWriter<W: Write + Send> {
    kind: Kind,
    form: Form<W>,
    bytes: u64,
}

enum Form<W: Write + Send> {
    Text(Sink<W>),
    Avro(AvroWriter<W>),
    Parquet(Box<ArrowWriter<W>>),
}

/// Text, compressed or not.
enum Sink<W: Write> {
    Plain(W),
    Packed(Box<GzEncoder<W>>),
}

impl<W: Write> Sink<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Packed(file) => file.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Packed(file) => file.finish(),
        }
    }
}

impl<W: Write + Send> FileWriter<W> {
    /// Bytes of the rows so far as Arrow holds them.
    pub fn rows_bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds rows of the file's columns.
    ///
    /// # Errors
    /// [`FileFormError`] when they cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), FileFormError> {
        self.bytes += batch.get_array_memory_size() as u64;
        match &mut self.form {
            Form::Text(sink) => {
                let text = match self.kind {
                    Kind::Csv { delimiter, .. } => text::csv(batch, delimiter),
                    _ => text::json(batch),
                };
                sink.write_all(text.as_bytes())?;
            }
            Form::Avro(writer) => writer.write(batch)?,
            Form::Parquet(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    /// Ends the file and gives it back.
    ///
    /// # Errors
    /// [`FileFormError`] when the end cannot be written.
    pub fn finish(self) -> Result<W, FileFormError> {
        Ok(match self.form {
            Form::Text(sink) => sink.finish()?,
            Form::Avro(writer) => writer.finish(),
            Form::Parquet(writer) => writer.into_inner()?,
        })
    }
}

#[cfg(test)]
mod tests;
