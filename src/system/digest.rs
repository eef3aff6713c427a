//! Hashes as lower-case hexadecimal text, as records, sidecars and the hub name files by them.

use sha2::{Digest, Sha256};

/// The SHA-256 of `bytes`, 64 digits.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// A finished hash, two digits a byte.
pub fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "abc" of FIPS 180-2, B.1.
    #[test]
    fn the_published_example() {
        let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256("abc"), want);
        assert_eq!(hex(&[0, 0x0f, 0xa0]), "000fa0");
    }
}
