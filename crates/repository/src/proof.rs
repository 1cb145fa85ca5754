//! Proofs of restore tests: a small sealed object each, beside its point and never part of it. A point is the same with
//! proofs and without.

use bytes::Bytes;
use haulier_domain::id::{PointId, SessionId};
use haulier_domain::proof::{Proof, VERSION};
use serde::Deserialize;

use crate::crypto::seal::{SealedKind, open_object, seal_object};
use crate::domain::Domain;
use crate::error::{Error, ObjectKind, Result};
use crate::json;

#[derive(Deserialize)]
struct Needs {
    version: u32,
}

/// What the seal binds the object to.
fn name(point: &PointId, session: &SessionId) -> String {
    format!("{point}/{session}")
}

impl Domain {
    /// Stores a proof beside its point. Only the coordinator may. Repeating it with the same proof is harmless.
    ///
    /// # Errors
    /// [`Error::Missing`] where the point is not published, [`Error::Invalid`] where its session has stored another proof.
    pub async fn store_proof(&self, proof: &Proof) -> Result<()> {
        let Proof { point, session, .. } = proof;
        let of_point = self.core.layout.point(point);
        if !self.core.store.exists(&of_point).await? {
            return Err(Error::Missing { kind: ObjectKind::Point, object: of_point });
        }
        let plain = serde_json::to_vec(proof)
            .map_err(|error| Error::Invalid(format!("the proof of {point} has no description: {error}")))?;
        let sealer = self.core.keys.new_sealer(SealedKind::Proof)?;
        let body = seal_object(&sealer, &plain, &name(point, session))?;
        let object = self.core.layout.proof(point, session);
        if self.core.store.put_loose(&object, Bytes::from(body)).await?
            || self.read_proof(point, session).await? == *proof
        {
            Ok(())
        } else {
            Err(Error::Invalid(format!("session {session} has stored another proof of {point}")))
        }
    }

    /// The sessions that have stored a proof of this point, oldest first.
    ///
    /// # Errors
    /// [`Error::Damaged`] for an object that is not named after a session; whatever the listing gives.
    pub async fn list_proofs(&self, point: &PointId) -> Result<Vec<SessionId>> {
        let prefix = self.core.layout.proofs(point);
        let mut objects = self.core.store.list_all(&prefix).await?;
        objects.sort_by(|a, b| a.modified.cmp(&b.modified).then_with(|| a.key.cmp(&b.key)));
        objects
            .into_iter()
            .map(|object| {
                let name = object.key.strip_prefix(&prefix).unwrap_or_default();
                name.parse().map_err(|_| Error::damaged(ObjectKind::Proof, &object.key, "it has a strange name"))
            })
            .collect()
    }

    /// A stored proof.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none, [`Error::Damaged`] where it is not what was stored,
    /// [`Error::Unsupported`] where a later version has written it.
    pub async fn read_proof(&self, point: &PointId, session: &SessionId) -> Result<Proof> {
        let object = self.core.layout.proof(point, session);
        let body = self.core.store.get(ObjectKind::Proof, &object).await?;
        let plain = open_object(&self.core.keys, SealedKind::Proof, &object, &body, &name(point, session))?;
        let needs: Needs = json::parse(ObjectKind::Proof, &object, &plain)?;
        if needs.version != VERSION {
            let needs = format!("version {} of proofs", needs.version);
            return Err(Error::Unsupported { kind: ObjectKind::Proof, object, needs });
        }
        let proof: Proof = json::parse(ObjectKind::Proof, &object, &plain)?;
        if (&proof.point, &proof.session) == (point, session) {
            Ok(proof)
        } else {
            Err(Error::damaged(ObjectKind::Proof, &object, format!("it is that of {}", proof.point)))
        }
    }

    /// Removes the proofs of a point that is there no more. Answers how many there were.
    ///
    /// # Errors
    /// Those of listing and deleting.
    pub async fn delete_proofs(&self, point: &PointId) -> Result<u64> {
        let objects = self.core.store.list_all(&self.core.layout.proofs(point)).await?;
        for object in &objects {
            self.core.store.remove(&object.key).await?;
        }
        Ok(objects.len() as u64)
    }
}
