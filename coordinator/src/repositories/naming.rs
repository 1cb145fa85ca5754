//! Which domain a DB instance's data lies in.

use haulier_domain::id::DomainId;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_id_names_its_domain() {
        assert_eq!(domain_of("db-ABCDEFGH234").unwrap().as_str(), "dom-db-abcdefgh234");
        assert!(domain_of("").is_none());
    }
}
