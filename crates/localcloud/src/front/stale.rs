//! Earlier answers to reads, for the fault that repeats them.

use std::collections::BTreeMap;

use super::wire::{Answer, Call, Payload};

/// As many different reads are remembered; then the memory is begun anew.
const LIMIT: usize = 2000;

/// The last answer to each read.
#[derive(Debug, Default)]
pub(crate) struct StaleAnswers(BTreeMap<String, Answer>);

impl StaleAnswers {
    /// What the same read was answered last.
    pub(crate) fn get(&self, call: &Call) -> Option<Answer> {
        self.0.get(&key(call)?).cloned()
    }

    /// Remembers an answer.
    pub(crate) fn remember(&mut self, call: &Call, answer: &Answer) {
        let Some(key) = key(call) else { return };
        if self.0.len() >= LIMIT {
            self.0.clear();
        }
        self.0.insert(key, answer.clone());
    }
}

fn key(call: &Call) -> Option<String> {
    let payload = match &call.payload {
        Payload::Form(params) => params.encode(),
        Payload::Json(document) => document.to_string(),
    };
    // Secrets are not kept beyond their answer.
    let read = call.is_read() && call.operation != "GetSecretValue";
    read.then(|| format!("{} {} {payload}", call.service, call.operation))
}
