//! What a request has to say, and how it is told: a batch and a call of a procedure end in ways of their own.

use crate::sqlserver::error::SqlError;
use crate::sqlserver::tds::{Answer, More};
use crate::sqlserver::value::Table;

/// One thing that a request has to say.
pub(super) enum Said {
    Rows(Table),
    Done,
    Message(u32, String),
    Error(SqlError),
    Database {
        new: String,
        old: String,
    },
    Transaction(u8),
    /// Rows within a procedure, and the procedure's end.
    InProcedure(Table),
    EndOfProcedure,
}

/// The answer to a batch: each statement has an end, and all but the last say that more follows.
pub(super) fn tell_batch(said: Vec<Said>, answer: &mut Answer) {
    let ends = |said: &Said| matches!(said, Said::Rows(_) | Said::Done | Said::Error(_) | Said::EndOfProcedure);
    let last = said.iter().rposition(ends);
    for (index, said) in said.into_iter().enumerate() {
        let more = if Some(index) == last { More::No } else { More::Yes };
        match said {
            Said::Rows(table) => {
                answer.table(&table);
                answer.done(more, Some(table.rows.len() as u64));
            }
            Said::Done => answer.done(more, None),
            Said::Error(error) => {
                answer.error(&error);
                answer.done_with_error(more);
            }
            Said::EndOfProcedure => answer.done_procedure(more, 0),
            other => tell(other, answer),
        }
    }
    if last.is_none() {
        answer.done(More::No, None);
    }
}

/// The answer to a call: everything is within the procedure, whose end is the last word.
pub(super) fn tell_call(said: Vec<Said>, answer: &mut Answer) {
    let mut status = 0;
    for said in said {
        match said {
            Said::Rows(table) => tell(Said::InProcedure(table), answer),
            Said::Done | Said::EndOfProcedure => {}
            Said::Error(error) => {
                answer.error(&error);
                status = 1;
            }
            other => tell(other, answer),
        }
    }
    answer.done_procedure(More::No, status);
}

fn tell(said: Said, answer: &mut Answer) {
    match said {
        Said::InProcedure(table) => {
            answer.table(&table);
            answer.done_in_procedure(Some(table.rows.len() as u64));
        }
        Said::Message(number, text) => answer.info(number, &text),
        Said::Database { new, old } => answer.change(1, &new, &old),
        // One transaction at a time: one number will do.
        Said::Transaction(kind) => answer.transaction(kind, 1),
        Said::Rows(_) | Said::Done | Said::Error(_) | Said::EndOfProcedure => {}
    }
}
