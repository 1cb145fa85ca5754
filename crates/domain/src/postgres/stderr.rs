//! What `pg_dump` and `pg_restore` say on stderr. Both go on after errors they consider small, so exit status and text
//! are judged together: what is known to be harmless passes, what the target forbids is reported, all else is an error.
//! A tool's text may quote names and statements that somebody chose; a name cannot make an error pass, because only
//! the line the tool begins an event with is judged.

/// One thing a tool said. Which entry it is about, `pg_restore` tells in some versions only; the statement always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The entry of the archive it is about, where the tool names one.
    pub entry: Option<String>,
    /// What it said, without the tool's name.
    pub message: String,
    /// Lines that belong to it: details, hints, the statement.
    pub more: Vec<String>,
}

/// What an event means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is lost by it.
    Harmless,
    /// The target does not allow it: something is left out, for this reason.
    Forbidden(&'static str),
    /// Something is wrong.
    Error,
}

/// How `pg_dump` hands on what the server said of a failed `COPY` (pg_dump.c, `dumpTableData_copy`).
const SERVER_SAID: &str = "detail: Error message from server: ";

/// How it names the statement; that may hold data.
const STATEMENT_WAS: &str = "detail: Command was: ";

/// Most characters of a statement that are repeated to an operator.
const SUBJECT: usize = 160;

/// Most characters of a message that are repeated to an operator.
const LONGEST: usize = 600;

impl Event {
    /// The statement that failed, where the tool tells.
    pub fn statement(&self) -> Option<&str> {
        self.more.iter().find_map(|line| line.strip_prefix("Command was: "))
    }

    /// What it is about: the entry, the beginning of the statement, or the message itself.
    pub fn subject(&self) -> String {
        let subject = self.entry.as_deref().or_else(|| self.statement()).unwrap_or(&self.message);
        subject.trim_end_matches(';').chars().take(SUBJECT).collect()
    }

    /// Whether it is about a privilege, a comment: what the entry or the statement begins with.
    fn is_about(&self, kind: &str, words: &[&str]) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.contains(&format!(" {kind} ")))
            || self.statement().is_some_and(|statement| words.iter().any(|word| statement.starts_with(word)))
    }

    /// The event in one line, for an operator: never the statement, which may hold data.
    pub fn text(&self) -> String {
        let mut text = self.message.clone();
        let told = |line: &&String| ["DETAIL:", "HINT:", SERVER_SAID].iter().any(|start| line.starts_with(start));
        for line in self.more.iter().filter(told).take(2) {
            text.push_str("; ");
            text.push_str(line.strip_prefix(SERVER_SAID).unwrap_or(line).trim());
        }
        if let Some(entry) = &self.entry {
            text.push_str(&format!(" (entry {entry})"));
        }
        text.chars().take(LONGEST).collect()
    }
}

/// All that was said with an event, to find out what it means; not for an operator, for it may hold data.
pub fn full_text(event: &Event) -> String {
    let mut text = event.message.clone();
    for line in &event.more {
        text.push('\n');
        text.push_str(line);
    }
    text
}

/// Splits what a tool said into events.
pub fn events(tool: &str, text: &str) -> Vec<Event> {
    let prefix = format!("{tool}: ");
    let mut events: Vec<Event> = Vec::new();
    let mut entry = None;
    for line in text.lines() {
        match line.strip_prefix(&prefix) {
            Some(said) => {
                if let Some(named) = said.strip_prefix("from TOC entry ") {
                    entry = Some(named.to_owned());
                } else if let (Some(event), true) = (events.last_mut(), belongs_to_error(said)) {
                    event.more.push(said.to_owned());
                } else if !said.starts_with("while ") {
                    events.push(Event { entry: entry.clone(), message: said.to_owned(), more: Vec::new() });
                }
            }
            None => match events.last_mut() {
                Some(event) if !is_notice(line) => event.more.push(line.to_owned()),
                _ if line.trim().is_empty() => {}
                _ => events.push(Event { entry: None, message: line.to_owned(), more: Vec::new() }),
            },
        }
    }
    events
}

/// Whether a tool's line goes with the one before: what the server said of a failure, and the statement.
fn belongs_to_error(said: &str) -> bool {
    said.starts_with(SERVER_SAID) || said.starts_with(STATEMENT_WAS)
}

/// Whether a line begins a notice that libpq prints by itself.
fn is_notice(line: &str) -> bool {
    ["WARNING:", "NOTICE:", "INFO:", "LOG:"].iter().any(|level| line.starts_with(level))
}

/// Judges an event of `pg_dump`. It has no harmless errors, only harmless warnings.
pub fn judge_dump(event: &Event) -> Verdict {
    const HARMLESS: [&str; 8] = [
        "warning: there are circular foreign-key constraints",
        "detail: ",
        "hint: ",
        "warning: subscriptions not dumped because current user is not a superuser",
        "WARNING:  database \"",
        "NOTICE:",
        "INFO:",
        "LOG:",
    ];
    let notice_of_version = event.message.starts_with("WARNING:  database \"")
        && event.message.ends_with("has a collation version mismatch");
    let known = HARMLESS.iter().any(|start| event.message.starts_with(start));
    if notice_of_version || (known && !event.message.starts_with("WARNING:")) {
        Verdict::Harmless
    } else {
        Verdict::Error
    }
}

/// Judges an event of `pg_restore`.
pub fn judge_restore(event: &Event) -> Verdict {
    let message = event.message.as_str();
    if ["warning: errors ignored on restore", "NOTICE:", "INFO:", "LOG:", "detail: ", "hint: "]
        .iter()
        .any(|start| message.starts_with(start))
        || (message.starts_with("WARNING:") && !message.contains("no privileges were"))
    {
        return Verdict::Harmless;
    }
    if message.starts_with("WARNING:") {
        return Verdict::Forbidden("the login may not pass on these privileges");
    }
    let Some(error) = message.strip_prefix("error: could not execute query: ERROR:  ") else {
        return Verdict::Error;
    };
    judge_server_error(error, event)
}

fn judge_server_error(error: &str, event: &Event) -> Verdict {
    if error == "schema \"public\" already exists"
        || error.starts_with("unrecognized configuration parameter \"transaction_timeout\"")
    {
        return Verdict::Harmless;
    }
    if error.starts_with("must be owner of schema public") || error.starts_with("must be owner of extension") {
        return Verdict::Forbidden("only the owner may do that on the target");
    }
    let forbidden = [
        ("permission denied to create event trigger", "only a superuser may create event triggers there"),
        ("permission denied to create foreign-data wrapper", "only a superuser may create foreign-data wrappers there"),
        ("permission denied to create extension", "the login may not create this extension there"),
        ("permission denied to grant privileges as role", "the login may not grant in another role's name"),
        (
            "permission denied to change default privileges",
            "the login may not change another role's default privileges",
        ),
        ("permission denied for language", "the login may not use that language there"),
        ("must be superuser to create", "only a superuser may create that"),
        ("permission denied to set session authorization", "the login may not grant in another role's name"),
        ("grantor must be current user", "the login may not grant in another role's name"),
    ];
    if let Some((_, reason)) = forbidden.iter().find(|(start, _)| error.starts_with(start)) {
        return Verdict::Forbidden(reason);
    }
    if event.is_about("ACL", &["GRANT ", "REVOKE ", "ALTER DEFAULT PRIVILEGES "])
        && error.starts_with("role \"")
        && error.ends_with("does not exist")
    {
        return Verdict::Forbidden("the target lacks a role that it names");
    }
    if event.is_about("COMMENT", &["COMMENT ON "]) && error.starts_with("must be owner of") {
        return Verdict::Forbidden("only the owner may comment on it");
    }
    Verdict::Error
}

#[cfg(test)]
mod tests;
