//! A table of more than a gigabyte that is written to while it is dumped: read by ranges of ctid, several at once, under one
//! snapshot, and restored as that snapshot has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::psql::Database;
use e2e::stage::Stage;

/// Rows of the table, each of about 1,100 bytes.
const ROWS: u64 = 1_000_000;

const SCHEMA: &str = "
CREATE TABLE ledger (id bigserial PRIMARY KEY, account int NOT NULL, amount bigint NOT NULL, filler text NOT NULL);
CREATE TABLE journal (n bigserial PRIMARY KEY, victim bigint NOT NULL, added bigint NOT NULL);
-- Each transaction keeps the sum, and writes down what it does, so that it can be undone.
CREATE FUNCTION churn() RETURNS void LANGUAGE plpgsql AS $$
DECLARE chosen bigint := 6 + (random() * 999000)::bigint; made bigint;
BEGIN
    UPDATE ledger SET amount = amount + 7 WHERE id IN (5, chosen);
    INSERT INTO ledger (account, amount, filler) VALUES (1, -14, 'balance') RETURNING id INTO made;
    INSERT INTO journal (victim, added) VALUES (chosen, made);
END $$;
";

/// A thread that goes on until it is told to stop.
struct Going<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<T>>,
}

impl<T: Send + 'static> Going<T> {
    fn start(work: impl FnOnce(&AtomicBool) -> Result<T> + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        Self { stop, thread: thread::spawn(move || work(&stopped)) }
    }

    fn stop(self) -> Result<T> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
    }
}

/// What was seen of the streams while they ran.
#[derive(Debug, Default)]
struct Seen {
    /// Most ranges of ctid that were read at one moment.
    at_once: usize,
    /// Different ranges.
    ranges: std::collections::BTreeSet<String>,
    /// Transactions of the writer that were committed between two looks at both of which ranges were being read.
    written_meanwhile: u64,
}

/// Looks at the server's own list of what runs on it.
fn watch(server: &Database, rounds: &AtomicU64, stopped: &AtomicBool) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut began = None;
    let copies = "SELECT query FROM pg_stat_activity
                  WHERE datname = 'busy' AND state = 'active' AND query LIKE 'COPY %' AND query LIKE '%ledger%' AND query LIKE '%ctid%'";
    while !stopped.load(Ordering::Relaxed) {
        let ranges = server.rows(copies)?.concat();
        let now = rounds.load(Ordering::Relaxed);
        if ranges.len() > 1 {
            let first = *began.get_or_insert(now);
            seen.written_meanwhile = now - first;
        }
        seen.at_once = seen.at_once.max(ranges.len());
        seen.ranges.extend(ranges);
        thread::sleep(Duration::from_millis(20));
    }
    Ok(seen)
}

#[test]
fn a_table_that_is_written_to_comes_back_as_of_the_exported_snapshot() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE busy")?;
    let busy = stage.source.sibling("busy");
    // About 1.1 GB: larger than the size from which a table is read by ctid ranges.
    busy.execute(&format!(
        "{SCHEMA}
         INSERT INTO ledger (account, amount, filler) SELECT n % 100, 100, repeat(md5(n::text), 34) FROM generate_series(1, {ROWS}) AS n;
         CREATE INDEX ledger_by_account ON ledger (account, amount);
         COMMENT ON COLUMN ledger.amount IS 'in cents';"
    ))?;
    ensure!(busy.value("SELECT pg_relation_size('ledger') > 1073741824")? == "t", "the table is smaller than 1 GB");

    let rounds = Arc::new(AtomicU64::new(0));
    let (writing, counted) = (busy.clone(), rounds.clone());
    let writer = Going::start(move |stopped| {
        while !stopped.load(Ordering::Relaxed) {
            writing.execute("SELECT churn()")?;
            counted.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    let administrator = Database { author: None, ..stage.source.clone() };
    let watcher = Going::start(move |stopped| watch(&administrator, &rounds, stopped));
    let session = stage.run_policy()?;
    let ended = stage.succeeded(&session);
    let seen = watcher.stop();
    writer.stop()?;
    let (session, seen) = (ended?, seen?);
    ensure!(seen.at_once > 1 && seen.ranges.len() > 1, "no two ranges of ctid were read at once: {seen:?}");
    ensure!(seen.written_meanwhile > 0, "nothing was written while ranges were read: {seen:?}");

    let point = session["point_id"].as_str().context("no point")?;
    stage.restore(point, "busy", "calm")?;
    let calm = stage.target.sibling("calm");
    assert_eq!(calm.value("SELECT sum(amount) FROM ledger")?, (100 * ROWS).to_string(), "no snapshot has another sum");
    let last = calm.value("SELECT coalesce(max(n), 0) FROM journal")?;
    let undone = rewind(&busy, &calm, &last)?;
    ensure!(undone > 0, "nothing was written after the snapshot");
    stage.assert_equal("busy", "calm")?;
    stage.assert_nothing_left()
}

/// Takes back on the source what was written after the snapshot, so that the copy can be compared with all of it. Sequences
/// belong to no snapshot: they are set to what the copy has. Gives how many transactions were taken back.
fn rewind(busy: &Database, calm: &Database, last: &str) -> Result<u64> {
    let undone = busy.value(&format!("SELECT count(*) FROM journal WHERE n > {last}"))?.parse()?;
    let mut sequences = String::new();
    for sequence in ["ledger_id_seq", "journal_n_seq"] {
        let state = calm.rows(&format!("SELECT last_value, is_called FROM {sequence}"))?.concat();
        sequences.push_str(&format!("SELECT setval('{sequence}', {}, '{}');", state[0], state[1]));
    }
    busy.execute(&format!(
        "BEGIN;
         UPDATE ledger SET amount = amount - 7 * gains.times
           FROM (SELECT id, count(*) AS times
                 FROM (SELECT victim AS id FROM journal WHERE n > {last} UNION ALL SELECT 5 FROM journal WHERE n > {last}) AS touched
                 GROUP BY id) AS gains
           WHERE ledger.id = gains.id;
         DELETE FROM ledger USING journal WHERE ledger.id = journal.added AND journal.n > {last};
         DELETE FROM journal WHERE n > {last};
         COMMIT;
         {sequences}"
    ))?;
    Ok(undone)
}
