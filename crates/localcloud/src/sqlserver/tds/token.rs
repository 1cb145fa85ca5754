//! The tokens of an answer: columns, rows, messages, ends.

use jiff::civil::DateTime;

use super::to_utf16;
use crate::sqlserver::error::SqlError;
use crate::sqlserver::value::{Table, Type, Value};

/// `SQL_Latin1_General_CP1_CI_AS`.
const COLLATION: [u8; 5] = [9, 4, 0xD0, 0, 0x34];
/// Longest `sql_variant`.
const VARIANT: u32 = 8009;

/// Whether more results follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum More {
    Yes,
    No,
}

/// An answer under construction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer(Vec<u8>);

impl Answer {
    /// Its bytes, to be cut into packets.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The login is good.
    pub(crate) fn login_ack(&mut self, version: u32) {
        let name = "Microsoft SQL Server";
        let mut body = vec![1];
        body.extend_from_slice(&version.to_be_bytes());
        body.push(name.len() as u8);
        body.extend_from_slice(&to_utf16(name));
        body.extend_from_slice(&[16, 0, 0x10, 0x22]);
        self.sized(0xAD, &body);
    }

    /// A setting of the session changed: 1 the database, 2 the language, 4 the size of packets.
    pub(crate) fn change(&mut self, kind: u8, new: &str, old: &str) {
        let mut body = vec![kind];
        for text in [new, old] {
            body.push(u8::try_from(text.encode_utf16().count()).unwrap_or(u8::MAX));
            body.extend_from_slice(&to_utf16(text));
        }
        self.sized(0xE3, &body);
    }

    /// The collation of the session.
    pub(crate) fn collation(&mut self) {
        self.sized(0xE3, &[&[7, 5][..], &COLLATION, &[0]].concat());
    }

    /// A transaction began (8), was committed (9) or rolled back (10).
    pub(crate) fn transaction(&mut self, kind: u8, id: u64) {
        let (new, old) = if kind == 8 { (Some(id), None) } else { (None, Some(id)) };
        let mut body = vec![kind];
        for id in [new, old] {
            match id {
                Some(id) => {
                    body.push(8);
                    body.extend_from_slice(&id.to_le_bytes());
                }
                None => body.push(0),
            }
        }
        self.sized(0xE3, &body);
    }

    /// A message that is no error.
    pub(crate) fn info(&mut self, number: u32, text: &str) {
        self.message(0xAB, &SqlError::new(number, 0, text));
    }

    /// An error.
    pub(crate) fn error(&mut self, error: &SqlError) {
        self.message(0xAA, error);
    }

    fn message(&mut self, token: u8, error: &SqlError) {
        let mut body = error.number.to_le_bytes().to_vec();
        body.extend_from_slice(&[error.state, error.severity]);
        let text: String = error.text.chars().take(2000).collect();
        body.extend_from_slice(&(text.encode_utf16().count() as u16).to_le_bytes());
        body.extend_from_slice(&to_utf16(&text));
        let server = super::super::SERVER_NAME;
        body.push(server.len() as u8);
        body.extend_from_slice(&to_utf16(server));
        body.push(0);
        body.extend_from_slice(&1_u32.to_le_bytes());
        self.sized(token, &body);
    }

    /// A result set, without its end.
    pub(crate) fn table(&mut self, table: &Table) {
        self.0.push(0x81);
        self.0.extend_from_slice(&(table.columns.len() as u16).to_le_bytes());
        for (name, kind) in &table.columns {
            // User type, and flags: may be NULL.
            self.0.extend_from_slice(&[0, 0, 0, 0, 0x09, 0]);
            self.kind(*kind);
            self.0.push(u8::try_from(name.encode_utf16().count()).unwrap_or(u8::MAX));
            self.0.extend_from_slice(&to_utf16(name));
        }
        for row in &table.rows {
            self.0.push(0xD1);
            for ((_, kind), value) in table.columns.iter().zip(row) {
                self.value(*kind, value);
            }
        }
    }

    /// The end of a statement of a batch, and how many rows it had.
    pub(crate) fn done(&mut self, more: More, rows: Option<u64>) {
        self.end(0xFD, u16::from(more == More::Yes), rows);
    }

    /// The same for a statement that failed.
    pub(crate) fn done_with_error(&mut self, more: More) {
        self.end(0xFD, u16::from(more == More::Yes) | 0x02, None);
    }

    /// The client's wish to stop was heard.
    pub(crate) fn done_stopped(&mut self) {
        self.end(0xFD, 0x20, None);
    }

    /// The end of a statement within a procedure.
    pub(crate) fn done_in_procedure(&mut self, rows: Option<u64>) {
        self.end(0xFF, 0x01, rows);
    }

    /// The end of a procedure: its status, 0 where it succeeded.
    pub(crate) fn done_procedure(&mut self, more: More, status: i32) {
        self.0.push(0x79);
        self.0.extend_from_slice(&status.to_le_bytes());
        let failed = if status == 0 { 0 } else { 0x02 };
        self.end(0xFE, u16::from(more == More::Yes) | failed, None);
    }

    fn end(&mut self, token: u8, status: u16, rows: Option<u64>) {
        let status = status | if rows.is_some() { 0x10 } else { 0 };
        self.0.push(token);
        self.0.extend_from_slice(&status.to_le_bytes());
        // Kind of the statement: SELECT.
        self.0.extend_from_slice(&[0xC1, 0]);
        self.0.extend_from_slice(&rows.unwrap_or_default().to_le_bytes());
    }

    fn sized(&mut self, token: u8, body: &[u8]) {
        self.0.push(token);
        self.0.extend_from_slice(&(body.len() as u16).to_le_bytes());
        self.0.extend_from_slice(body);
    }

    fn kind(&mut self, kind: Type) {
        match kind {
            Type::Bit => self.0.extend_from_slice(&[0x68, 1]),
            Type::TinyInt => self.0.extend_from_slice(&[0x26, 1]),
            Type::Int => self.0.extend_from_slice(&[0x26, 4]),
            Type::BigInt => self.0.extend_from_slice(&[0x26, 8]),
            Type::DateTime => self.0.extend_from_slice(&[0x6F, 8]),
            Type::Guid => self.0.extend_from_slice(&[0x24, 16]),
            Type::Numeric(digits) => {
                self.0.extend_from_slice(&[0x6C, numeric_length(digits) as u8, digits, 0]);
            }
            Type::Variant => {
                self.0.push(0x62);
                self.0.extend_from_slice(&VARIANT.to_le_bytes());
            }
            Type::NVarChar(units) => {
                self.0.push(0xE7);
                self.0.extend_from_slice(&(units * 2).to_le_bytes());
                self.0.extend_from_slice(&COLLATION);
            }
            Type::NVarCharMax => {
                self.0.extend_from_slice(&[0xE7, 0xFF, 0xFF]);
                self.0.extend_from_slice(&COLLATION);
            }
        }
    }

    fn value(&mut self, kind: Type, value: &Value) {
        match kind {
            Type::NVarChar(units) => match value.text() {
                None => self.0.extend_from_slice(&[0xFF, 0xFF]),
                Some(text) => {
                    let bytes = to_utf16(&text);
                    let fitting = &bytes[..bytes.len().min(usize::from(units) * 2)];
                    self.0.extend_from_slice(&(fitting.len() as u16).to_le_bytes());
                    self.0.extend_from_slice(fitting);
                }
            },
            Type::NVarCharMax => match value.text() {
                None => self.0.extend_from_slice(&u64::MAX.to_le_bytes()),
                Some(text) => self.chunks(&to_utf16(&text)),
            },
            Type::Variant => self.variant(value),
            _ => {
                let bytes = plain(kind, value).unwrap_or_default();
                self.0.push(bytes.len() as u8);
                self.0.extend_from_slice(&bytes);
            }
        }
    }

    fn chunks(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        for chunk in bytes.chunks(8000) {
            self.0.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
            self.0.extend_from_slice(chunk);
        }
        self.0.extend_from_slice(&0_u32.to_le_bytes());
    }

    fn variant(&mut self, value: &Value) {
        let (head, bytes): (Vec<u8>, Vec<u8>) = match value {
            Value::Null => return self.0.extend_from_slice(&0_u32.to_le_bytes()),
            Value::Int(number) => (vec![0x38, 0], (*number as i32).to_le_bytes().to_vec()),
            other => {
                let bytes = to_utf16(&other.text().unwrap_or_default());
                let head = [&[0xE7, 7][..], &COLLATION, &8000_u16.to_le_bytes()].concat();
                (head, bytes)
            }
        };
        self.0.extend_from_slice(&((head.len() + bytes.len()) as u32).to_le_bytes());
        self.0.extend_from_slice(&head);
        self.0.extend_from_slice(&bytes);
    }
}

/// Bytes of a value of a type whose length stands in one byte; `None` for NULL, and for what the type cannot hold.
fn plain(kind: Type, value: &Value) -> Option<Vec<u8>> {
    match kind {
        Type::Bit => value.number().map(|number| vec![u8::from(number != 0)]),
        Type::TinyInt => value.number().map(|number| vec![number as u8]),
        Type::Int => value.number().map(|number| (number as i32).to_le_bytes().to_vec()),
        Type::BigInt => value.number().map(|number| (number as i64).to_le_bytes().to_vec()),
        Type::Numeric(digits) => value.number().map(|number| {
            let mut bytes = vec![u8::from(number >= 0)];
            bytes.extend_from_slice(&number.unsigned_abs().to_le_bytes());
            bytes.truncate(numeric_length(digits));
            bytes
        }),
        Type::Guid => match value {
            Value::Guid(guid) => Some(guid.to_bytes_le().to_vec()),
            _ => None,
        },
        Type::DateTime => match value {
            Value::DateTime(moment) => Some(datetime(*moment)),
            _ => None,
        },
        Type::NVarChar(_) | Type::NVarCharMax | Type::Variant => None,
    }
}

/// Bytes of a `numeric` with so many digits: its sign, and four to sixteen of the number.
fn numeric_length(digits: u8) -> usize {
    match digits {
        0..=9 => 5,
        10..=19 => 9,
        20..=28 => 13,
        _ => 17,
    }
}

/// Days since 1900 and 300ths of a second.
fn datetime(moment: DateTime) -> Vec<u8> {
    let start = jiff::civil::date(1900, 1, 1);
    let days = moment.date().duration_since(start).as_hours() / 24;
    let time = moment.time();
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    let ticks = seconds * 300 + i64::from(time.subsec_nanosecond()) * 3 / 10_000_000;
    [(days as i32).to_le_bytes(), (ticks as u32).to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_days_and_ticks() {
        let noon = jiff::civil::date(2026, 11, 27).at(12, 0, 0, 500_000_000);
        let bytes = datetime(noon);
        assert_eq!(i32::from_le_bytes(bytes[..4].try_into().unwrap()), 46_351);
        assert_eq!(u32::from_le_bytes(bytes[4..].try_into().unwrap()), 12 * 3600 * 300 + 150);
    }

    #[test]
    fn null_has_a_shape_for_each_type() {
        for (kind, expected) in [
            (Type::Int, &[0_u8][..]),
            (Type::NVarChar(10), &[0xFF, 0xFF]),
            (Type::NVarCharMax, &[0xFF; 8]),
            (Type::Variant, &[0, 0, 0, 0]),
        ] {
            let mut answer = Answer::default();
            answer.value(kind, &Value::Null);
            assert_eq!(answer.bytes(), expected, "{kind:?}");
        }
    }
}
