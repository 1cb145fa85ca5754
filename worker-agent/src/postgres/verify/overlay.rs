//! The point's manifest as the scratch server can take it: where this machine lacks a locale, the copy gets another one,
//! and the proof says so. Everything else, data above all, comes from the repository as in any restore.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use haulier_domain::failure::Failure;
use haulier_domain::postgres::manifest::{Manifest, StreamReference};
use haulier_domain::postgres::quote;
use haulier_domain::proof::Exception;

use super::super::connect::{Connector, Session};
use super::super::context::{Context, Stopped};
use super::super::streams::{StoreError, StreamKind, StreamReader, StreamStore, StreamWriter};

/// The manifest for the scratch server.
pub(super) async fn fit(
    mut manifest: Manifest,
    connector: &Connector,
    exceptions: &mut Vec<Exception>,
) -> Result<Manifest, Stopped> {
    let front = connector.connect("postgres").await?;
    let mut known = BTreeMap::new();
    for database in &mut manifest.databases {
        let (name, properties) = (&database.name, &mut database.properties);
        for (what, locale) in [("LC_COLLATE", &mut properties.collate), ("LC_CTYPE", &mut properties.ctype)] {
            if has_locale(&front, locale, &mut known).await? {
                continue;
            }
            exceptions.push(Exception {
                place: name.clone(),
                what: format!("{what} {locale:?} of the database"),
                reason: "the worker's image has no such locale; the scratch copy has \"C\"".to_owned(),
            });
            "C".clone_into(locale);
        }
    }
    for role in &mut manifest.roles {
        // Nobody logs in to the scratch server.
        role.login = false;
    }
    Ok(manifest)
}

/// Whether a database can be made with this locale: the same function of the system answers that for any setting of a
/// locale.
async fn has_locale(front: &Session, locale: &str, known: &mut BTreeMap<String, bool>) -> Result<bool, Stopped> {
    if let Some(known) = known.get(locale) {
        return Ok(*known);
    }
    let sql = format!("SET lc_monetary = {}; RESET lc_monetary", quote::literal(locale));
    let there = front.attempt("looking for a locale", &sql).await?.is_ok();
    known.insert(locale.to_owned(), there);
    Ok(there)
}

/// The context's streams, and over them the manifest as it is now, with the reference under which it is read.
pub(super) fn over(context: &Context, manifest: &Manifest) -> Result<(Overlay, StreamReference), Failure> {
    let json = serde_json::to_vec(manifest).map_err(|error| {
        let remedy = "report this with the session's log";
        Failure::new("mover-defect", "writing the scratch server's manifest", error.to_string(), remedy)
    })?;
    let reference = StreamReference("the scratch server's manifest".into());
    let overlay =
        Overlay { beneath: Arc::clone(&context.streams), reference: reference.clone(), manifest: json.into() };
    Ok((overlay, reference))
}

/// Streams of the repository, with one document over them.
pub(super) struct Overlay {
    beneath: Arc<dyn StreamStore>,
    reference: StreamReference,
    manifest: Bytes,
}

#[async_trait]
impl StreamStore for Overlay {
    async fn create(&self, kind: StreamKind, name: &str) -> Result<Box<dyn StreamWriter>, StoreError> {
        self.beneath.create(kind, name).await
    }

    async fn open(&self, reference: &StreamReference) -> Result<Box<dyn StreamReader>, StoreError> {
        if *reference == self.reference {
            return Ok(Box::new(Document(Some(self.manifest.clone()))));
        }
        self.beneath.open(reference).await
    }
}

struct Document(Option<Bytes>);

#[async_trait]
impl StreamReader for Document {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.take())
    }
}
