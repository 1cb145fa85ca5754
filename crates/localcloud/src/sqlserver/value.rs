//! Values of SQL Server and their types, as far as the stand-in has them.

use jiff::civil::DateTime;
use uuid::Uuid;

/// A value in a row, in an expression, or in a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bit(bool),
    Int(i64),
    Text(String),
    DateTime(DateTime),
    Guid(Uuid),
    /// `numeric` of scale 0: log sequence numbers and sizes.
    Numeric(i128),
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Bit,
    TinyInt,
    Int,
    BigInt,
    /// `nvarchar` of at most so many characters, 4,000 at most.
    NVarChar(u16),
    NVarCharMax,
    DateTime,
    Guid,
    /// `numeric` with so many digits, none of them behind the point.
    Numeric(u8),
    /// `sql_variant`, which SERVERPROPERTY gives.
    Variant,
}

/// A result set, or a table to select from.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Table {
    /// Names and types.
    pub(crate) columns: Vec<(String, Type)>,
    /// As many values each as there are columns.
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: &[(&str, Type)]) -> Self {
        Self { columns: columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect(), rows: Vec::new() }
    }
}

impl Value {
    /// The value as text, as CONVERT to `nvarchar` gives it; `None` for NULL.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bit(bit) => Some(u8::from(*bit).to_string()),
            Self::Int(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
            Self::DateTime(moment) => Some(moment.strftime("%Y-%m-%d %H:%M:%S").to_string()),
            Self::Guid(guid) => Some(guid.hyphenated().to_string().to_uppercase()),
            Self::Numeric(number) => Some(number.to_string()),
        }
    }

    /// The value as a whole number, if it reads as one.
    pub(crate) fn number(&self) -> Option<i128> {
        match self {
            Self::Null | Self::DateTime(_) | Self::Guid(_) => None,
            Self::Bit(bit) => Some(i128::from(*bit)),
            Self::Int(number) => Some(i128::from(*number)),
            Self::Numeric(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    /// Whether it is NULL.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The smallest type that holds the value.
    pub(crate) fn kind(&self) -> Type {
        match self {
            Self::Null | Self::Int(_) if self.is_null() || self.fits_int() => Type::Int,
            Self::Null | Self::Int(_) => Type::BigInt,
            Self::Bit(_) => Type::Bit,
            Self::Text(text) if text.encode_utf16().count() > 4000 => Type::NVarCharMax,
            Self::Text(_) => Type::NVarChar(4000),
            Self::DateTime(_) => Type::DateTime,
            Self::Guid(_) => Type::Guid,
            Self::Numeric(_) => Type::Numeric(38),
        }
    }

    fn fits_int(&self) -> bool {
        matches!(self, Self::Int(number) if i32::try_from(*number).is_ok())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

/// Reads a moment as SQL Server's `datetime` literals are written: `2026-11-27T10:00:00`, with a space in place of the T,
/// or a date alone.
pub(crate) fn moment(text: &str) -> Option<DateTime> {
    let text = text.trim().trim_end_matches('Z');
    text.replacen(' ', "T", 1).parse::<DateTime>().ok().or_else(|| {
        let date: jiff::civil::Date = text.parse().ok()?;
        Some(date.at(0, 0, 0, 0))
    })
}
