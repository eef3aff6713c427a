//! Tables of a FlatBuffer, every access checked: what Arrow describes its messages with.
//!
//! A table begins with the distance back to its vtable, which has, per field, where in the table
//! the field stands (0: not there). Offsets to other things count from where they stand.
//! <https://flatbuffers.dev/internals/>. `None` is: outside the buffer.

/// Bytes with a cursor for little-endian numbers.
fn bytes<const N: usize>(buffer: &[u8], at: usize) -> Option<[u8; N]> {
    buffer.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The `i32` at `at`.
pub(super) fn i32_at(buffer: &[u8], at: usize) -> Option<i32> {
    bytes(buffer, at).map(i32::from_le_bytes)
}

/// The `i64` at `at`.
pub(super) fn i64_at(buffer: &[u8], at: usize) -> Option<i64> {
    bytes(buffer, at).map(i64::from_le_bytes)
}

/// Where the offset that stands at `at` leads.
fn follow(buffer: &[u8], at: usize) -> Option<usize> {
    at.checked_add(usize::try_from(u32::from_le_bytes(bytes(buffer, at)?)).ok()?)
}

/// A table in a buffer.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    buffer: &'a [u8],
    at: usize,
}

/// A list in a buffer: where its first element stands, and how many there are.
#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    buffer: &'a [u8],
    first: usize,
    pub(super) len: usize,
}

impl<'a> Table<'a> {
    /// The table that the buffer is about.
    pub(super) fn root(buffer: &'a [u8]) -> Option<Self> {
        Some(Self { buffer, at: follow(buffer, 0)? })
    }

    /// Where field `index` stands; `Some(None)` if the table has none.
    fn field(&self, index: usize) -> Option<Option<usize>> {
        let back = i64::from(i32_at(self.buffer, self.at)?);
        let vtable = usize::try_from(i64::try_from(self.at).ok()? - back).ok()?;
        let vtable_bytes = usize::from(u16::from_le_bytes(bytes(self.buffer, vtable)?));
        let slot = 4 + 2 * index;
        if slot + 2 > vtable_bytes {
            return Some(None);
        }
        match u16::from_le_bytes(bytes(self.buffer, vtable.checked_add(slot)?)?) {
            0 => Some(None),
            offset => Some(Some(self.at.checked_add(usize::from(offset))?)),
        }
    }

    /// A field of one byte; 0 if it is not there.
    pub(super) fn u8(&self, index: usize) -> Option<u8> {
        self.field(index)?.map_or(Some(0), |at| self.buffer.get(at).copied())
    }

    /// A field of two bytes; 0 if it is not there.
    pub(super) fn i16(&self, index: usize) -> Option<i16> {
        self.field(index)?.map_or(Some(0), |at| bytes(self.buffer, at).map(i16::from_le_bytes))
    }

    /// A field of eight bytes; 0 if it is not there.
    pub(super) fn i64(&self, index: usize) -> Option<i64> {
        self.field(index)?.map_or(Some(0), |at| i64_at(self.buffer, at))
    }

    /// Whether the field is there.
    pub(super) fn has(&self, index: usize) -> Option<bool> {
        Some(self.field(index)?.is_some())
    }

    /// The table in a field; `None` also if there is none.
    pub(super) fn table(&self, index: usize) -> Option<Table<'a>> {
        Some(Table { buffer: self.buffer, at: follow(self.buffer, self.field(index)??)? })
    }

    /// The string in a field; empty if it is not there.
    pub(super) fn text(&self, index: usize) -> Option<&'a str> {
        let Some(at) = self.field(index)? else { return Some("") };
        let at = follow(self.buffer, at)?;
        let len = usize::try_from(i32_at(self.buffer, at)?).ok()?;
        let first = at.checked_add(4)?;
        std::str::from_utf8(self.buffer.get(first..first.checked_add(len)?)?).ok()
    }

    /// The list in a field, of elements of `element_bytes`; empty if it is not there.
    pub(super) fn list(&self, index: usize, element_bytes: usize) -> Option<List<'a>> {
        let Some(at) = self.field(index)? else {
            return Some(List { buffer: self.buffer, first: 0, len: 0 });
        };
        let at = follow(self.buffer, at)?;
        let len = usize::try_from(i32_at(self.buffer, at)?).ok()?;
        let first = at.checked_add(4)?;
        self.buffer.get(first..first.checked_add(len.checked_mul(element_bytes)?)?)?;
        Some(List { buffer: self.buffer, first, len })
    }
}

impl<'a> List<'a> {
    /// Element `index` of a list of tables.
    pub(super) fn table(&self, index: usize) -> Option<Table<'a>> {
        let at = self.first.checked_add(index.checked_mul(4)?)?;
        Some(Table { buffer: self.buffer, at: follow(self.buffer, at)? })
    }

    /// Both numbers of element `index` of a list of pairs of `i64`.
    pub(super) fn pair(&self, index: usize) -> Option<(i64, i64)> {
        let at = self.first.checked_add(index.checked_mul(16)?)?;
        Some((i64_at(self.buffer, at)?, i64_at(self.buffer, at.checked_add(8)?)?))
    }
}
