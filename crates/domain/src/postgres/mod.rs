//! Decisions of the PostgreSQL mover: which clients fit, how tables are cut into streams, which roles and archive
//! entries a target takes, what a line on stderr means. Plain functions over plain data; the mover in the worker agent
//! performs what they return.

pub mod archive;
pub mod clash;
pub mod clients;
pub mod content;
pub mod course;
pub mod diagnosis;
pub mod export;
pub mod grantors;
pub mod left_behind;
pub mod manifest;
pub mod mark;
pub mod plan;
pub mod quote;
pub mod roles;
pub mod scratch;
pub mod selection;
pub mod stderr;
pub mod toc_filter;
pub mod verification;
