//! What a client asks: a batch of text, or a procedure with typed parameters.

use super::packet::{Kind, Message};
use super::{Cursor, Malformed, utf16};
use crate::sqlserver::value::Value;

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// Statements.
    Batch(String),
    /// A procedure by name, `sp_executesql` among them.
    Call { procedure: String, parameters: Vec<Parameter> },
    /// Begin (5), commit (7), roll back (8).
    Transaction(u16),
}

/// A parameter of a procedure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameter {
    /// `@name`, empty where parameters go by their place.
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// Procedures that clients call by number.
const NUMBERED: [(u16, &str); 1] = [(10, "sp_executesql")];

impl Request {
    /// Reads a request; attention is none.
    pub(crate) fn parse(message: &Message) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(&message.payload, "request");
        let headers = Cursor::new(&message.payload, "request").u32()? as usize;
        cursor.take(headers)?;
        match message.kind {
            Kind::Batch => Ok(Self::Batch(utf16(cursor.rest()).ok_or_else(|| cursor.fault())?)),
            Kind::Transaction => Ok(Self::Transaction(cursor.u16()?)),
            Kind::Rpc => call(&mut cursor),
            _ => Err(cursor.fault()),
        }
    }
}

fn call(cursor: &mut Cursor<'_>) -> Result<Request, Malformed> {
    let procedure = match cursor.u16()? {
        0xFFFF => {
            let number = cursor.u16()?;
            let known = NUMBERED.iter().find(|(known, _)| *known == number);
            known.map(|(_, name)| (*name).to_owned()).ok_or_else(|| cursor.fault())?
        }
        units => cursor.text(usize::from(units))?,
    };
    let _options = cursor.u16()?;
    let mut parameters = Vec::new();
    while !cursor.is_empty() {
        let units = cursor.u8()?;
        // Another call in the same message: nobody here sends one.
        if units >= 0x80 {
            return Err(Malformed { what: "second call in one request" });
        }
        let name = cursor.text(usize::from(units))?;
        let _status = cursor.u8()?;
        parameters.push(Parameter { name, value: value(cursor)? });
    }
    Ok(Request::Call { procedure, parameters })
}

/// Type and value of a parameter.
fn value(cursor: &mut Cursor<'_>) -> Result<Value, Malformed> {
    match cursor.u8()? {
        // Fixed lengths.
        0x1F => Ok(Value::Null),
        0x30 => Ok(Value::Int(i64::from(cursor.u8()?))),
        0x32 => Ok(Value::Bit(cursor.u8()? != 0)),
        0x34 => Ok(Value::Int(signed(cursor.take(2)?))),
        0x38 => Ok(Value::Int(signed(cursor.take(4)?))),
        0x7F => Ok(Value::Int(signed(cursor.take(8)?))),
        // Of a length that the value has.
        0x26 => {
            let size = cursor.u8()?;
            let bytes = short(cursor)?;
            // One byte is the type without a sign.
            Ok(bytes
                .map_or(Value::Null, |bytes| Value::Int(if size == 1 { i64::from(bytes[0]) } else { signed(bytes) })))
        }
        0x68 => {
            let _size = cursor.u8()?;
            Ok(short(cursor)?.map_or(Value::Null, |bytes| Value::Bit(bytes[0] != 0)))
        }
        0x24 => {
            let _size = cursor.u8()?;
            let guid = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).map(uuid::Uuid::from_bytes_le);
            match short(cursor)? {
                None => Ok(Value::Null),
                Some(bytes) => guid(bytes).map(Value::Guid).map_err(|_| cursor.fault()),
            }
        }
        0x6F => {
            let _size = cursor.u8()?;
            match short(cursor)? {
                None => Ok(Value::Null),
                Some(bytes) => moment(bytes).ok_or_else(|| cursor.fault()),
            }
        }
        0xE7 => {
            let most = cursor.u16()?;
            cursor.take(5)?;
            let Some(bytes) = long(cursor, most)? else { return Ok(Value::Null) };
            utf16(&bytes).map(Value::Text).ok_or_else(|| cursor.fault())
        }
        0xA7 => {
            let most = cursor.u16()?;
            cursor.take(5)?;
            // A code page of 256 characters: its lower half is ASCII, which names and ARNs are.
            Ok(long(cursor, most)?
                .map_or(Value::Null, |bytes| Value::Text(bytes.iter().map(|byte| char::from(*byte)).collect())))
        }
        0x63 => {
            let _most = cursor.u32()?;
            cursor.take(5)?;
            match cursor.u32()? {
                u32::MAX => Ok(Value::Null),
                length => utf16(cursor.take(length as usize)?).map(Value::Text).ok_or_else(|| cursor.fault()),
            }
        }
        _ => Err(Malformed { what: "type of a parameter" }),
    }
}

fn short<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    let length = cursor.u8()?;
    if length == 0 { Ok(None) } else { cursor.take(usize::from(length)).map(Some) }
}

/// A length of two bytes, or, where the type has no limit, chunks until an empty one.
fn long(cursor: &mut Cursor<'_>, most: u16) -> Result<Option<Vec<u8>>, Malformed> {
    if most != u16::MAX {
        return match cursor.u16()? {
            u16::MAX => Ok(None),
            length => Ok(Some(cursor.take(usize::from(length))?.to_vec())),
        };
    }
    if cursor.u64()? == u64::MAX {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    loop {
        match cursor.u32()? {
            0 => return Ok(Some(bytes)),
            length => bytes.extend_from_slice(cursor.take(length as usize)?),
        }
    }
}

fn signed(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut whole = [if negative { 0xFF } else { 0 }; 8];
    for (to, from) in whole.iter_mut().zip(bytes) {
        *to = *from;
    }
    i64::from_le_bytes(whole)
}

/// `datetime`: days since 1900 and 300ths of a second.
fn moment(bytes: &[u8]) -> Option<Value> {
    let (days, ticks) = bytes.split_at_checked(4)?;
    let ticks = u32::from_le_bytes(ticks.try_into().ok()?);
    let start = jiff::civil::date(1900, 1, 1).at(0, 0, 0, 0);
    let span = jiff::Span::new().try_days(signed(days)).ok()?.try_milliseconds(i64::from(ticks) * 10 / 3).ok()?;
    start.checked_add(span).ok().map(Value::DateTime)
}

#[cfg(test)]
mod tests {
    use super::super::to_utf16;
    use super::*;

    fn message(kind: Kind, body: &[u8]) -> Message {
        let mut payload = 22_u32.to_le_bytes().to_vec();
        payload.resize(22, 0);
        payload.extend_from_slice(body);
        Message { kind, payload }
    }

    #[test]
    fn batches_are_text_after_the_headers() {
        let batch = message(Kind::Batch, &to_utf16("SELECT 1"));
        assert_eq!(Request::parse(&batch).unwrap(), Request::Batch("SELECT 1".into()));
        assert!(Request::parse(&Message { payload: vec![200, 0, 0, 0], ..batch }).is_err());
    }

    #[test]
    fn calls_carry_names_and_values() {
        let mut body = vec![0xFF, 0xFF, 10, 0, 0, 0];
        let mut add = |name: &str, value: &[u8]| {
            body.push(name.len() as u8);
            body.extend_from_slice(&to_utf16(name));
            body.push(0);
            body.extend_from_slice(value);
        };
        let collation = [9, 4, 0xD0, 0, 0x34];
        let text = [&[0xE7, 16, 0][..], &collation, &[2, 0], &to_utf16("a")].concat();
        let huge = [
            &[0xE7, 0xFF, 0xFF][..],
            &collation,
            &u64::MAX.wrapping_sub(1).to_le_bytes(),
            &4_u32.to_le_bytes(),
            &to_utf16("bc"),
            &0_u32.to_le_bytes(),
        ]
        .concat();
        let none = [&[0xE7, 16, 0][..], &collation, &[0xFF, 0xFF]].concat();
        add("", &text);
        add("@big", &huge);
        add("@none", &none);
        add("@n", &[0x26, 4, 4, 0xFE, 0xFF, 0xFF, 0xFF]);
        add("@bit", &[0x68, 1, 1, 1]);
        let Request::Call { procedure, parameters } = Request::parse(&message(Kind::Rpc, &body)).unwrap() else {
            panic!("no call")
        };
        assert_eq!(procedure, "sp_executesql");
        let read: Vec<_> = parameters.into_iter().map(|parameter| (parameter.name, parameter.value)).collect();
        let expected = [
            ("", Value::from("a")),
            ("@big", Value::from("bc")),
            ("@none", Value::Null),
            ("@n", Value::Int(-2)),
            ("@bit", Value::Bit(true)),
        ];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value)));
    }
}
