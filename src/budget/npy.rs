//! NumPy's file format, version 1.0: one array of `f32`, row-major.
//!
//! ```text
//! "\x93NUMPY" 1 0 | length of the header, u16 | header, a Python dict, padded so that data begin at a multiple of 64 | data
//! ```

use crate::error::{Error, Result};

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
const ALIGNMENT: usize = 64;

/// The bytes of a file with `values` in the shape `shape`.
///
/// # Errors
/// [`Error::Bug`] if there are more or fewer values than that.
pub fn npy(shape: &[usize], values: &[f32]) -> Result<Vec<u8>> {
    if shape.iter().product::<usize>() != values.len() {
        return Err(Error::bug("an array has the wrong number of values")
            .got(values.len())
            .expected(format!("{shape:?}")));
    }
    // A Python tuple has a comma after its only element.
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", sizes.trim_end());
    let unpadded = MAGIC.len() + 2 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(ALIGNMENT) - unpadded));
    header.push('\n');
    let length = u16::try_from(header.len())
        .map_err(|_| Error::bug("an array has too many dimensions").got(shape.len()))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_numpys() {
        let bytes = npy(&[1, 2], &[1.0, -0.5]).unwrap();
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        // 118 + 10 = 128 = 2 * 64.
        assert_eq!(bytes[8..10], [118, 0]);
        let header = std::str::from_utf8(&bytes[10..128]).unwrap();
        assert!(header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2,), }"));
        assert!(header.ends_with(" \n"));
        assert_eq!(bytes[128..], [0, 0, 128, 63, 0, 0, 0, 191]);
        assert!(npy(&[3], &[1.0]).is_err());
    }
}
