//! The two security groups of a session, and the list of groups on a production instance.
//!
//! Nothing here knows EC2: a plan says which group lets what through to whom, and the driver performs it. The list on a
//! DB instance is replaced as a whole by AWS, so it is computed here from what is there *now*, and only ever by adding or
//! removing the one group that is ours.

use std::collections::BTreeSet;

/// The two ends of a session's path to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Joined to the DB instance.
    Database,
    /// Joined to the worker.
    Worker,
}

/// What one of the two groups lets through: TCP on one port, to or from members of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The group that carries the rule.
    pub on: Role,
    /// Into the group's members, or out of them.
    pub inbound: bool,
    /// TCP port.
    pub port: u16,
    /// The group on the other side.
    pub peer: Role,
}

/// The rules of a session's pair: in to the database from the worker's group only, out of the worker to the database's
/// group only. A new group's "all out" rule is revoked on both besides.
pub fn pair_rules(port: u16) -> [Rule; 2] {
    [
        Rule { on: Role::Database, inbound: true, port, peer: Role::Worker },
        Rule { on: Role::Worker, inbound: false, port, peer: Role::Database },
    ]
}

/// The list with our group joined; `None` where it is joined already.
pub fn joined(current: &BTreeSet<String>, ours: &str) -> Option<BTreeSet<String>> {
    let mut wanted = current.clone();
    wanted.insert(ours.to_owned()).then_some(wanted)
}

/// The list without our group; `None` where it is not in it. Other groups stay, whoever put them there and whenever.
pub fn parted(current: &BTreeSet<String>, ours: &str) -> Option<BTreeSet<String>> {
    let mut wanted = current.clone();
    wanted.remove(ours).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_pair_speaks_of_one_port_and_of_each_other_only() {
        for rule in pair_rules(5432) {
            assert_eq!(rule.port, 5432);
            assert_ne!(rule.on, rule.peer);
            assert_eq!(rule.inbound, rule.on == Role::Database);
        }
    }

    proptest! {
        #[test]
        fn joining_and_parting_touch_our_group_alone(others in prop::collection::btree_set("sg-[0-9]{1,3}", 0..6)) {
            let ours = "sg-ours";
            let with = joined(&others, ours).expect("was not in it");
            prop_assert_eq!(joined(&with, ours), None);
            prop_assert_eq!(parted(&with, ours), Some(others.clone()));
            prop_assert_eq!(parted(&others, ours), None);
        }

        #[test]
        fn groups_that_come_and_go_meanwhile_are_kept_as_they_are(
            before in prop::collection::btree_set("sg-[0-9]{1,3}", 0..6),
            meanwhile in prop::collection::btree_set("sg-[0-9]{1,3}", 0..6),
        ) {
            let mut now = meanwhile.clone();
            now.insert("sg-ours".to_owned());
            prop_assert_eq!(parted(&now, "sg-ours"), Some(meanwhile));
            let _ = before;
        }
    }
}
