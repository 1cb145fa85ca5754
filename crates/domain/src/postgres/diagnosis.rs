//! What a message of the server or of its tools means to an operator. The texts are those of PostgreSQL in English;
//! where a SQLSTATE is at hand, it decides.

/// What is wrong, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diagnosis {
    /// Stable code.
    pub code: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// Whether the same session may succeed if run again unchanged.
    pub retryable: bool,
}

struct Known {
    states: &'static [&'static str],
    texts: &'static [&'static str],
    diagnosis: Diagnosis,
}

const fn diagnosis(code: &'static str, remedy: &'static str, retryable: bool) -> Diagnosis {
    Diagnosis { code, remedy, retryable }
}

/// Most telling first: a server's message may contain several of these.
const KNOWN: &[Known] = &[
    Known {
        states: &["28P01", "28000"],
        texts: &["password authentication failed", "PAM authentication failed", "no pg_hba.conf entry"],
        diagnosis: diagnosis(
            "db-auth-failed",
            "check user and password in the database secret, or that the IAM user has the rds_iam role and may connect",
            false,
        ),
    },
    Known {
        states: &["53100"],
        texts: &["No space left on device", "could not extend file"],
        diagnosis: diagnosis("db-disk-full", "give the instance more storage, then run again", false),
    },
    Known {
        states: &[],
        texts: &["row-level security policy for table", "query would be affected by row-level security"],
        diagnosis: diagnosis(
            "db-row-security",
            "give the login BYPASSRLS, or make it the owner of the table: rows it cannot see would be missing",
            false,
        ),
    },
    Known {
        states: &["55P03"],
        texts: &["canceling statement due to lock timeout", "could not obtain lock"],
        diagnosis: diagnosis(
            "db-lock-timeout",
            "somebody holds a table's exclusive lock; run again when that is done",
            true,
        ),
    },
    Known {
        states: &["53200"],
        texts: &["max_locks_per_transaction"],
        diagnosis: diagnosis(
            "db-locks-exhausted",
            "raise max_locks_per_transaction in the instance's parameter group",
            false,
        ),
    },
    Known {
        states: &["53300"],
        texts: &["too many clients already", "remaining connection slots are reserved", "too many connections for"],
        diagnosis: diagnosis(
            "db-too-many-connections",
            "lower the job's parallel streams or free connections on the instance, then run again",
            true,
        ),
    },
    Known {
        states: &["42P01", "3F000"],
        texts: &["could not open relation with OID", "cache lookup failed for", "was concurrently dropped"],
        diagnosis: diagnosis(
            "db-object-dropped",
            "run again when the migration is done that dropped or renamed a table or schema while it was read",
            true,
        ),
    },
    Known {
        states: &["42501"],
        texts: &["permission denied for", "must be owner of", "must be member of role", "must be able to SET ROLE"],
        diagnosis: diagnosis(
            "db-privileges-missing",
            "grant the login what it lacks: pg_read_all_data to read, membership in the owners' roles to restore",
            false,
        ),
    },
    Known {
        states: &["40001"],
        texts: &["conflict with recovery"],
        diagnosis: diagnosis(
            "db-standby-conflict",
            "read from the primary, or raise max_standby_streaming_delay of the replica",
            true,
        ),
    },
    Known {
        states: &["57014"],
        texts: &["canceling statement due to user request", "canceling statement due to statement timeout"],
        diagnosis: diagnosis("db-statement-cancelled", "somebody cancelled the mover's query; run again", true),
    },
    Known {
        states: &["57P01", "57P02", "57P03", "57P05", "08006", "08003", "08000", "08001", "25P03", "25P04"],
        texts: &[
            "server closed the connection unexpectedly",
            "terminating connection",
            "connection to server was lost",
            "could not receive data from server",
            "could not send data to server",
            "SSL SYSCALL error",
            "SSL error",
            "no connection to the server",
            "the database system is shutting down",
            "the database system is starting up",
            "connection timed out",
            "Connection refused",
            "Connection reset",
        ],
        diagnosis: diagnosis("db-connection-lost", "check the instance's events and the network, then run again", true),
    },
    Known {
        states: &["3D000"],
        texts: &["database \"", "does not exist"],
        diagnosis: diagnosis("db-missing", "check the name of the database", false),
    },
    Known {
        states: &[],
        texts: &["certificate verify failed", "server certificate for", "invalid peer certificate"],
        diagnosis: diagnosis(
            "db-certificate",
            "renew the worker image's bundle of RDS authorities, and connect by the instance's own endpoint",
            false,
        ),
    },
    Known {
        states: &[],
        texts: &["aborting because of server version mismatch"],
        diagnosis: diagnosis("pg-client-missing", "build a worker image with clients of the server's version", false),
    },
];

/// What a SQLSTATE means.
pub fn of_state(state: &str) -> Option<Diagnosis> {
    KNOWN.iter().find(|known| known.states.contains(&state)).map(|known| known.diagnosis)
}

/// What a message means.
pub fn of_text(text: &str) -> Option<Diagnosis> {
    if text.contains("relation \"") && text.contains("does not exist") {
        return of_state("42P01");
    }
    KNOWN
        .iter()
        .find(|known| match known.diagnosis.code {
            "db-missing" => known.texts.iter().all(|part| text.contains(part)),
            _ => known.texts.iter().any(|part| text.contains(part)),
        })
        .map(|known| known.diagnosis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_real_servers_are_understood() {
        let cases = [
            ("FATAL:  password authentication failed for user \"x\"", Some("db-auth-failed")),
            ("FATAL:  PAM authentication failed for user \"x\"", Some("db-auth-failed")),
            ("ERROR:  could not extend file \"base/1/2\": No space left on device", Some("db-disk-full")),
            ("ERROR:  query would be affected by row-level security policy for table \"t\"", Some("db-row-security")),
            ("ERROR:  permission denied for table t", Some("db-privileges-missing")),
            ("ERROR:  relation \"public.t\" does not exist", Some("db-object-dropped")),
            ("ERROR:  could not open relation with OID 16384", Some("db-object-dropped")),
            ("FATAL:  database \"gone\" does not exist", Some("db-missing")),
            ("server closed the connection unexpectedly", Some("db-connection-lost")),
            ("ERROR:  canceling statement due to lock timeout", Some("db-lock-timeout")),
            ("HINT:  You might need to increase max_locks_per_transaction.", Some("db-locks-exhausted")),
            ("ERROR:  canceling statement due to conflict with recovery", Some("db-standby-conflict")),
            ("pg_dump: error: aborting because of server version mismatch", Some("pg-client-missing")),
            ("something nobody has seen", None),
        ];
        for (text, code) in cases {
            assert_eq!(of_text(text).map(|known| known.code), code, "{text}");
        }
    }

    #[test]
    fn remedies_are_clauses() {
        for Diagnosis { code, remedy, .. } in KNOWN.iter().map(|known| known.diagnosis) {
            let begins_small = remedy.starts_with(|first: char| first.is_lowercase());
            assert!(begins_small && !remedy.ends_with('.'), "{code}: {remedy}");
        }
    }

    #[test]
    fn states_are_understood() {
        assert_eq!(of_state("53100").map(|known| known.code), Some("db-disk-full"));
        assert_eq!(of_state("57P01").map(|known| known.retryable), Some(true));
        assert_eq!(of_state("XX000"), None);
    }
}
