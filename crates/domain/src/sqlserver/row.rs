//! A row of a result set as text. Column types of RDS's procedures are not documented and differ between engine versions,
//! so everything is read as text, and columns by name whatever their case.

use std::str::FromStr;

/// One row: columns by name, their values as text, `None` where they are NULL. Numbers are decimal, bits `0` or `1`, moments
/// `2026-11-20T03:00:01.123`, GUIDs in lower case with hyphens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row(Vec<(String, Option<String>)>);

/// A row that lacks what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// There is no such column, or it is NULL.
    #[error("column {0:?} is missing")]
    Missing(&'static str),
    /// Its value makes no sense.
    #[error("column {column:?} is {value:?}")]
    Strange {
        /// The column.
        column: &'static str,
        /// What it says.
        value: String,
    },
}

impl Row {
    /// A row of these columns.
    pub fn new(columns: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        Self(columns.into_iter().collect())
    }

    /// The value of a column; `None` where it is NULL or there is none.
    pub fn get(&self, column: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(column))?;
        value.as_deref()
    }

    /// The value of the first column.
    pub fn first(&self) -> Option<&str> {
        self.0.first()?.1.as_deref()
    }

    /// The value of a column that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn text(&self, column: &'static str) -> Result<&str, Malformed> {
        self.get(column).ok_or(Malformed::Missing(column))
    }

    /// The value of a column that must be there and of that type.
    ///
    /// # Errors
    /// It is not.
    pub fn parsed<T: FromStr>(&self, column: &'static str) -> Result<T, Malformed> {
        parse(column, self.text(column)?)
    }

    /// The value of a column that may be NULL, and otherwise is of that type.
    ///
    /// # Errors
    /// It is of another.
    pub fn maybe<T: FromStr>(&self, column: &'static str) -> Result<Option<T>, Malformed> {
        self.get(column).map(|value| parse(column, value)).transpose()
    }

    /// Whether a bit is set; NULL is not.
    ///
    /// # Errors
    /// It is no bit.
    pub fn is_set(&self, column: &'static str) -> Result<bool, Malformed> {
        match self.get(column).map(str::trim) {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(Malformed::Strange { column, value: text.to_owned() }),
        }
    }
}

fn parse<T: FromStr>(column: &'static str, value: &str) -> Result<T, Malformed> {
    value.trim().parse().map_err(|_| Malformed::Strange { column, value: value.to_owned() })
}

/// A row of a test.
#[cfg(test)]
pub(crate) fn row(columns: &[(&str, Option<&str>)]) -> Row {
    Row::new(columns.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_whatever_their_case() {
        let row = row(&[("Task_ID", Some(" 7 ")), ("% complete", None), ("is_encrypted", Some("1"))]);
        assert_eq!(row.parsed::<u64>("task_id"), Ok(7));
        assert_eq!(row.get("% COMPLETE"), None);
        assert_eq!(row.maybe::<u32>("% complete"), Ok(None));
        assert_eq!(row.is_set("is_encrypted"), Ok(true));
        assert_eq!(row.is_set("absent"), Ok(false));
        assert_eq!(row.text("lifecycle"), Err(Malformed::Missing("lifecycle")));
        assert!(matches!(row.parsed::<bool>("task_id"), Err(Malformed::Strange { column: "task_id", .. })));
    }
}
