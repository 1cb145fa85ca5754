//! Set-up, demo, tests, checks and benchmarks.
fn main() {}
