//! The pages of one column chunk and what the file has to say about them. Owns their compression and counts; what is in a page
//! belongs to the encoders.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, LevelHistogram, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

/// Bytes of a page that tell whether compressing such pages is worth it.
const TELLING_BYTES: usize = 4096;

/// A column chunk being written.
pub(crate) struct ColumnPages {
    sink: TrackedWrite<Vec<u8>>,
    compression: Compression,
    compressor: Option<Compressor<'static>>,
    uncompressed_bytes: usize,
    rows: usize,
    /// Where the first data page begins.
    data_offset: Option<usize>,
    /// Pages of a kind, in the order of the file.
    kinds: Vec<PageEncodingStats>,
}

/// What a reader can know of a chunk without reading it.
pub(crate) struct ChunkStatistics {
    pub(crate) values: Statistics,
    /// Rows per definition level; nothing for columns that have one.
    pub(crate) definition_levels: Option<LevelHistogram>,
}

impl ColumnPages {
    /// Whether pages can be compressed by `compression` here. The Parquet library has more codecs, but keeps them to itself.
    pub(crate) fn can_compress(compression: Compression) -> bool {
        matches!(
            compression,
            Compression::UNCOMPRESSED | Compression::ZSTD(_)
        )
    }

    /// A chunk without pages. Its data pages are compressed unless the first one gets hardly smaller: packed numbers have few bits to
    /// spare, and readers would decompress them for nothing.
    ///
    /// # Errors
    /// When the codec cannot be had.
    pub(crate) fn try_new(compression: Compression) -> Result<Self, ParquetError> {
        let compressor = match compression {
            Compression::UNCOMPRESSED => None,
            Compression::ZSTD(level) => Some(Compressor::new(level.compression_level())?),
            other => {
                let what = format!("pages cannot be compressed by {other}");
                return Err(ParquetError::NYI(what));
            }
        };
        Ok(Self {
            sink: TrackedWrite::new(Vec::new()),
            compression,
            compressor,
            uncompressed_bytes: 0,
            rows: 0,
            data_offset: None,
            kinds: Vec::new(),
        })
    }

    /// Appends the page with the `values` values of a dictionary, in plain encoding. Comes before all others.
    ///
    /// # Errors
    /// When the page has more bytes or values than the format can say, as for all pages.
    pub(crate) fn push_dictionary(
        &mut self,
        values: usize,
        bytes: Vec<u8>,
    ) -> Result<(), ParquetError> {
        let size = bytes.len();
        let page = Page::DictionaryPage {
            buf: self.compress(bytes)?,
            num_values: unsigned(values)?,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        self.push(CompressedPage::new(page, size))
    }

    /// Appends a page of `rows` rows: definition levels, if the column has them, and values in `encoding`.
    ///
    /// # Errors
    /// As for [`push_dictionary`](Self::push_dictionary).
    pub(crate) fn push_data(
        &mut self,
        rows: usize,
        encoding: Encoding,
        bytes: Vec<u8>,
    ) -> Result<(), ParquetError> {
        let size = bytes.len();
        let page = Page::DataPage {
            buf: match self.data_offset {
                None => self.compress_if_worth_it(bytes)?,
                Some(_) => self.compress(bytes)?,
            },
            num_values: unsigned(rows)?,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.rows += rows;
        let offset = self.sink.bytes_written();
        self.data_offset.get_or_insert(offset);
        self.push(CompressedPage::new(page, size))
    }

    /// Bytes of the chunk and what the file has to say about it.
    ///
    /// # Errors
    /// When there is more than the format can say.
    pub(crate) fn close(
        self,
        column: &ColumnDescPtr,
        statistics: Option<ChunkStatistics>,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let bytes = self.sink.into_inner()?;
        let is_dictionary = |kind: &PageEncodingStats| kind.page_type == PageType::DICTIONARY_PAGE;
        let dictionary = self.kinds.iter().any(is_dictionary);
        let encodings = self.kinds.iter().map(|kind| kind.encoding);
        let mut metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression(self.compression)
            .set_encodings(encodings.chain([Encoding::RLE]).collect())
            .set_page_encoding_stats(self.kinds)
            .set_num_values(signed(self.rows)?)
            .set_total_compressed_size(signed(bytes.len())?)
            .set_total_uncompressed_size(signed(self.uncompressed_bytes)?)
            .set_dictionary_page_offset(dictionary.then_some(0))
            .set_data_page_offset(signed(self.data_offset.unwrap_or(0))?);
        if let Some(statistics) = statistics {
            metadata = metadata
                .set_statistics(statistics.values)
                .set_definition_level_histogram(statistics.definition_levels);
        }
        let closed = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((bytes.into(), closed))
    }

    /// Compresses the first data page, and leaves it and all others as they are when that saves less than a thirty-second part.
    fn compress_if_worth_it(&mut self, bytes: Vec<u8>) -> Result<Bytes, ParquetError> {
        let compressed = match &mut self.compressor {
            Some(compressor) if self.kinds.is_empty() && bytes.len() >= TELLING_BYTES => {
                compressor.compress(&bytes)?
            }
            _ => return self.compress(bytes),
        };
        if compressed.len() + bytes.len() / 32 <= bytes.len() {
            return Ok(compressed.into());
        }
        self.compressor = None;
        self.compression = Compression::UNCOMPRESSED;
        Ok(bytes.into())
    }

    fn compress(&mut self, bytes: Vec<u8>) -> Result<Bytes, ParquetError> {
        Ok(match &mut self.compressor {
            None => bytes.into(),
            Some(compressor) => compressor.compress(&bytes)?.into(),
        })
    }

    fn push(&mut self, page: CompressedPage) -> Result<(), ParquetError> {
        let (page_type, encoding) = (page.page_type(), page.encoding());
        match self.kinds.last_mut() {
            Some(kind) if kind.page_type == page_type && kind.encoding == encoding => {
                kind.count += 1;
            }
            _ => self.kinds.push(PageEncodingStats {
                page_type,
                encoding,
                count: 1,
            }),
        }
        let written = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.uncompressed_bytes += written.uncompressed_size;
        Ok(())
    }
}

/// A number in seven bits per byte, lowest first.
pub(crate) fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A number as the format has it.
pub(crate) fn unsigned(number: usize) -> Result<u32, ParquetError> {
    u32::try_from(number).map_err(|e| ParquetError::External(Box::new(e)))
}

/// A number as the format has it.
pub(crate) fn signed(number: usize) -> Result<i64, ParquetError> {
    i64::try_from(number).map_err(|e| ParquetError::External(Box::new(e)))
}
