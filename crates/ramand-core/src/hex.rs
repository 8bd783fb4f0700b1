//! Bytes as files, messages and the wire spell them: two lower-case hexadecimal digits each.

use std::fmt::Write;

/// The digits of `bytes`, as of a hash.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    bytes.iter().for_each(|byte| write!(digits, "{byte:02x}").expect("writing to memory does not fail"));
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        assert_eq!(hex(&[]), "");
    }
}
