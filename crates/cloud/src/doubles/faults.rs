//! The switchboard: which calls fail, how, and how often. Shared by every [`super::Faulty`] port of one test.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{CloudError, ErrorKind, Outcome};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The service refuses; nothing has happened, and the caller knows.
    Before(ErrorKind),
    /// The answer is lost, and nothing has happened; the caller cannot know.
    Lost,
    /// The call takes effect, then the answer is lost; the caller cannot know.
    After,
    /// Too many calls.
    Throttle,
    /// No answer ever, and nothing happens; the caller has to give up by itself.
    Hang,
    /// A read answers as if nothing existed yet. Calls that write are not touched by it.
    Stale,
    /// The service does not know yet of what the call names and was made a moment ago; nothing has happened.
    NotYet,
}

/// A call that went through the switchboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The API operation as AWS spells it.
    pub operation: &'static str,
    /// What it was done to.
    pub target: String,
    /// The fault that hit it.
    pub fault: Option<Fault>,
}

/// Which calls a fault hits.
#[derive(Debug, Clone)]
pub struct Rule {
    operation: String,
    fault: Fault,
    target: Option<String>,
    skip: u32,
    times: Option<u32>,
    fired: u32,
}

impl Rule {
    /// Hits the next call of the operation (as AWS spells it: `RunInstances`; `*` is any), once.
    pub fn once(operation: impl Into<String>, fault: Fault) -> Self {
        Self { operation: operation.into(), fault, target: None, skip: 0, times: Some(1), fired: 0 }
    }

    /// Hits so many calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Hits every call from now on, until [`Faults::clear`].
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Lets so many calls pass first.
    #[must_use]
    pub fn after_calls(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Hits only calls on this target.
    #[must_use]
    pub fn on(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    fn take(&mut self, operation: &str, target: &str) -> Option<Fault> {
        let concerns = (self.operation == "*" || self.operation == operation)
            && self.target.as_ref().is_none_or(|wanted| wanted == target);
        if !concerns || self.times.is_some_and(|times| self.fired >= times) {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.fired += 1;
        Some(self.fault)
    }
}

/// The switchboard. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Board>>);

#[derive(Debug, Default)]
struct Board {
    rules: Vec<Rule>,
    calls: Vec<Call>,
}

impl Faults {
    /// No faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule; the oldest that fits a call decides.
    pub fn add(&self, rule: Rule) {
        self.lock().rules.push(rule);
    }

    /// Removes every rule and keeps the calls.
    pub fn clear(&self) {
        self.lock().rules.clear();
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// How many calls a fault has hit: a test of a fault shows with it that the fault took place.
    pub fn fired(&self) -> usize {
        self.lock().calls.iter().filter(|call| call.fault.is_some()).count()
    }

    /// The calls of one operation.
    pub fn calls_of(&self, operation: &str) -> usize {
        self.lock().calls.iter().filter(|call| call.operation == operation).count()
    }

    /// Records a call and says which fault hits it.
    pub(super) fn take(&self, operation: &'static str, target: &str, reads: bool) -> Option<Fault> {
        let mut board = self.lock();
        let fits = |rule: &&mut Rule| reads || rule.fault != Fault::Stale;
        let fault = board.rules.iter_mut().filter(fits).find_map(|rule| rule.take(operation, target));
        board.calls.push(Call { operation, target: target.to_owned(), fault });
        fault
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the caller sees of a fault.
pub(super) fn error_of(fault: Fault, operation: &'static str, target: &str) -> CloudError {
    let (kind, outcome, code, message) = match fault {
        Fault::Before(kind) => (kind, Outcome::Determinate, None, "a fault was asked for"),
        Fault::NotYet => {
            (ErrorKind::NotFound, Outcome::Determinate, Some("InvalidGroup.NotFound"), "the group does not exist")
        }
        Fault::Throttle => (ErrorKind::Throttled, Outcome::Determinate, Some("Throttling"), "rate exceeded"),
        Fault::Lost | Fault::After | Fault::Hang | Fault::Stale => {
            (ErrorKind::Unavailable, Outcome::Indeterminate, None, "the connection broke before the answer came")
        }
    };
    CloudError {
        operation,
        target: target.to_owned(),
        kind,
        outcome,
        code: code.map(str::to_owned),
        message: message.to_owned(),
        source: None,
    }
}
