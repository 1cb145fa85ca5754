//! Names of a database that is not in UTF-8. Its archive and its rows stay in its own encoding, in which every byte is
//! kept; the names in them are converted by a server, which knows the encodings that servers have.

use std::collections::BTreeMap;

use haulier_domain::postgres::archive::Foreign;

use super::connect::Session;
use super::context::Stopped;
use super::failures;

const CONVERT: &str = "SELECT pg_catalog.convert(text, $2::text::name, $3::text::name)
    FROM pg_catalog.unnest($1::bytea[]) WITH ORDINALITY AS texts (text, place) ORDER BY place";

/// Whether names in this encoding need no conversion: they are UTF-8, or nobody knows what they are.
pub(super) fn is_ours(encoding: &str) -> bool {
    matches!(encoding, "UTF8" | "SQL_ASCII")
}

/// What an archive's texts mean. Those that have no equivalent are left out. The session must not be in a transaction.
///
/// # Errors
/// The connection broke, or the order to stop came.
pub(super) async fn decode(session: &Session, foreign: &Foreign) -> Result<BTreeMap<Vec<u8>, String>, Stopped> {
    let texts: Vec<&[u8]> = foreign.texts.iter().map(Vec::as_slice).collect();
    if texts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let meaning = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if let Some(converted) = attempt(session, &texts, &foreign.encoding).await? {
        return Ok(foreign.texts.iter().cloned().zip(converted.into_iter().map(meaning)).collect());
    }
    let mut meanings = BTreeMap::new();
    for text in texts {
        if let Some(converted) = attempt(session, &[text], &foreign.encoding).await? {
            meanings.extend(converted.into_iter().map(|bytes| (text.to_vec(), meaning(bytes))));
        }
    }
    Ok(meanings)
}

/// Converts to UTF-8; `None` where the server refuses one of them.
async fn attempt(session: &Session, texts: &[&[u8]], encoding: &str) -> Result<Option<Vec<Vec<u8>>>, Stopped> {
    match session.obey(session.client().query(CONVERT, &[&texts, &encoding, &"UTF8"])).await? {
        Ok(rows) => Ok(Some(rows.iter().map(|row| row.get(0)).collect())),
        Err(error) if error.as_db_error().is_some() => Ok(None),
        Err(error) => Err(failures::database("reading an archive's names", &error).into()),
    }
}

/// These texts in a database's encoding, in their order.
///
/// # Errors
/// One of them has no equivalent there, the connection broke, or the order to stop came.
pub(super) async fn encode(session: &Session, encoding: &str, texts: &[String]) -> Result<Vec<Vec<u8>>, Stopped> {
    if is_ours(encoding) || texts.iter().all(|text| text.is_ascii()) {
        return Ok(texts.iter().map(|text| text.as_bytes().to_vec()).collect());
    }
    let plain: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let doing = format!("writing names in {encoding}");
    let rows = session.query(&doing, CONVERT, &[&plain, &"UTF8", &encoding]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
