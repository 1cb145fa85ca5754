//! Values as text, whatever type the server gives them.

use haulier_domain::sqlserver::row::Row;
use jiff::civil::{Date, DateTime, date};
use jiff::{SignedDuration, Span};
use tiberius::ColumnData;

/// A row as text.
pub(super) fn row(row: &tiberius::Row) -> Row {
    Row::new(row.cells().map(|(column, value)| (column.name().to_owned(), text(value))))
}

/// A value as text; `None` for NULL, and for what cannot be.
fn text(value: &ColumnData<'_>) -> Option<String> {
    match value {
        ColumnData::U8(value) => value.map(|value| value.to_string()),
        ColumnData::I16(value) => value.map(|value| value.to_string()),
        ColumnData::I32(value) => value.map(|value| value.to_string()),
        ColumnData::I64(value) => value.map(|value| value.to_string()),
        ColumnData::F32(value) => value.map(|value| value.to_string()),
        ColumnData::F64(value) => value.map(|value| value.to_string()),
        ColumnData::Bit(value) => value.map(|value| u8::from(value).to_string()),
        ColumnData::String(value) => value.as_ref().map(ToString::to_string),
        ColumnData::Guid(value) => value.map(|value| value.to_string()),
        ColumnData::Binary(value) => value.as_ref().map(hex::encode),
        ColumnData::Numeric(value) => value.map(|value| decimal(value.value(), value.scale())),
        ColumnData::Xml(value) => value.as_ref().map(ToString::to_string),
        // Days since 1900, and three-hundredths of a second.
        ColumnData::DateTime(value) => value.and_then(|value| {
            let nanos = i64::from(value.seconds_fragments()) * 10_000_000 / 3;
            moment(after(date(1900, 1, 1), value.days().into())?, nanos)
        }),
        // Days since 1900, and minutes.
        ColumnData::SmallDateTime(value) => value.and_then(|value| {
            let nanos = i64::from(value.seconds_fragments()) * 60 * NANOS;
            moment(after(date(1900, 1, 1), value.days().into())?, nanos)
        }),
        ColumnData::Time(value) => value.and_then(|value| {
            let at = DateTime::from(date(1900, 1, 1)).checked_add(SignedDuration::from_nanos(nanos_of(value)?)).ok()?;
            Some(at.time().to_string())
        }),
        ColumnData::Date(value) => {
            value.and_then(|value| after(date(1, 1, 1), value.days().into())).map(|it| it.to_string())
        }
        ColumnData::DateTime2(value) => {
            value.and_then(|value| moment(after(date(1, 1, 1), value.date().days().into())?, nanos_of(value.time())?))
        }
        // In UTC, with the minutes that the place was ahead of it.
        ColumnData::DateTimeOffset(value) => value.and_then(|value| {
            let utc = value.datetime2();
            let ahead = i64::from(value.offset()) * 60 * NANOS;
            moment(after(date(1, 1, 1), utc.date().days().into())?, nanos_of(utc.time())? + ahead)
        }),
    }
}

const NANOS: i64 = 1_000_000_000;

fn after(day: Date, days: i64) -> Option<Date> {
    day.checked_add(Span::new().try_days(days).ok()?).ok()
}

fn moment(day: Date, nanos: i64) -> Option<String> {
    let at = DateTime::from(day).checked_add(SignedDuration::from_nanos(nanos)).ok()?;
    Some(at.to_string())
}

fn nanos_of(time: tiberius::time::Time) -> Option<i64> {
    let unit = 10_i64.checked_pow(9_u32.checked_sub(time.scale().into())?)?;
    i64::try_from(time.increments()).ok()?.checked_mul(unit)
}

fn decimal(value: i128, scale: u8) -> String {
    let digits = format!("{:0width$}", value.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, rest) = digits.split_at(digits.len() - usize::from(scale));
    let sign = if value < 0 { "-" } else { "" };
    if rest.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

#[cfg(test)]
mod tests {
    use tiberius::numeric::Numeric;
    use tiberius::time::{self, DateTime2, DateTimeOffset, Time};

    use super::*;

    #[test]
    fn every_type_has_its_text() {
        let day = time::Date::new(739_574);
        let at = |increments, scale| DateTime2::new(day, Time::new(increments, scale));
        let cases = [
            (ColumnData::U8(Some(7)), Some("7")),
            (ColumnData::I64(Some(-5)), Some("-5")),
            (ColumnData::I32(None), None),
            (ColumnData::Bit(Some(true)), Some("1")),
            (ColumnData::F64(Some(45.5)), Some("45.5")),
            (ColumnData::String(Some("é".into())), Some("é")),
            (ColumnData::Guid(Some(tiberius::Uuid::from_u128(0xAB))), Some("00000000-0000-0000-0000-0000000000ab")),
            (ColumnData::Binary(Some(vec![0xAB, 1].into())), Some("ab01")),
            (
                ColumnData::Numeric(Some(Numeric::new_with_scale(1_234_567_890_123_456_789_012_345, 0))),
                Some("1234567890123456789012345"),
            ),
            (ColumnData::Numeric(Some(Numeric::new_with_scale(-105, 2))), Some("-1.05")),
            (ColumnData::Numeric(Some(Numeric::new_with_scale(5, 2))), Some("0.05")),
            (
                ColumnData::DateTime(Some(time::DateTime::new(46_344, 300 * 3_661 + 37))),
                Some("2026-11-20T01:01:01.123333333"),
            ),
            (ColumnData::SmallDateTime(Some(time::SmallDateTime::new(46_344, 61))), Some("2026-11-20T01:01:00")),
            (ColumnData::Date(Some(day)), Some("2025-11-20")),
            (ColumnData::Time(Some(Time::new(36_611_234_567, 7))), Some("01:01:01.1234567")),
            (ColumnData::DateTime2(Some(at(3_661_123, 3))), Some("2025-11-20T01:01:01.123")),
            (ColumnData::DateTimeOffset(Some(DateTimeOffset::new(at(0, 0), -60))), Some("2025-11-19T23:00:00")),
        ];
        for (value, expected) in cases {
            assert_eq!(text(&value).as_deref(), expected, "{value:?}");
        }
    }
}
