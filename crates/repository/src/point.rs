//! Restore points: a small sealed root each, created last and never overwritten.

use std::collections::BTreeMap;

use bytes::Bytes;
use haulier_domain::id::{Epoch, PointId, SessionId};
use haulier_domain::point::PointSummary;
use serde::{Deserialize, Serialize};

use crate::check::Verified;
use crate::crypto::seal::{SealedKind, open_object, seal_object};
use crate::domain::Domain;
use crate::error::{Error, ObjectKind, Result};
use crate::json;
use crate::lock::still;
use crate::prune::log;
use crate::stream::StreamRoot;
use crate::writer::WriteStats;

/// The version of the root's JSON.
const VERSION: u32 = 1;

/// The feature of points whose streams have chunks that are deltas.
pub(crate) const DELTAS: &str = "deltas";
/// The features of points that this program knows.
const KNOWN_FEATURES: &[&str] = &[DELTAS];

/// The root of a restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointRoot {
    /// Version of this document.
    pub version: u32,
    /// The point's id, which is its object's name too.
    pub point: PointId,
    /// The session that made it.
    pub session: SessionId,
    /// The epoch of that session when it was published.
    pub epoch: Epoch,
    /// When the point was made, by the coordinator's clock.
    pub created: jiff::Timestamp,
    /// The database engine, as RDS names it: `postgres`, `sqlserver-se`.
    pub engine: String,
    /// The document that says what is in the point; its content belongs to the engine's mover.
    pub manifest: StreamRoot,
    /// The list of all its streams: see [`crate::WriteSummary::catalogue`].
    pub catalogue: StreamRoot,
    /// What a reader must know to read the point, beyond this version of the format: see
    /// [`crate::WriteSummary::required_features`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_features: Vec<String>,
    /// Until when everything it needs is locked at least, where the repository is immutable: see
    /// [`crate::WriteSummary::locked_until`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<jiff::Timestamp>,
    /// The point, in the same domain, without which it cannot be restored: a differential backup has the full one there. It
    /// stays, and stays locked, as long as this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_on: Option<PointId>,
    /// What was read and stored.
    pub totals: WriteStats,
    /// The point at a glance, for whoever lists points.
    #[serde(default)]
    pub summary: PointSummary,
    /// Whatever else the coordinator wants to find in a repository whose catalogue is lost: instance, policy, flags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl PointRoot {
    /// The version that [`PointRoot::version`] has to be set to.
    pub const VERSION: u32 = VERSION;

    /// Reads a root that somebody else has read from a repository, or is to publish.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a version or a feature that this program does not have, [`Error::Damaged`] where it is no
    /// root.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        Self::parse("the root of a restore point", json)
    }

    fn parse(object: &str, json: &[u8]) -> Result<Self> {
        // A later version may say everything else in another way.
        let needs: Needs = json::parse(ObjectKind::Point, object, json)?;
        needs.refuse_unknown(object)?;
        json::parse(ObjectKind::Point, object, json)
    }

    /// The same with these features among those that a reader must have.
    fn needing(&self, features: &[&str]) -> Self {
        let mut root = self.clone();
        for feature in features {
            if !root.required_features.iter().any(|known| known == feature) {
                root.required_features.push((*feature).to_owned());
            }
        }
        root
    }

    /// Whether the other one is of the same point, whatever a reader of the two must have.
    fn is_like(&self, other: &Self) -> bool {
        Self { required_features: self.required_features.clone(), ..other.clone() } == *self
    }

    /// Whether it names all that the other one names of what a reader must have.
    fn names_features_of(&self, other: &Self) -> bool {
        other.required_features.iter().all(|feature| self.required_features.contains(feature))
    }
}

/// What lies where a domain's points lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundPoints {
    /// Points by id, with the time they were stored.
    pub points: Vec<(PointId, jiff::Timestamp)>,
    /// Keys of objects that are not named as points are.
    pub strange: Vec<String>,
}

impl Domain {
    /// The ids of all published points with the time they were stored, in order of their ids.
    ///
    /// # Errors
    /// [`Error::Damaged`] for an object that is not named as a point is; whatever the listing gives.
    pub async fn list_points(&self) -> Result<Vec<(PointId, jiff::Timestamp)>> {
        let FoundPoints { points, strange } = self.find_points().await?;
        match strange.first() {
            Some(object) => Err(Error::damaged(ObjectKind::Point, object, "it has a strange name")),
            None => Ok(points),
        }
    }

    /// As [`Domain::list_points`], but what is not named as a point is told apart and keeps nothing back.
    ///
    /// # Errors
    /// Whatever the listing gives.
    pub async fn find_points(&self) -> Result<FoundPoints> {
        let prefix = self.core.layout.points();
        let mut found = FoundPoints::default();
        for object in self.core.store.list_all(&prefix).await? {
            match object.key.strip_prefix(&prefix).unwrap_or_default().parse() {
                Ok(id) => found.points.push((id, object.modified)),
                Err(_) => found.strange.push(object.key),
            }
        }
        Ok(found)
    }

    /// A published point.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none of that id, [`Error::Damaged`] where it is not what was published.
    pub async fn read_point(&self, id: &PointId) -> Result<PointRoot> {
        let object = self.core.layout.point(id);
        let body = self.core.store.get(ObjectKind::Point, &object).await?;
        let plain = open_object(&self.core.keys, SealedKind::Point, &object, &body, id.as_str())?;
        let root = PointRoot::parse(&object, &plain)?;
        if root.point == *id {
            Ok(root)
        } else {
            Err(Error::damaged(ObjectKind::Point, &object, format!("it describes point {}", root.point)))
        }
    }

    /// Publishes a point: checks that everything it names is stored, and everything that the point needs which it stands on,
    /// then creates its root. Only the coordinator may, once it has checked the session's epoch. Repeating it with the same
    /// root is harmless. Gives the root as it is published: with what a reader must know, whether or not the worker said so.
    ///
    /// Where a prune has come between the check and the creation, it is checked again, and taken back if something has gone:
    /// see `crate::prune` for why that is enough. The store must be one that may delete points.
    ///
    /// # Errors
    /// [`Error::NotReachable`] where something is missing, or not locked for as long as the point says,
    /// [`Error::NotLocked`] where it does not say in an immutable repository, [`Error::PointTaken`] where a point of that
    /// id is published with another content, [`Error::Unsupported`] where it needs a feature that this program does not have.
    pub async fn publish_point(&self, root: &PointRoot) -> Result<PointRoot> {
        let needs = Needs { version: root.version, required_features: root.required_features.clone() };
        needs.refuse_unknown(&self.core.layout.point(&root.point))?;
        if self.core.store.lock().is_some() && root.locked_until.is_none() {
            return Err(Error::NotLocked { point: root.point.clone() });
        }
        loop {
            let verified = match self.verify_with_foundation(root).await {
                // An earlier round or call may have created it.
                Err(error @ Error::NotReachable { .. }) => return Err(self.take_back(root, error).await),
                verified => verified?,
            };
            let published = self.create(&root.needing(&verified.features)).await?;
            if log::newest_number(&self.core.store, &self.core.layout).await? == verified.record {
                self.lock_published(&published).await?;
                return Ok(published);
            }
        }
    }

    /// Verifies the point, and the one that it stands on: that it is there, and locked for as long; its object is locked for as
    /// long by this.
    async fn verify_with_foundation(&self, root: &PointRoot) -> Result<Verified> {
        if let Some(foundation) = &root.stands_on {
            let there = self.read_point(foundation).await?;
            self.verify_twice(&PointRoot { locked_until: root.locked_until, ..there }).await?;
            if let Some(until) = root.locked_until {
                self.core.store.hold(ObjectKind::Point, &self.core.layout.point(foundation), until).await?;
            }
        }
        self.verify_twice(root).await
    }

    /// Locks the point itself, where the repository is immutable.
    async fn lock_published(&self, root: &PointRoot) -> Result<()> {
        let object = self.core.layout.point(&root.point);
        match root.locked_until {
            Some(until) => self.core.store.lock_until(ObjectKind::Point, &object, until).await,
            None => Ok(()),
        }
    }

    /// Creates the object, unless it is there. It is not locked yet: it may have to be taken back.
    async fn create(&self, root: &PointRoot) -> Result<PointRoot> {
        let object = self.core.layout.point(&root.point);
        let plain = serde_json::to_vec(root)
            .map_err(|error| Error::Invalid(format!("point {} has no description: {error}", root.point)))?;
        let sealer = self.core.keys.new_sealer(SealedKind::Point)?;
        let body = Bytes::from(seal_object(&sealer, &plain, root.point.as_str())?);
        if self.core.store.put_loose(&object, body.clone()).await? {
            return Ok(root.clone());
        }
        let there = self.read_point(&root.point).await?;
        if !there.is_like(root) {
            return Err(Error::PointTaken { point: root.point.clone() });
        }
        if there.names_features_of(root) {
            return Ok(there);
        }
        // What made it was of an earlier version, and died before it had published it.
        self.core.store.delete(&object).await?;
        self.core.store.put_loose(&object, body).await?;
        Ok(root.clone())
    }

    /// Verifies, and if something is missing once more with everything read anew: a prune may have replaced index objects
    /// while they were listed.
    async fn verify_twice(&self, root: &PointRoot) -> Result<Verified> {
        match self.verify(root).await {
            Err(Error::NotReachable { .. }) if self.core.index().await?.marks()?.number().is_some() => {
                self.core.forget_index().await;
                self.verify(root).await
            }
            verified => verified,
        }
    }

    /// Removes the point, if it is this one, and gives why, or what else went wrong. One that is locked was published for
    /// good before, and stays.
    async fn take_back(&self, root: &PointRoot, why: Error) -> Error {
        let removed = async {
            match self.read_point(&root.point).await {
                Ok(published) if published.is_like(root) => match self.remove(&root.point).await {
                    Ok(_) | Err(Error::Locked { .. }) => Ok(()),
                    Err(error) => Err(error),
                },
                Ok(_) => Ok(()),
                Err(error) if error.is_absent() => Ok(()),
                Err(error) => Err(error),
            }
        };
        removed.await.err().unwrap_or(why)
    }

    /// Removes a point that was created and never published, unless everything it names is there. Says whether it did. The
    /// store must be one that may delete points.
    ///
    /// # Errors
    /// Whatever reading the point or verifying it gives.
    pub async fn withdraw_point(&self, id: &PointId) -> Result<bool> {
        let root = match self.read_point(id).await {
            Err(Error::Missing { .. }) => return Ok(false),
            root => root?,
        };
        match self.verify_twice(&root).await {
            Err(Error::NotReachable { .. }) => self.remove(id).await,
            verified => verified.map(|_| false),
        }
    }

    /// Removes a point, and says whether there was one. What it alone needed is deleted by later prunes. The store must be
    /// one that may delete points.
    ///
    /// # Errors
    /// [`Error::StoodOn`] where another point stands on it, [`Error::Locked`] where the repository is immutable and the
    /// point's lock has not ended; what keeps another point from being read, which may stand on it; those of the store.
    pub async fn remove_point(&self, id: &PointId) -> Result<bool> {
        for (other, _) in self.find_points().await?.points.into_iter().filter(|(other, _)| other != id) {
            match self.read_point(&other).await {
                Err(error) if error.is_absent() => {}
                root => {
                    if root?.stands_on.as_ref() == Some(id) {
                        return Err(Error::StoodOn { point: id.clone(), by: other });
                    }
                }
            }
        }
        self.remove(id).await
    }

    /// Removes a point on which none stands.
    async fn remove(&self, id: &PointId) -> Result<bool> {
        let object = self.core.layout.point(id);
        let there = self.core.store.exists(&object).await?;
        if there {
            if let Some(until) = self.core.store.locked_until(ObjectKind::Point, &object).await? {
                return Err(still(ObjectKind::Point, &object, until));
            }
            self.core.store.delete(&object).await?;
        }
        // What was proven of it means nothing without it.
        self.delete_proofs(id).await?;
        Ok(there)
    }
}

#[derive(Deserialize)]
struct Needs {
    version: u32,
    #[serde(default)]
    required_features: Vec<String>,
}

impl Needs {
    /// Refuses what this program does not have, by name.
    fn refuse_unknown(mut self, object: &str) -> Result<()> {
        self.required_features.retain(|feature| !KNOWN_FEATURES.contains(&feature.as_str()));
        let needs = match self.version {
            VERSION if self.required_features.is_empty() => return Ok(()),
            VERSION => self.required_features.join(", "),
            version => format!("version {version} of restore points"),
        };
        Err(Error::Unsupported { kind: ObjectKind::Point, object: object.to_owned(), needs })
    }
}
