//! A laptop-sized AWS for the demo, tests and benchmarks.
