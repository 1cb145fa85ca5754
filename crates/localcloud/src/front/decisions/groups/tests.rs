//! Tables after the EC2 API reference, "Error codes" and the operations' pages.

use super::*;

fn ingress(peer: RulePeer, port: i32) -> NewRule {
    let permission = Permission { egress: false, protocol: "tcp".into(), ports: Some((port, port)), peer };
    NewRule { permission, description: None, tags: Tags::new() }
}

fn from_group(id: &str, port: i32) -> NewRule {
    ingress(RulePeer::Group(id.into()), port)
}

fn two() -> (Groups, String, String) {
    let mut groups = Groups::default();
    let database = groups.create("vpc-1", "database", "d", Tags::new()).unwrap().id;
    let worker = groups.create("vpc-1", "worker", "w", Tags::new()).unwrap().id;
    (groups, database, worker)
}

#[test]
fn names_are_unique_within_a_vpc() {
    let (mut groups, ..) = two();
    for (vpc, name, expected) in [
        ("vpc-1", "worker", Err("InvalidGroup.Duplicate")),
        ("vpc-2", "worker", Ok(())),
        ("vpc-1", "Worker", Ok(())),
        ("vpc-1", "default", Err("InvalidParameterValue")),
        ("vpc-1", "sg-1", Err("InvalidParameterValue")),
    ] {
        let answer = groups.create(vpc, name, "", Tags::new()).map(drop).map_err(|error| error.code);
        assert_eq!(answer, expected.map_err(str::to_owned), "{vpc} {name}");
    }
}

#[test]
fn a_new_group_sends_anywhere_and_receives_nothing() {
    let (groups, database, _) = two();
    let rules = &groups.get(&database).unwrap().rules;
    assert_eq!(rules.len(), 1);
    assert!(rules[0].permission.egress);
    assert_eq!(rules[0].permission.peer, RulePeer::Cidr("0.0.0.0/0".into()));
}

#[test]
fn the_default_group_is_made_once_and_stays() {
    let mut groups = Groups::default();
    let group = groups.ensure_default("vpc-1");
    assert_eq!(groups.ensure_default("vpc-1"), group);
    assert_eq!(group.rules.len(), 2);
    assert_eq!(groups.delete(&group.id, false).unwrap_err().code, "CannotDelete");
}

#[test]
fn rules_are_unique_and_added_all_or_none() {
    let (mut groups, database, worker) = two();
    groups.authorize(&database, vec![from_group(&worker, 5432)]).unwrap();
    let mut described = from_group(&worker, 5432);
    described.description = Some("another text is the same rule".into());
    for (rules, code) in [
        (vec![from_group(&worker, 5432)], "InvalidPermission.Duplicate"),
        (vec![described], "InvalidPermission.Duplicate"),
        (vec![from_group(&worker, 1), from_group(&worker, 5432)], "InvalidPermission.Duplicate"),
        (vec![from_group(&worker, 1), from_group(&worker, 1)], "InvalidPermission.Duplicate"),
        (vec![from_group("sg-none", 1)], "InvalidGroup.NotFound"),
    ] {
        assert_eq!(groups.authorize(&database, rules.clone()).unwrap_err().code, code, "{rules:?}");
        assert_eq!(groups.get(&database).unwrap().rules.len(), 2, "{rules:?} left something behind");
    }
    assert_eq!(groups.authorize("sg-none", Vec::new()).unwrap_err().code, "InvalidGroup.NotFound");
    groups
        .authorize(&database, vec![from_group(&worker, 5433), ingress(RulePeer::Cidr("10.0.0.0/8".into()), 5432)])
        .unwrap();
}

#[test]
fn only_what_is_there_can_be_revoked() {
    let (mut groups, database, worker) = two();
    let added = groups.authorize(&database, vec![from_group(&worker, 1), from_group(&worker, 2)]).unwrap();
    let wanted = |port| from_group(&worker, port).permission;
    assert_eq!(groups.revoke(&database, &[wanted(1), wanted(3)]).unwrap_err().code, "InvalidPermission.NotFound");
    assert_eq!(groups.get(&database).unwrap().rules.len(), 3);
    assert_eq!(groups.revoke(&database, &[wanted(1)]).unwrap(), added[..1]);
    assert_eq!(groups.revoke(&database, &[wanted(1)]).unwrap_err().code, "InvalidPermission.NotFound");
    let id = [added[1].id.clone()];
    assert_eq!(groups.revoke_ids(&database, true, &id).unwrap_err().code, "InvalidSecurityGroupRuleId.NotFound");
    assert_eq!(groups.revoke_ids(&database, false, &id).unwrap().len(), 1);
}

#[test]
fn what_is_used_cannot_be_deleted() {
    let (mut groups, database, worker) = two();
    groups.authorize(&database, vec![from_group(&worker, 5432), from_group(&database, 5432)]).unwrap();
    assert_eq!(groups.delete(&worker, false).unwrap_err().code, "DependencyViolation");
    assert_eq!(groups.delete(&database, true).unwrap_err().code, "DependencyViolation");
    groups.delete(&database, false).unwrap();
    groups.delete(&worker, false).unwrap();
    assert_eq!(groups.delete(&worker, false).unwrap_err().code, "InvalidGroup.NotFound");
}
