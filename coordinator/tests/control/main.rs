//! The control service of a running coordinator over doubles, asked through its real listener.

mod operators;
mod points;
mod policies;
mod scene;
mod schedule;
mod sessions;
