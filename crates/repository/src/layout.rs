//! Where objects lie. This is the one place that spells keys.

use haulier_domain::id::{DomainId, PointId, SessionId};

use crate::ids::{IndexId, ListId, PackId};

/// The keys of one repository: everything lies under its prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: String,
}

impl Layout {
    /// The layout under `prefix`; slashes at either end do not matter, an empty prefix is the whole bucket.
    pub fn new(prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        Self { root: if prefix.is_empty() { String::new() } else { format!("{prefix}/") } }
    }

    /// The prefix without a slash at its end.
    pub fn prefix(&self) -> &str {
        self.root.trim_end_matches('/')
    }

    /// What everything of the repository starts with, slash included; empty where it has the whole bucket.
    pub(crate) fn root(&self) -> String {
        self.root.clone()
    }

    /// The key of the `format` object.
    pub fn format(&self) -> String {
        format!("{}format", self.root)
    }

    /// What the keys of all key objects start with.
    pub fn keys(&self) -> String {
        format!("{}keys/", self.root)
    }

    /// What everything of all domains starts with.
    pub fn domains(&self) -> String {
        format!("{}domains/", self.root)
    }

    /// The layout of one domain.
    pub fn domain(&self, domain: &DomainId) -> DomainLayout {
        DomainLayout { root: format!("{}{domain}/", self.domains()) }
    }
}

/// The keys of one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainLayout {
    root: String,
}

impl DomainLayout {
    /// What everything of the domain starts with, slash included: the cut that session policies make.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The key of the wrapped domain key.
    pub fn key(&self) -> String {
        format!("{}key", self.root)
    }

    /// What the keys of all packs start with.
    pub fn packs(&self) -> String {
        format!("{}packs/", self.root)
    }

    /// The key of a pack.
    pub fn pack(&self, id: &PackId) -> String {
        let hex = id.to_string();
        format!("{}{}/{hex}", self.packs(), &hex[..2])
    }

    /// What the keys of all index objects start with.
    pub fn indexes(&self) -> String {
        format!("{}index/", self.root)
    }

    /// The key of an index object.
    pub fn index(&self, id: &IndexId) -> String {
        format!("{}{id}", self.indexes())
    }

    /// What the keys of all list pages start with.
    pub fn lists(&self) -> String {
        format!("{}lists/", self.root)
    }

    /// The key of a list page.
    pub fn list(&self, id: &ListId) -> String {
        format!("{}{id}", self.lists())
    }

    /// What the keys of all restore points start with. No worker may write here.
    pub fn points(&self) -> String {
        format!("{}points/", self.root)
    }

    /// The key of a restore point's root.
    pub fn point(&self, id: &PointId) -> String {
        format!("{}{id}", self.points())
    }

    /// What the keys of all proofs of a point start with. No worker may write here.
    pub fn proofs(&self, point: &PointId) -> String {
        format!("{}proofs/{point}/", self.root)
    }

    /// The key of the proof that a session has made of a point.
    pub fn proof(&self, point: &PointId, session: &SessionId) -> String {
        format!("{}{session}", self.proofs(point))
    }

    /// What the keys of all prune records start with.
    pub fn prunes(&self) -> String {
        format!("{}prune/", self.root)
    }

    /// The key of the prune record of that number.
    pub fn prune(&self, number: u64) -> String {
        format!("{}{number:016}", self.prunes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_under_the_prefix_whatever_its_slashes() {
        let domain: DomainId = "dom-a".parse().unwrap();
        for prefix in ["backup/eu", "/backup/eu/", "backup/eu/"] {
            let layout = Layout::new(prefix);
            assert_eq!(layout.format(), "backup/eu/format");
            assert_eq!(layout.domain(&domain).key(), "backup/eu/domains/dom-a/key");
        }
        assert_eq!(Layout::new("").format(), "format");
        let pack = Layout::new("").domain(&domain).pack(&PackId([0xAB; 32]));
        assert_eq!(pack, format!("domains/dom-a/packs/ab/{}", "ab".repeat(32)));
    }
}
