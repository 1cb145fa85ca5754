//! As much of Transact-SQL as somebody needs who backs databases up and restores them: SELECT over the catalogue, calls of
//! procedures, CREATE, ALTER and DROP DATABASE, IF, DECLARE, transactions, WAITFOR. Anything else is refused as SQL Server
//! refuses what it cannot parse, with the text that it stumbled over.

mod evaluate;
mod expression;
mod functions;
mod lexer;
mod parse_expression;
mod parse_select;
mod parser;
mod select;

pub(crate) use evaluate::{Scope, Source, evaluate, holds};
pub(crate) use expression::{Argument, Expression, Statement};
pub(crate) use functions::of_type;
pub(crate) use parser::parse;
pub(crate) use select::run as select;

#[cfg(test)]
mod tests;
