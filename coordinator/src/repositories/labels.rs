//! What the coordinator writes into a point's root beside what the worker says of it, so that a catalogue can be made anew
//! from the repository alone. Pure. The names are part of the format: see `docs/repository-format.md`, §12.

use std::collections::BTreeMap;

use haulier_domain::id::PointId;
use haulier_repository::PointRoot;

use crate::sessions::Login;
use crate::state::CopyOf;

const ACCOUNT: &str = "account";
const REGION: &str = "region";
const INSTANCE: &str = "instance";
const RESOURCE_ID: &str = "resource-id";
const ENGINE_VERSION: &str = "engine-version";
const LOGIN: &str = "login";
const POLICY: &str = "policy";
const SNAPSHOT: &str = "snapshot";
const COPY_OF: &str = "copy-of";
const COPY_OF_REPOSITORY: &str = "copy-of-repository";

const SECRET: &str = "secret:";
const IAM: &str = "iam:";
const MASTER: &str = "master-secret";

/// Where a point comes from. What is empty or absent is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PointLabels {
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// `DBInstanceIdentifier`.
    pub instance: String,
    /// `DbiResourceId`, which the instance keeps when it is renamed.
    pub resource_id: String,
    /// Engine version, as RDS writes it.
    pub engine_version: String,
    /// How its session logged in: a reference, never a secret.
    pub login: Option<Login>,
    /// Policy that asked for it.
    pub policy: String,
    /// DB snapshot of the same session.
    pub snapshot_id: String,
    /// What it is a copy of.
    pub copy_of: Option<CopyOf>,
    /// The point, in the same domain, that it stands on: no label, but a field of the root.
    pub full_point: Option<PointId>,
}

impl PointLabels {
    /// As they are stored.
    pub fn to_labels(&self) -> BTreeMap<String, String> {
        let login = self.login.as_ref().map(login_text).unwrap_or_default();
        let copied = self.copy_of.as_ref();
        [
            (ACCOUNT, self.account.as_str()),
            (REGION, &self.region),
            (INSTANCE, &self.instance),
            (RESOURCE_ID, &self.resource_id),
            (ENGINE_VERSION, &self.engine_version),
            (LOGIN, &login),
            (POLICY, &self.policy),
            (SNAPSHOT, &self.snapshot_id),
            (COPY_OF, copied.map(|copied| copied.point.as_str()).unwrap_or_default()),
            (COPY_OF_REPOSITORY, copied.map(|copied| copied.repository.as_str()).unwrap_or_default()),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }

    /// What a root has of them. A login in words that this version does not know counts as none: whoever restores is asked
    /// for one.
    pub fn of(root: &PointRoot) -> Self {
        let text = |name: &str| root.labels.get(name).cloned().unwrap_or_default();
        let copied = text(COPY_OF).parse().ok().zip(text(COPY_OF_REPOSITORY).parse().ok());
        Self {
            account: text(ACCOUNT),
            region: text(REGION),
            instance: text(INSTANCE),
            resource_id: text(RESOURCE_ID),
            // Before the label there was what the server says of itself.
            engine_version: match root.labels.get(ENGINE_VERSION) {
                Some(version) => version.clone(),
                None => root.summary.server_version.split_whitespace().next().unwrap_or_default().to_owned(),
            },
            login: root.labels.get(LOGIN).and_then(|text| login_of(text)),
            policy: text(POLICY),
            snapshot_id: text(SNAPSHOT),
            copy_of: copied.map(|(point, repository)| CopyOf { point, repository }),
            full_point: root.stands_on.clone(),
        }
    }
}

fn login_text(login: &Login) -> String {
    match login {
        Login::Secret(arn) => format!("{SECRET}{arn}"),
        Login::Iam(user) => format!("{IAM}{user}"),
        Login::MasterSecret => MASTER.to_owned(),
    }
}

fn login_of(text: &str) -> Option<Login> {
    let named = |prefix| text.strip_prefix(prefix).filter(|rest: &&str| !rest.is_empty()).map(str::to_owned);
    if text == MASTER {
        return Some(Login::MasterSecret);
    }
    named(SECRET).map(Login::Secret).or_else(|| named(IAM).map(Login::Iam))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn root(labels: BTreeMap<String, String>) -> PointRoot {
        let stream = json!({
            "name": "m", "kind": "document", "bytes": 0, "chunks": 0, "content": {"inline": []},
            "chunking": {"algorithm": "fastcdc-v2020", "min": 1, "avg": 2, "max": 3, "normalization": 1},
        });
        let root = json!({
            "version": 1, "point": "pnt-1", "session": "ses-1", "epoch": 1, "created": "2026-11-20T10:00:00Z",
            "engine": "postgres", "manifest": stream, "catalogue": stream, "totals": {"bytes_read": 0, "bytes_new": 0,
            "bytes_stored": 0, "chunks": 0, "chunks_new": 0, "streams": 0}, "labels": labels,
            "summary": {"databases": [], "remarks": [], "server-version": "15.18 (Debian 15.18-1)", "bytes-read": 0, "roles": 0},
        });
        serde_json::from_value(root).unwrap()
    }

    #[test]
    fn what_is_stored_is_read_back() {
        for login in
            [Login::Secret("arn:aws:secretsmanager:x".into()), Login::Iam("app:user".into()), Login::MasterSecret]
        {
            let labels = PointLabels {
                account: "111122223333".into(),
                region: "eu-central-1".into(),
                instance: "orders".into(),
                resource_id: "db-ABC".into(),
                engine_version: "15.18".into(),
                login: Some(login),
                policy: "nightly".into(),
                snapshot_id: "haulier-1".into(),
                copy_of: Some(CopyOf { point: "pnt-0".parse().unwrap(), repository: "rep-0".parse().unwrap() }),
                full_point: Some("pnt-full".parse().unwrap()),
            };
            let stored = PointRoot { stands_on: labels.full_point.clone(), ..root(labels.to_labels()) };
            assert_eq!(PointLabels::of(&stored), labels);
        }
    }

    #[test]
    fn a_point_without_labels_says_no_more_than_its_server_did() {
        let bare = PointLabels { engine_version: "15.18".into(), ..PointLabels::default() };
        assert_eq!(PointLabels::of(&root(BTreeMap::new())), bare);
        assert!(PointLabels::default().to_labels().is_empty());
        for unknown in ["certificate:x", "secret:", "iam:", ""] {
            let labels = BTreeMap::from([("login".to_owned(), unknown.to_owned())]);
            assert_eq!(PointLabels::of(&root(labels)).login, None, "{unknown:?}");
        }
    }
}
