//! The control plane of Haulier.
fn main() {}
