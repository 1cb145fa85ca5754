//! Identifiers in AWS's shapes.

use rand::RngExt;

/// `i-` and 17 hexadecimal digits.
pub(crate) fn new(prefix: &str) -> String {
    let number: u128 = rand::rng().random();
    format!("{prefix}-{:017x}", number & ((1 << 68) - 1))
}

/// `db-` and 26 upper-case letters and digits, RDS's `DbiResourceId`.
pub(crate) fn new_resource(prefix: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut generator = rand::rng();
    let letters: String = (0..26).map(|_| char::from(ALPHABET[generator.random_range(0..ALPHABET.len())])).collect();
    format!("{prefix}-{letters}")
}
