//! Large objects of the restored copy, read page by page in the order of their numbers.

use futures::TryStreamExt;
use haulier_domain::postgres::content::{LargeObjects, ObjectTally};

use super::super::connect::Session;
use super::super::context::{Context, ProgressEvent, Stopped};
use super::super::failures;

/// Bytes of a page. A page that is missing, or the rest of one that is short, reads as zeros.
const PAGE: usize = 2048;
const ZEROS: [u8; PAGE] = [0; PAGE];

/// Reads them all.
pub(super) async fn read(session: &Session, context: &Context) -> Result<LargeObjects, Stopped> {
    let doing = "reading the large objects of the scratch database";
    let failed = |error: &tokio_postgres::Error| Stopped::from(failures::database(doing, error));
    let mut tally = ObjectTally::default();
    let empty = "SELECT m.oid FROM pg_catalog.pg_largeobject_metadata m
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_largeobject l WHERE l.loid = m.oid)";
    for row in session.query(doing, empty, &[]).await? {
        tally.begin(row.get(0));
    }
    // Their index has this order: nothing has to be sorted.
    session.execute(doing, "SET enable_sort = off; SET enable_seqscan = off").await?;
    let pages = "SELECT loid, pageno, data FROM pg_catalog.pg_largeobject ORDER BY loid, pageno";
    let none: [i32; 0] = [];
    let rows = session.obey(session.client().query_raw(pages, none)).await?.map_err(|error| failed(&error))?;
    futures::pin_mut!(rows);
    let mut walk = Walk::default();
    while let Some(row) = session.obey(rows.try_next()).await?.map_err(|error| failed(&error))? {
        let (oid, page, data): (u32, i32, &[u8]) = (row.get(0), row.get(1), row.get(2));
        walk.page(&mut tally, oid, page.unsigned_abs(), data);
        context.progress.report(ProgressEvent::Moved(data.len() as u64));
    }
    Ok(tally.finish())
}

/// Where in an object the last page has ended.
#[derive(Default)]
struct Walk {
    object: Option<u32>,
    at: u64,
}

impl Walk {
    fn page(&mut self, tally: &mut ObjectTally, oid: u32, page: u32, data: &[u8]) {
        if self.object != Some(oid) {
            tally.begin(oid);
            *self = Self { object: Some(oid), at: 0 };
        }
        let begins = u64::from(page) * PAGE as u64;
        while self.at < begins {
            let gap = usize::try_from(begins - self.at).unwrap_or(PAGE).min(PAGE);
            tally.push(&ZEROS[..gap]);
            self.at += gap as u64;
        }
        tally.push(data);
        self.at += data.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_read_as_zeros() {
        let mut whole = ObjectTally::default();
        whole.begin(7);
        whole.push(b"ab");
        whole.push(&[0; PAGE * 2 - 2]);
        whole.push(b"c");
        whole.begin(9);
        whole.push(b"x");
        let (mut tally, mut walk) = (ObjectTally::default(), Walk::default());
        for (oid, page, data) in [(7, 0, b"ab".as_slice()), (7, 2, b"c"), (9, 0, b"x")] {
            walk.page(&mut tally, oid, page, data);
        }
        assert_eq!(tally.finish(), whole.finish());
    }
}
