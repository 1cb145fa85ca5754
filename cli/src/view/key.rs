//! Keys of repositories.

use haulier_proto::control::v1::RepositoryKey;
use jiff::Timestamp;
use serde::Serialize;

use super::{filled, time};
use crate::output::{Row, moment};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct KeyView {
    id: String,
    kind: String,
    detail: Option<String>,
    created_at: Option<Timestamp>,
    in_use: bool,
}

impl From<RepositoryKey> for KeyView {
    fn from(key: RepositoryKey) -> Self {
        Self {
            created_at: time(key.created_at.as_ref()),
            id: key.id,
            kind: key.kind,
            detail: filled(key.detail),
            in_use: key.in_use,
        }
    }
}

impl Row for KeyView {
    const HEAD: &'static [&'static str] = &["ID", "KIND", "DETAIL", "CREATED", "IN USE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.kind.clone(),
            self.detail.clone().unwrap_or_default(),
            moment(self.created_at),
            if self.in_use { "by the coordinator" } else { "" }.to_owned(),
        ]
    }
}
