//! The two clients.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tiberius::{AuthMethod, Client, Config, EncryptionLevel, Query};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt as _};

use super::cloud::{Instance, PATIENCE};

/// A connection of tiberius.
pub(crate) struct Sql(pub(crate) Client<Compat<TcpStream>>);

/// A task's row, by name of column.
pub(crate) type Task = BTreeMap<String, String>;

/// What tiberius is set to: the endpoint's name, the cloud's CA, TLS for everything.
pub(crate) fn config(instance: &Instance, ca: &Path, user: &str, password: &str) -> Config {
    let mut config = Config::new();
    config.host(&instance.endpoint);
    config.port(1433);
    config.authentication(AuthMethod::sql_server(user, password));
    config.encryption(EncryptionLevel::Required);
    config.trust_cert_ca(ca.display());
    config
}

impl Sql {
    pub(crate) async fn connect(instance: &Instance, ca: &Path, user: &str, password: &str) -> tiberius::Result<Self> {
        Self::connect_with(instance, config(instance, ca, user, password)).await
    }

    pub(crate) async fn connect_with(instance: &Instance, config: Config) -> tiberius::Result<Self> {
        let stream = TcpStream::connect((instance.address.as_str(), 1433)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client::connect(config, stream.compat_write()).await.map(Self)
    }

    /// The first value of the first row, as text.
    pub(crate) async fn one(&mut self, batch: &str) -> Option<String> {
        let rows = self.0.simple_query(batch).await.unwrap().into_first_result().await.unwrap();
        rows.first().and_then(|row| row.get::<&str, _>(0).map(str::to_owned))
    }

    /// The number and the text of the error that a batch ends in.
    pub(crate) async fn error(&mut self, batch: &str) -> (u32, String) {
        let outcome = match self.0.simple_query(batch).await {
            Ok(stream) => stream.into_results().await.map(drop),
            Err(error) => Err(error),
        };
        match outcome {
            Err(tiberius::error::Error::Server(token)) => (token.code(), token.message().to_owned()),
            other => panic!("{batch}: an error was expected, not {other:?}"),
        }
    }

    /// Runs a procedure with named parameters that gives a task; returns its number.
    pub(crate) async fn submit(&mut self, procedure: &str, arguments: &str) -> i32 {
        let batch = format!("EXEC msdb.dbo.{procedure} {arguments}");
        let results = self.0.simple_query(&batch).await.unwrap().into_results().await.unwrap();
        let row = results.into_iter().flatten().next().expect("a row");
        row.get("task_id").expect("a number")
    }

    /// A task as it is now, every column read as text.
    pub(crate) async fn task(&mut self, id: i32) -> Task {
        let mut query = Query::new(
            "SELECT task_type, lifecycle, CAST([% complete] AS nvarchar(10)) AS [complete], task_info, S3_object_arn \
             FROM msdb.dbo.rds_fn_task_status(NULL, @P1)",
        );
        query.bind(id);
        let rows = query.query(&mut self.0).await.unwrap().into_first_result().await.unwrap();
        let [row] = &rows[..] else { panic!("task {id}: {} rows", rows.len()) };
        let text = |name: &str| row.get::<&str, _>(name).unwrap_or_default().to_owned();
        ["task_type", "lifecycle", "complete", "task_info", "S3_object_arn"]
            .map(|name| (name.to_owned(), text(name)))
            .into()
    }

    /// Waits for a task to get into one of these states of its life.
    pub(crate) async fn wait(&mut self, id: i32, lifecycles: &[&str]) -> Task {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let task = self.task(id).await;
            if lifecycles.contains(&&*task["lifecycle"]) {
                return task;
            }
            assert!(Instant::now() < deadline, "still waiting for {lifecycles:?}: {task:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for a task's end.
    pub(crate) async fn end(&mut self, id: i32) -> Task {
        self.wait(id, &["SUCCESS", "ERROR", "CANCELLED"]).await
    }

    /// Runs a task to its good end.
    pub(crate) async fn done(&mut self, procedure: &str, arguments: &str) -> Task {
        let id = self.submit(procedure, arguments).await;
        let task = self.end(id).await;
        assert_eq!(task["lifecycle"], "SUCCESS", "{task:?}");
        task
    }

    /// Runs a task to its bad end; returns what it says.
    pub(crate) async fn fails(&mut self, procedure: &str, arguments: &str) -> String {
        let id = self.submit(procedure, arguments).await;
        let mut task = self.end(id).await;
        assert_eq!(task["lifecycle"], "ERROR", "{task:?}");
        task.remove("task_info").unwrap()
    }
}

/// What FreeTDS's `tsql` prints for a batch. It is led to the address, and verifies the certificate against the cloud's CA.
pub(crate) async fn tsql(instance: &Instance, ca: &Path, encryption: &str, batch: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("freetds.conf");
    let text = format!(
        "[shop]\nhost = {}\nport = 1433\ntds version = 7.4\nclient charset = UTF-8\nencryption = {encryption}\n\
         ca file = {}\ncheck certificate hostname = no\n",
        instance.address,
        ca.display()
    );
    std::fs::write(&settings, text).unwrap();
    let mut child = tokio::process::Command::new("tsql")
        .env("FREETDSCONF", &settings)
        .env("LC_ALL", "C.UTF-8")
        .args(["-S", "shop", "-U", "master", "-P", super::cloud::PASSWORD, "-o", "q", "-t", "|"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tsql (package freetds-bin)");
    let mut input = child.stdin.take().unwrap();
    input.write_all(format!("{batch}\nGO\nexit\n").as_bytes()).await.unwrap();
    drop(input);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("tsql ends").unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
