//! One database into one archive.

use bytes::Bytes;
use futures::TryStreamExt;
use haulier_domain::postgres::archive::{Contents, Merged, Reader};
use haulier_domain::postgres::content::{Content, Tally};
use haulier_domain::postgres::manifest::{DataStream, Database, StreamReference, Table};
use haulier_domain::postgres::verification::{self, Verdict};
use haulier_domain::postgres::{export, quote};
use haulier_repository::{Domain, StreamRoot};

use super::folder::Output;
use super::{ExportedDatabase, Watcher, names};
use crate::exit::{CliError, Exit};
use crate::offline::of_repository;

/// Rows are written in pieces of at most this size: `pg_restore` holds one in memory.
const PIECE: usize = 256 << 10;

/// Bytes that a database's archive will have, but for what holds it together.
pub(super) fn bytes_of(database: &Database) -> u64 {
    let rows = database.tables.iter().flat_map(|table| &table.streams).map(|stream| stream.bytes).sum::<u64>();
    database.archive_bytes + rows
}

/// Writes a database's archive.
pub(super) async fn write(
    domain: &Domain,
    database: &Database,
    output: Output,
    watcher: &mut dyn Watcher,
) -> Result<ExportedDatabase, CliError> {
    let doing = format!("exporting database {:?}", database.name);
    let mut writing = Writing { domain, database, doing, output, watcher, rows: 0 };
    let (mut reader, rest, read) = writing.read_head().await?;
    if let Some(foreign) = reader.foreign() {
        reader.decode(&names::meanings(&foreign));
    }
    let merged = reader.merge(&database.tables).map_err(|error| writing.broken(error.to_string()))?;
    let old_head = reader.toc_bytes().len() as u64;
    writing.output.write(&merged.head)?;
    let mut places = Vec::new();
    for added in &merged.added {
        places.push((added.entry, writing.output.written()));
        writing.output.write(&merged.begin_block(*added))?;
        writing.write_rows(&merged, &database.tables[added.table]).await?;
        writing.output.write(&merged.end_block())?;
    }
    let moved_by = writing.output.written() - old_head;
    let contents = writing.copy_blocks(reader, rest, read).await?;
    let differences = export::differences(database, &contents, &merged.held);
    if !differences.is_empty() {
        return Err(writing.broken(differences.join("; ")));
    }
    places.extend(contents.places.iter().map(|(entry, at)| (*entry, at + moved_by)));
    let Writing { mut output, rows, .. } = writing;
    output.write_over(places.into_iter().filter_map(|(entry, at)| merged.place(entry, at)))?;
    let bytes = output.written();
    Ok(ExportedDatabase {
        name: database.name.clone(),
        bytes,
        tables: (contents.rows.len() + merged.added.len()) as u64,
        rows: rows + contents.rows.values().map(|content| content.rows).sum::<u64>(),
        large_objects: contents.large_objects.count,
        pg_dump_version: contents.header.client_version,
        file: output.complete()?,
    })
}

struct Writing<'a> {
    domain: &'a Domain,
    database: &'a Database,
    doing: String,
    output: Output,
    watcher: &'a mut dyn Watcher,
    /// Rows of large tables.
    rows: u64,
}

impl Writing<'_> {
    /// Reads the archive as far as its table of contents goes. Also gives what was read beyond, and how much in all.
    async fn read_head(&mut self) -> Result<(Reader, Bytes, u64), CliError> {
        let root = self.root_of(&self.database.archive)?;
        let mut pieces = std::pin::pin!(self.domain.read(&root));
        let (mut reader, mut read) = (Reader::new(), 0);
        loop {
            let piece = pieces.try_next().await.map_err(|error| of_repository(&self.doing, &error))?;
            let piece = piece.ok_or_else(|| self.broken("its archive ends within its table of contents"))?;
            reader.push(&piece).map_err(|fault| self.broken(format!("its archive: {fault}")))?;
            if reader.has_toc() {
                let of_head = reader.toc_bytes().len() - read;
                return Ok((reader, piece.slice(of_head..), (read + piece.len()) as u64));
            }
            read += piece.len();
        }
    }

    /// The rows of a large table: what is written, and is it what was read at backup?
    async fn write_rows(&mut self, merged: &Merged, table: &Table) -> Result<(), CliError> {
        let name = quote::qualified(&table.schema, &table.name);
        let what = format!("{}: {name}", self.database.name);
        for stream in &table.streams {
            let root = self.root_of(&stream.stream)?;
            let mut pieces = std::pin::pin!(self.domain.read(&root));
            let mut tally = Tally::default();
            while let Some(piece) = pieces.try_next().await.map_err(|error| of_repository(&self.doing, &error))? {
                tally.push(&piece);
                for part in piece.chunks(PIECE) {
                    self.output.write(&merged.before_piece(part.len()))?;
                    self.output.write(part)?;
                }
                self.watcher.moved(&what, piece.len() as u64);
            }
            let found = tally.finish().ok_or_else(|| self.broken(format!("table {name}: it ends within a row")))?;
            let DataStream { rows, hash, .. } = *stream;
            if let Verdict::Differs(why) = verification::compare(Content { rows, hash }, found) {
                return Err(self.broken(format!("table {name}: {why}")));
            }
            self.rows += found.rows;
        }
        Ok(())
    }

    /// The archive's own blocks, as they are: `rest`, and what comes after the first `read` bytes.
    async fn copy_blocks(&mut self, mut reader: Reader, rest: Bytes, read: u64) -> Result<Contents, CliError> {
        let what = format!("{}: schema and small tables", self.database.name);
        self.output.write(&rest)?;
        self.watcher.moved(&what, read);
        let root = self.root_of(&self.database.archive)?;
        let mut pieces = std::pin::pin!(self.domain.read_range(&root, read..root.bytes));
        while let Some(piece) = pieces.try_next().await.map_err(|error| of_repository(&self.doing, &error))? {
            reader.push(&piece).map_err(|fault| self.broken(format!("its archive: {fault}")))?;
            self.output.write(&piece)?;
            self.watcher.moved(&what, piece.len() as u64);
        }
        reader.finish().map_err(|fault| self.broken(format!("its archive: {fault}")))
    }

    fn root_of(&self, reference: &StreamReference) -> Result<StreamRoot, CliError> {
        let root = serde_json::from_value(reference.0.clone());
        root.map_err(|error| self.broken(format!("its manifest names what is no stream: {error}")))
    }

    /// What is stored is whole by its seals, and is not what was to be stored.
    fn broken(&self, cause: impl Into<String>) -> CliError {
        CliError::new(
            Exit::Failure,
            "export-mismatch",
            &self.doing,
            cause,
            "export another restore point of the instance; report this",
        )
    }
}
