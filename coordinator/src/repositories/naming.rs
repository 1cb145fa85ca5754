//! Which domain a DB instance's data lies in, and what a copy of a point is called. Pure.

use aws_lc_rs::digest;
use haulier_domain::id::{DomainId, PointId, RepositoryId};
use uuid::Builder;

/// The domain of a DB instance: one each, named after its `DbiResourceId`, which stays when the instance is renamed. What
/// an id may not hold becomes `-`.
pub fn domain_of(resource_id: &str) -> Option<DomainId> {
    let word: String = resource_id
        .chars()
        .map(|character| character.to_ascii_lowercase())
        .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
        .take(60)
        .collect();
    format!("{}{word}", DomainId::PREFIX).parse().ok()
}

/// The id of a point's copy in another repository: always the same, so that a copy that is there is found, whoever made it.
pub fn copy_id(point: &PointId, from: &RepositoryId, to: &RepositoryId) -> PointId {
    let text = format!("copy of {point} in {from} to {to}");
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    PointId::from_uuid(Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_named_after_what_it_copies_and_where_to() {
        let (point, other): (PointId, PointId) = ("pnt-1".parse().unwrap(), "pnt-2".parse().unwrap());
        let [main, vault]: [RepositoryId; 2] = ["rep-1", "rep-2"].map(|id| id.parse().unwrap());
        let copy = copy_id(&point, &main, &vault);
        assert_eq!(copy, copy_id(&point, &main, &vault));
        assert_eq!(copy.as_str(), "pnt-6a147c373bb783bab91bc5913737aec0");
        for differs in [copy_id(&other, &main, &vault), copy_id(&point, &vault, &main), point] {
            assert_ne!(copy, differs);
        }
    }

    #[test]
    fn a_resource_id_names_its_domain() {
        assert_eq!(domain_of("db-ABCDEFGH234").unwrap().as_str(), "dom-db-abcdefgh234");
        assert!(domain_of("").is_none());
    }
}
