//! The text columns of an Arrow IPC stream: what `datasets.save_to_disk` writes.
//!
//! ```text
//! [ffffffff][metadata bytes][metadata][body] …  [ffffffff][0]
//! ```
//!
//! The first message has the columns, each further one the rows of a batch. Columns of strings are
//! read, numbers and booleans are passed over; nested, dictionary-encoded and compressed data is
//! refused. An Arrow *file* is such a stream behind eight bytes, and is read as one.
//! <https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc>

use serde_json::{Map, Value};

use super::flatbuffer::{List, Table, i32_at, i64_at};
use crate::error::{Error, Result};

const CONTINUATION: [u8; 4] = [0xff; 4];
const FILE_MAGIC: &[u8] = b"ARROW1\0\0";

/// Kinds of messages, and the fields of their tables that are read here (`Message.fbs`).
mod message {
    pub(super) const HEADER_KIND: usize = 1;
    pub(super) const HEADER: usize = 2;
    pub(super) const BODY_BYTES: usize = 3;
    pub(super) const SCHEMA: u8 = 1;
    pub(super) const DICTIONARY: u8 = 2;
    pub(super) const RECORD_BATCH: u8 = 3;
}

/// Fields of a batch of rows (`Message.fbs`).
mod batch {
    pub(super) const ROWS: usize = 0;
    pub(super) const NODES: usize = 1;
    pub(super) const BUFFERS: usize = 2;
    pub(super) const COMPRESSION: usize = 3;
}

/// Fields of the schema and of a column (`Schema.fbs`).
mod schema {
    pub(super) const ENDIANNESS: usize = 0;
    pub(super) const COLUMNS: usize = 1;
    pub(super) const NAME: usize = 0;
    pub(super) const TYPE_KIND: usize = 2;
    pub(super) const DICTIONARY: usize = 4;
}

/// How a column is laid out.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    /// Validity, ends of the texts as `i32`, texts.
    Text,
    /// The same with `i64`.
    LargeText,
    /// Validity and values: passed over.
    Fixed,
}

impl Layout {
    /// Bytes of the end of a text.
    fn end_bytes(self) -> usize {
        if self == Self::LargeText { 8 } else { 4 }
    }
}

struct Column {
    name: String,
    layout: Layout,
}

/// Bytes in the name of a column, at most: every row has a copy.
const LONGEST_NAME: usize = 128;

/// Whether a file is an Arrow stream or file, by its first bytes.
pub(super) fn is_arrow(bytes: &[u8]) -> bool {
    bytes.starts_with(&CONTINUATION) || bytes.starts_with(FILE_MAGIC)
}

/// The rows: the text columns by their names, null where a text is not there.
///
/// # Errors
/// [`Error::Data`] with the byte and, where there is one, the column: cut off (there is no end
/// mark), damaged, or with columns that are not read here.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Map<String, Value>>> {
    let mut at = if bytes.starts_with(FILE_MAGIC) { FILE_MAGIC.len() } else { 0 };
    let mut columns: Option<Vec<Column>> = None;
    let mut rows = Vec::new();
    while let Some(found) = message_at(bytes, at)? {
        let damaged = || damaged(at);
        match (found.kind, &columns) {
            (message::SCHEMA, None) => columns = Some(read_schema(found.header, at)?),
            (message::RECORD_BATCH, Some(columns)) => {
                read_batch(found.header, found.body, columns, at, &mut rows)?
            }
            (message::DICTIONARY, _) => {
                return Err(unread("dictionary-encoded columns").at(format!("byte {at}")));
            }
            _ => return Err(damaged()),
        }
        at = found.end;
    }
    Ok(rows)
}

fn damaged(at: usize) -> Error {
    Error::data("an Arrow file is damaged")
        .at(format!("byte {at}"))
        .got("a message that does not hold together")
        .expected("an Arrow IPC stream as `datasets.save_to_disk` writes it")
        .advice("download it again")
}

fn cut_off(at: usize, bytes: usize, needed: &str) -> Error {
    Error::data("an Arrow file is cut off")
        .at(format!("byte {at}"))
        .got(format!("{bytes} bytes in all"))
        .expected(needed)
        .advice("download it again")
}

fn unread(what: &str) -> Error {
    Error::data("an Arrow file has something that is not read here")
        .got(what)
        .expected("columns of strings, without compression")
        .advice("convert it with `datasets`: Dataset.to_json(\"rows.jsonl\")")
}

struct Message<'a> {
    kind: u8,
    header: Table<'a>,
    body: &'a [u8],
    /// Where the next message begins.
    end: usize,
}

/// The message at byte `at`; `None` at the end mark.
fn message_at(bytes: &[u8], at: usize) -> Result<Option<Message<'_>>> {
    let damaged = || damaged(at);
    let needed = "a message, or the end mark";
    let prefix = bytes.get(at..at + 8).ok_or_else(|| cut_off(at, bytes.len(), needed))?;
    if !prefix.starts_with(&CONTINUATION) {
        return Err(damaged());
    }
    let length = i32_at(prefix, 4).and_then(|n| usize::try_from(n).ok()).ok_or_else(damaged)?;
    if length == 0 {
        return Ok(None);
    }
    let start = at + 8;
    // Lengths are below 2^63, so that sums with a position in a file do not overflow.
    let needed = format!("{length} bytes of metadata");
    let metadata =
        bytes.get(start..start + length).ok_or_else(|| cut_off(at, bytes.len(), &needed))?;
    let table = Table::root(metadata).ok_or_else(damaged)?;
    let body_bytes = table.i64(message::BODY_BYTES).ok_or_else(damaged)?;
    let body_start = start + length;
    let end = usize::try_from(body_bytes).ok().and_then(|n| body_start.checked_add(n));
    let end = end.ok_or_else(damaged)?;
    let needed = format!("{body_bytes} bytes of rows");
    let body = bytes.get(body_start..end).ok_or_else(|| cut_off(at, bytes.len(), &needed))?;
    let kind = table.u8(message::HEADER_KIND).ok_or_else(damaged)?;
    let header = table.table(message::HEADER).ok_or_else(damaged)?;
    Ok(Some(Message { kind, header, body, end }))
}

fn read_schema(header: Table<'_>, at: usize) -> Result<Vec<Column>> {
    let damaged = || damaged(at);
    if header.i16(schema::ENDIANNESS).ok_or_else(damaged)? != 0 {
        return Err(unread("big-endian data").at(format!("byte {at}")));
    }
    let listed = header.list(schema::COLUMNS, 4).ok_or_else(damaged)?;
    let column = |index| {
        let table: Table<'_> = listed.table(index).ok_or_else(damaged)?;
        let name = table.text(schema::NAME).ok_or_else(damaged)?;
        if name.len() > LONGEST_NAME {
            let what = format!("a column with a name of {} bytes", name.len());
            return Err(unread(&what).at(format!("byte {at}")));
        }
        if table.has(schema::DICTIONARY).ok_or_else(damaged)? {
            return Err(unread("a dictionary-encoded column").at(format!("column {name}")));
        }
        // Numbers of the union `Type`: integers, floats and booleans have two buffers each.
        let layout = match table.u8(schema::TYPE_KIND).ok_or_else(damaged)? {
            5 => Layout::Text,
            20 => Layout::LargeText,
            2 | 3 | 6 => Layout::Fixed,
            kind => {
                return Err(
                    unread(&format!("the type with number {kind}")).at(format!("column {name}"))
                );
            }
        };
        Ok(Column { name: name.to_owned(), layout })
    };
    (0..listed.len).map(column).collect()
}

fn read_batch(
    header: Table<'_>,
    body: &[u8],
    columns: &[Column],
    at: usize,
    rows: &mut Vec<Map<String, Value>>,
) -> Result<()> {
    let damaged = || damaged(at);
    if header.has(batch::COMPRESSION).ok_or_else(damaged)? {
        return Err(unread("compressed rows").at(format!("byte {at}")));
    }
    let nodes = header.list(batch::NODES, 16).ok_or_else(damaged)?;
    let listed = header.list(batch::BUFFERS, 16).ok_or_else(damaged)?;
    let mut buffers = Buffers { listed, next: 0, body, left: body.len() };
    let count =
        header.i64(batch::ROWS).and_then(|n| usize::try_from(n).ok()).ok_or_else(damaged)?;
    // Every text has an end of four bytes: more rows than that are none, and nothing is set aside
    // for them.
    let has_text = columns.iter().any(|c| c.layout != Layout::Fixed);
    if has_text && count > body.len() / 4 {
        return Err(damaged());
    }
    if !has_text || nodes.len != columns.len() {
        return Err(unread("no columns of strings").at(format!("byte {at}")));
    }
    let first = rows.len();
    rows.resize_with(first + count, Map::new);
    for (index, column) in columns.iter().enumerate() {
        let in_column = |e: Error| e.within(format!("column {}", column.name));
        let (length, nulls) = nodes.pair(index).ok_or_else(damaged)?;
        if usize::try_from(length).ok() != Some(count) {
            return Err(in_column(damaged()));
        }
        let validity = buffers.take().ok_or_else(|| in_column(damaged()))?;
        let ends = buffers.take().ok_or_else(|| in_column(damaged()))?;
        if column.layout == Layout::Fixed {
            continue;
        }
        let texts = buffers.take().ok_or_else(|| in_column(damaged()))?;
        if count > 0 && ends.len() / column.layout.end_bytes() <= count {
            return Err(in_column(damaged()));
        }
        for (i, row) in rows[first..].iter_mut().enumerate() {
            let value = match nulls > 0 && !is_valid(validity, i) {
                true => Value::Null,
                false => text_at(column.layout, ends, texts, i)
                    .map(|text| Value::String(text.to_owned()))
                    .ok_or_else(|| in_column(damaged()))?,
            };
            row.insert(column.name.clone(), value);
        }
    }
    Ok(())
}

/// The buffers of a batch, in the order of the columns.
struct Buffers<'a> {
    listed: List<'a>,
    next: usize,
    body: &'a [u8],
    /// Bytes of the body that no buffer has been. They do not share any: a file with as many
    /// columns as it likes would have all of its texts in each of them.
    left: usize,
}

impl<'a> Buffers<'a> {
    fn take(&mut self) -> Option<&'a [u8]> {
        if self.next >= self.listed.len {
            return None;
        }
        let (offset, length) = self.listed.pair(self.next)?;
        self.next += 1;
        let (start, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
        self.left = self.left.checked_sub(length)?;
        self.body.get(start..start.checked_add(length)?)
    }
}

/// Bit `index`, the lowest first. A buffer without it stands for all valid.
fn is_valid(validity: &[u8], index: usize) -> bool {
    validity.get(index / 8).is_none_or(|byte| byte >> (index % 8) & 1 == 1)
}

fn text_at<'a>(layout: Layout, ends: &[u8], texts: &'a [u8], index: usize) -> Option<&'a str> {
    let end = |i: usize| {
        let at = i * layout.end_bytes();
        match layout {
            Layout::LargeText => usize::try_from(i64_at(ends, at)?).ok(),
            _ => usize::try_from(i32_at(ends, at)?).ok(),
        }
    };
    std::str::from_utf8(texts.get(end(index)?..end(index + 1)?)?).ok()
}

#[cfg(test)]
mod tests;
