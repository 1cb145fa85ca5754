//! The switchboard for faults: rules over calls, and which of them fires.
//!
//! Pure: a call in, at most one effect out, counters moved on. A rule skips its first `after` matches, fires `times`
//! times, and is spent. The first rule that fires wins; the counts tell a test that its fault really happened.

use serde::{Deserialize, Serialize};

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// Answers this error; nothing happens.
    ErrorBefore(FaultError),
    /// The call takes effect, and its answer is this error.
    ErrorAfter(FaultError),
    /// The call waits this many milliseconds, then goes its way; a task of SQL Server does so once it is IN_PROGRESS.
    DelayMs(u64),
    /// The call takes effect, and the connection ends without an answer.
    TimeoutAfter,
    /// Answers the service's own throttling error; nothing happens.
    Throttle,
    /// A read is answered as the last identical read was. Waits for a read that has been seen before.
    StaleRead,
    /// S3 alone: the connection ends after so many bytes of the body, of the request where it has one.
    CutAfterBytes(u64),
    /// SQL Server alone, operation a procedure (`rds_backup_database`): it raises this error and does nothing.
    SqlError {
        /// `229`; 50000 is what procedures of RDS raise.
        #[serde(default = "raised")]
        number: u32,
        /// The message.
        text: String,
    },
    /// SQL Server alone, operation a type of task (`BACKUP_DB`): it ends in ERROR with this text in its `task_info`.
    TaskError {
        /// The cause.
        text: String,
        /// How far it gets before.
        #[serde(default)]
        percent: u8,
    },
    /// SQL Server alone, operation a type of task: it stays IN_PROGRESS until it is cancelled.
    TaskHang,
}

/// An error to answer with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultError {
    /// `InsufficientInstanceCapacity`.
    pub code: String,
    /// HTTP status, 500 if not given.
    #[serde(default = "internal_error")]
    pub status: u16,
}

fn raised() -> u32 {
    50_000
}

fn internal_error() -> u16 {
    500
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// `ec2`, `rds`, `s3`, `sqlserver`, …; `*` for all.
    pub service: String,
    /// `RunInstances`, `PutObject`, …; `*` for all.
    pub operation: String,
    /// Text that must stand in the request: in the path with its query, or in the form or JSON body.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
    /// How often it fires.
    #[serde(default = "once")]
    pub times: u64,
    /// How many matching calls pass before.
    #[serde(default)]
    pub after: u64,
    /// What happens.
    pub effect: Effect,
}

fn once() -> u64 {
    1
}

/// A rule and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultReport {
    /// The rule.
    #[serde(flatten)]
    pub rule: FaultRule,
    /// Calls that it matched.
    pub matched: u64,
    /// How often it fired.
    pub fired: u64,
}

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) service: &'a str,
    pub(crate) operation: &'a str,
    /// Where a rule's `match` may stand.
    pub(crate) text: &'a str,
    /// Whether an identical read was answered before.
    pub(crate) has_stale_answer: bool,
}

/// The rules in force.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switchboard(Vec<FaultReport>);

impl Switchboard {
    /// Replaces all rules; counters start at zero. A rule that could never fire is refused.
    pub(crate) fn replace(&mut self, rules: Vec<FaultRule>) -> Result<(), String> {
        for rule in &rules {
            if matches!(rule.effect, Effect::CutAfterBytes(_)) && rule.service != "s3" {
                return Err("cut_after_bytes works for the service s3 alone".to_owned());
            }
            let native = matches!(rule.effect, Effect::SqlError { .. } | Effect::TaskError { .. } | Effect::TaskHang);
            if native && rule.service != "sqlserver" {
                return Err("sql_error, task_error and task_hang work for the service sqlserver alone".to_owned());
            }
            let common = matches!(rule.effect, Effect::TimeoutAfter | Effect::DelayMs(_));
            if rule.service == "sqlserver" && !native && !common {
                let text = "the service sqlserver knows sql_error, task_error, task_hang, delay_ms and timeout_after";
                return Err(text.to_owned());
            }
            if rule.effect == Effect::StaleRead && rule.service == "s3" {
                return Err("stale_read does not work for s3, which is strongly consistent".to_owned());
            }
        }
        self.0 = rules.into_iter().map(|rule| FaultReport { rule, matched: 0, fired: 0 }).collect();
        Ok(())
    }

    /// The rules and their counters.
    pub(crate) fn report(&self) -> Vec<FaultReport> {
        self.0.clone()
    }

    /// The effect on a call, if any; counts it.
    pub(crate) fn decide(&mut self, subject: Subject<'_>) -> Option<Effect> {
        let mut effect = None;
        for report in &mut self.0 {
            let rule = &report.rule;
            let names = |pattern: &str, name: &str| pattern == "*" || pattern == name;
            let applies = names(&rule.service, subject.service)
                && names(&rule.operation, subject.operation)
                && rule.matching.as_ref().is_none_or(|text| subject.text.contains(text))
                && (rule.effect != Effect::StaleRead || subject.has_stale_answer);
            if !applies {
                continue;
            }
            report.matched += 1;
            if effect.is_none() && report.matched > rule.after && report.fired < rule.times {
                report.fired += 1;
                effect = Some(rule.effect.clone());
            }
        }
        effect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> FaultRule {
        serde_json::from_str(json).unwrap()
    }

    fn subject<'a>(operation: &'a str, text: &'a str) -> Subject<'a> {
        Subject { service: "ec2", operation, text, has_stale_answer: false }
    }

    #[test]
    fn a_rule_skips_fires_and_is_spent() {
        let mut board = Switchboard::default();
        let json = r#"{"service":"ec2","operation":"RunInstances","after":1,"times":2,"effect":"throttle"}"#;
        board.replace(vec![rule(json)]).unwrap();
        let fired: Vec<bool> = (0..5).map(|_| board.decide(subject("RunInstances", "")).is_some()).collect();
        assert_eq!(fired, [false, true, true, false, false]);
        assert_eq!(board.decide(subject("TerminateInstances", "")), None);
        assert_eq!((board.report()[0].matched, board.report()[0].fired), (5, 2));
    }

    #[test]
    fn rules_look_at_service_operation_and_text() {
        for (json, fires) in [
            (r#"{"service":"*","operation":"*","effect":"timeout_after"}"#, true),
            (r#"{"service":"rds","operation":"*","effect":"timeout_after"}"#, false),
            (r#"{"service":"ec2","operation":"Describe","effect":"timeout_after"}"#, false),
            (r#"{"service":"ec2","operation":"*","match":"ses-1","effect":"timeout_after"}"#, true),
            (r#"{"service":"ec2","operation":"*","match":"ses-2","effect":"timeout_after"}"#, false),
        ] {
            let mut board = Switchboard::default();
            board.replace(vec![rule(json)]).unwrap();
            assert_eq!(board.decide(subject("RunInstances", "Tag=ses-1&x")).is_some(), fires, "{json}");
        }
    }

    #[test]
    fn the_first_rule_wins_and_later_ones_come_after_it() {
        let mut board = Switchboard::default();
        let first = rule(r#"{"service":"ec2","operation":"*","effect":{"error_before":{"code":"A","status":503}}}"#);
        let second = rule(r#"{"service":"ec2","operation":"*","effect":{"delay_ms":5}}"#);
        board.replace(vec![first, second]).unwrap();
        let a = FaultError { code: "A".into(), status: 503 };
        assert_eq!(board.decide(subject("X", "")), Some(Effect::ErrorBefore(a)));
        assert_eq!(board.decide(subject("X", "")), Some(Effect::DelayMs(5)));
        assert_eq!(board.decide(subject("X", "")), None);
    }

    #[test]
    fn a_stale_read_waits_for_something_to_repeat() {
        let mut board = Switchboard::default();
        board.replace(vec![rule(r#"{"service":"ec2","operation":"*","effect":"stale_read"}"#)]).unwrap();
        assert_eq!(board.decide(subject("DescribeInstances", "")), None);
        let seen = Subject { has_stale_answer: true, ..subject("DescribeInstances", "") };
        assert_eq!(board.decide(seen), Some(Effect::StaleRead));
    }

    #[test]
    fn rules_that_cannot_fire_are_refused() {
        for json in [
            r#"{"service":"ec2","operation":"*","effect":{"cut_after_bytes":5}}"#,
            r#"{"service":"s3","operation":"*","effect":"stale_read"}"#,
            r#"{"service":"rds","operation":"*","effect":"task_hang"}"#,
            r#"{"service":"sqlserver","operation":"BACKUP_DB","effect":"throttle"}"#,
        ] {
            assert!(Switchboard::default().replace(vec![rule(json)]).is_err(), "{json}");
        }
        assert!(serde_json::from_str::<FaultRule>(r#"{"service":"s3","operation":"*","effect":"explode"}"#).is_err());
    }
}
