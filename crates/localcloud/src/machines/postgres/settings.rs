//! The texts a server is given: its configuration, who may log in and how, and the roles that RDS keeps for itself.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::super::DbSpec;
use super::programs::HOME;

/// The superuser that RDS keeps for itself.
pub(super) const ADMINISTRATOR: &str = "rdsadmin";

/// `postgresql.conf`. Nothing is synced: a local cloud does not outlive its host, and a server that is killed loses
/// nothing that the kernel has.
pub(super) fn configuration(spec: &DbSpec) -> String {
    format!(
        "data_directory = '{HOME}/data'\n\
         hba_file = '{HOME}/pg_hba.conf'\n\
         ident_file = '{HOME}/pg_ident.conf'\n\
         external_pid_file = ''\n\
         listen_addresses = '0.0.0.0'\n\
         port = {}\n\
         unix_socket_directories = ''\n\
         max_connections = 200\n\
         shared_buffers = 128MB\n\
         dynamic_shared_memory_type = sysv\n\
         fsync = off\n\
         synchronous_commit = off\n\
         full_page_writes = off\n\
         min_wal_size = 48MB\n\
         max_wal_size = 512MB\n\
         wal_level = replica\n\
         password_encryption = scram-sha-256\n\
         ssl = on\n\
         ssl_cert_file = '{HOME}/server.crt'\n\
         ssl_key_file = '{HOME}/server.key'\n\
         log_destination = stderr\n\
         log_line_prefix = '%m:%r:%u@%d:[%p]:'\n\
         log_connections = on\n\
         log_timezone = 'UTC'\n\
         timezone = 'UTC'\n\
         datestyle = 'iso, mdy'\n\
         lc_messages = 'C'\n\
         rds.force_ssl = '1'\n",
        spec.port
    )
}

/// `pg_hba.conf`: TLS for everyone but the host's own administrator, who comes from the gateway alone.
///
/// A member of `rds_iam` has no password login, as on RDS. Its token is judged by the gateway's directory, which takes
/// the place of RDS's PAM module; PostgreSQL can ask nothing else that takes tokens of over a kilobyte.
pub(super) fn access(spec: &DbSpec, gateway: Ipv4Addr, directory: u16) -> String {
    let mut text = format!(
        "host    all      {ADMINISTRATOR} {gateway}/32 scram-sha-256\n\
         host    all      {ADMINISTRATOR} all reject\n\
         host    {ADMINISTRATOR} all      all reject\n"
    );
    if spec.iam_authentication {
        let _ = writeln!(
            text,
            "hostssl all      +rds_iam all ldap ldapserver={gateway} ldapport={directory} ldapprefix=\"{}|{}:{}|\"",
            spec.resource_id, spec.host_name, spec.port
        );
    } else {
        text.push_str("host    all      +rds_iam all reject\n");
    }
    text.push_str("hostssl all      all      all scram-sha-256\n");
    text
}

/// Run once on a new cluster: RDS's reserved roles. `rds_superuser` is what its documentation shows: no superuser, no
/// BYPASSRLS, and no way to read password hashes.
///
/// One difference: from 16 on CREATEROLE alone grants nothing, and RDS lets its master grant `rds_iam` all the same. That
/// would take membership here, and members of `rds_iam` have no password login; so `rdsadmin` has to grant it.
pub(super) fn reserved_roles(major: u32) -> Vec<String> {
    let mut statements: Vec<String> = [
        "CREATE ROLE rds_superuser NOLOGIN",
        "CREATE ROLE rds_replication NOLOGIN",
        "CREATE ROLE rds_password NOLOGIN",
        "CREATE ROLE rds_iam NOLOGIN",
        "CREATE ROLE rds_ad NOLOGIN",
        "CREATE ROLE rdstopmgr NOLOGIN",
        "CREATE ROLE rdsrepladmin NOLOGIN NOINHERIT REPLICATION",
        "GRANT pg_monitor TO rdstopmgr",
        "GRANT pg_monitor, pg_signal_backend, rds_replication, rds_password TO rds_superuser WITH ADMIN OPTION",
    ]
    .map(str::to_owned)
    .into();
    if major >= 15 {
        statements.push("GRANT pg_checkpoint TO rds_superuser WITH ADMIN OPTION".into());
    }
    statements.push(format!("CREATE DATABASE {ADMINISTRATOR}"));
    statements.push(format!("REVOKE ALL ON DATABASE {ADMINISTRATOR} FROM PUBLIC"));
    statements
}

/// Run on a copy of the prepared cluster: what is particular to one instance.
pub(super) fn first_statements(spec: &DbSpec, administrator_password: &str) -> Vec<String> {
    let master = identifier(&spec.master_user);
    let mut statements = vec![
        format!("ALTER ROLE {ADMINISTRATOR} PASSWORD {}", literal(administrator_password)),
        format!(
            "CREATE ROLE {master} LOGIN NOSUPERUSER CREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {} \
             VALID UNTIL 'infinity'",
            literal(&spec.master_password)
        ),
        if spec.major >= 16 {
            format!("GRANT rds_superuser TO {master} WITH ADMIN OPTION")
        } else {
            format!("GRANT rds_superuser TO {master}")
        },
        format!("ALTER DATABASE postgres OWNER TO {master}"),
        format!("ALTER DATABASE template1 OWNER TO {master}"),
    ];
    if let Some(database) = spec.database.as_deref().filter(|name| *name != "postgres") {
        statements.push(format!("CREATE DATABASE {} OWNER {master}", identifier(database)));
    }
    statements
}

/// Sets a role's password.
pub(super) fn password_statement(role: &str, password: &str) -> String {
    format!("ALTER ROLE {} PASSWORD {}", identifier(role), literal(password))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

#[cfg(test)]
mod tests {
    use super::super::super::Engine;
    use super::*;

    fn spec(iam: bool) -> DbSpec {
        DbSpec {
            id: "orders".into(),
            resource_id: "db-ORDERS".into(),
            engine: Engine::Postgres,
            major: 15,
            master_user: "odd \"name".into(),
            master_password: "it's a \\ secret".into(),
            database: Some("shop".into()),
            host_name: "orders.aaaa.eu-central-1.rds.amazonaws.com".into(),
            port: 5432,
            iam_authentication: iam,
        }
    }

    #[test]
    fn names_and_passwords_are_quoted() {
        let statements = first_statements(&spec(false), "pw");
        assert!(statements[1].starts_with("CREATE ROLE \"odd \"\"name\" LOGIN NOSUPERUSER"));
        assert!(statements[1].contains("PASSWORD E'it''s a \\\\ secret'"));
        assert!(statements.iter().any(|statement| statement == "CREATE DATABASE \"shop\" OWNER \"odd \"\"name\""));
    }

    #[test]
    fn only_the_gateway_enters_without_tls_and_nobody_else_as_administrator() {
        let text = access(&spec(false), Ipv4Addr::new(10, 213, 0, 1), 8389);
        let without_tls: Vec<&str> =
            text.lines().filter(|line| line.starts_with("host ") && !line.ends_with("reject")).collect();
        assert_eq!(without_tls, ["host    all      rdsadmin 10.213.0.1/32 scram-sha-256"]);
        assert!(!text.contains("ldap"));
    }

    #[test]
    fn members_of_rds_iam_have_no_password_login() {
        let order = |iam: bool| {
            let text = access(&spec(iam), Ipv4Addr::new(10, 213, 0, 1), 8389);
            (text.find("+rds_iam").unwrap(), text.rfind("scram-sha-256").unwrap())
        };
        for iam in [true, false] {
            let (members, everyone) = order(iam);
            assert!(members < everyone, "the rule of rds_iam must come first");
        }
    }
}
