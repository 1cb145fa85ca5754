use proptest::prelude::*;

use super::*;

const DATABASE: DatabasePlace<'static> = DatabasePlace {
    id: "shop",
    region: "eu-central-1",
    vpc_id: Some("vpc-1"),
    availability_zone: Some("eu-central-1a"),
};

fn subnet(id: &str, vpc: &str, zone: &str, free: u32) -> SubnetPlace {
    SubnetPlace {
        id: id.to_owned(),
        vpc_id: vpc.to_owned(),
        availability_zone: format!("eu-central-1{zone}"),
        free_addresses: free,
    }
}

fn place(
    prepared: &[Prepared<'_>],
    database: &DatabasePlace<'_>,
    subnets: &[SubnetPlace],
) -> Result<Placement, Unplaced> {
    places(prepared, database, subnets).map(|places| places[0].clone())
}

#[test]
fn the_rule_prefers_the_zone_then_free_addresses_then_the_id() {
    let rows: &[(&[SubnetPlace], &str)] = &[
        (&[subnet("s1", "vpc-1", "b", 250), subnet("s2", "vpc-1", "a", 3)], "s2"),
        (&[subnet("s1", "vpc-1", "a", 3), subnet("s2", "vpc-1", "a", 9)], "s2"),
        (&[subnet("s2", "vpc-1", "a", 9), subnet("s1", "vpc-1", "a", 9)], "s1"),
        (&[subnet("s1", "vpc-1", "a", 0), subnet("s2", "vpc-1", "b", 1)], "s2"),
        (&[subnet("s1", "vpc-2", "a", 250), subnet("s2", "vpc-1", "c", 1)], "s2"),
    ];
    for (subnets, want) in rows {
        assert_eq!(place(&[], &DATABASE, subnets).unwrap().subnet_id, *want, "{subnets:?}");
    }
}

#[test]
fn without_a_network_the_reason_is_told() {
    let outside = DatabasePlace { vpc_id: None, ..DATABASE };
    for (database, subnets, code) in [
        (outside, vec![subnet("s1", "vpc-1", "a", 1)], "database-without-vpc"),
        (DATABASE, vec![], "worker-network-missing"),
        (DATABASE, vec![subnet("s1", "vpc-2", "a", 1)], "worker-network-missing"),
        (DATABASE, vec![subnet("s1", "vpc-1", "a", 0)], "worker-subnets-full"),
    ] {
        let failure = place(&[], &database, &subnets).unwrap_err().failure("shop");
        assert_eq!(failure.code, code);
        assert_eq!(failure.retryable, code == "worker-subnets-full");
        assert!(!failure.remedy.is_empty());
    }
}

fn prepared<'a>(zone: Option<&'a str>, subnet_id: Option<&'a str>) -> Prepared<'a> {
    Prepared { availability_zone: zone, subnet_id, permanent_pair: false }
}

#[test]
fn a_network_for_the_zone_wins_over_one_for_the_region_over_another_zone() {
    let zone = prepared(Some("eu-central-1a"), Some("zone"));
    let region = prepared(None, Some("region"));
    let (other, third) =
        (prepared(Some("eu-central-1c"), Some("other")), prepared(Some("eu-central-1d"), Some("third")));
    for (networks, want) in [
        (vec![region, other, zone], Some("zone")),
        (vec![other, region], Some("region")),
        (vec![third, other], Some("other")),
        (vec![], None),
    ] {
        let found = prepared_for(&networks, DATABASE.availability_zone).and_then(|index| networks[index].subnet_id);
        assert_eq!(found, want, "{networks:?}");
    }
}

#[test]
fn a_prepared_subnet_must_exist_lie_in_the_vpc_and_have_room() {
    let networks = [prepared(None, Some("mine"))];
    assert_eq!(subnets_in_question(&networks, &["s1".to_owned()]), ["mine"]);
    for (subnets, code) in [
        (vec![], "worker-subnet-unknown"),
        (vec![subnet("mine", "vpc-2", "a", 5)], "worker-subnet-in-other-vpc"),
        (vec![subnet("mine", "vpc-1", "a", 0)], "worker-subnets-full"),
    ] {
        assert_eq!(place(&networks, &DATABASE, &subnets).unwrap_err().failure("shop").code, code);
    }
    let placement = place(&networks, &DATABASE, &[subnet("mine", "vpc-1", "c", 5)]).unwrap();
    assert_eq!((placement.subnet_id.as_str(), placement.availability_zone.as_str()), ("mine", "eu-central-1c"));
    assert_eq!(placement.prepared, Some(0));
}

#[test]
fn a_permanent_pair_may_lie_in_another_vpc() {
    let networks = [Prepared { permanent_pair: true, ..prepared(None, Some("mine")) }];
    assert_eq!(place(&networks, &DATABASE, &[subnet("mine", "vpc-2", "a", 5)]).unwrap().vpc_id, "vpc-2");
}

#[test]
fn a_network_without_a_subnet_leaves_it_to_the_rule_and_keeps_its_groups() {
    let networks = [prepared(None, None)];
    assert_eq!(subnets_in_question(&networks, &["s1".to_owned()]), ["s1"]);
    let placement = place(&networks, &DATABASE, &[subnet("s1", "vpc-1", "a", 5)]).unwrap();
    assert_eq!((placement.subnet_id.as_str(), placement.prepared), ("s1", Some(0)));
}

#[test]
fn further_places_lie_in_the_vpc_of_the_first_and_need_the_same_groups() {
    let ids = |networks: &[Prepared<'_>], subnets: &[SubnetPlace]| -> Vec<String> {
        places(networks, &DATABASE, subnets).unwrap().into_iter().map(|place| place.subnet_id).collect()
    };
    let all = [
        subnet("s1", "vpc-1", "a", 3),
        subnet("s2", "vpc-1", "b", 9),
        subnet("s3", "vpc-1", "b", 0),
        subnet("s4", "vpc-2", "a", 9),
        subnet("s5", "vpc-1", "c", 20),
    ];
    assert_eq!(
        ids(&[], &all),
        ["s1", "s5", "s2"],
        "by rule: the zone, then free addresses, never a full or foreign one"
    );
    let (near, far) = (prepared(Some("eu-central-1a"), Some("s1")), prepared(Some("eu-central-1b"), Some("s2")));
    assert_eq!(ids(&[far, near], &all), ["s1", "s2"], "prepared networks, and no others");
    let open = prepared(None, None);
    assert_eq!(ids(&[open, far], &all), ["s1", "s5", "s2"], "a subnet once, whoever names it");
    let pair = Prepared { permanent_pair: true, ..far };
    assert_eq!(ids(&[near, pair], &all), ["s1"], "a permanent pair needs no groups of ours");
    let foreign = Prepared { permanent_pair: true, ..prepared(Some("eu-central-1b"), Some("s4")) };
    assert_eq!(ids(&[Prepared { permanent_pair: true, ..near }, foreign], &all), ["s1"], "another VPC");
}

#[test]
fn a_full_subnet_is_made_up_for_and_a_faulty_configuration_is_told() {
    let (near, far) = (prepared(Some("eu-central-1a"), Some("mine")), prepared(None, Some("s2")));
    let second = subnet("s2", "vpc-1", "b", 9);
    let full = [subnet("mine", "vpc-1", "a", 0), second.clone()];
    assert_eq!(place(&[near, far], &DATABASE, &full).unwrap().subnet_id, "s2");
    let unknown = place(&[near, far], &DATABASE, std::slice::from_ref(&second)).unwrap_err();
    assert_eq!(unknown.failure("shop").code, "worker-subnet-unknown");
    let other_is_faulty = [subnet("mine", "vpc-1", "a", 5)];
    assert_eq!(places(&[near, far], &DATABASE, &other_is_faulty).unwrap().len(), 1);
}

#[test]
fn every_subnet_that_may_be_chosen_is_asked_for() {
    let group = ["s1".to_owned(), "s2".to_owned()];
    assert_eq!(subnets_in_question(&[], &group), ["s1", "s2"]);
    let named = prepared(None, Some("s2"));
    assert_eq!(subnets_in_question(&[named], &group), ["s2"]);
    assert_eq!(subnets_in_question(&[named, prepared(Some("eu-central-1a"), None)], &group), ["s2", "s1"]);
}

proptest! {
    #[test]
    fn the_order_of_the_subnets_decides_nothing(
        facts in prop::collection::btree_map("s[0-9]", ("[12]", "[abc]", 0_u32..4), 0..8),
        turn in 0_usize..8,
    ) {
        let subnets: Vec<SubnetPlace> =
            facts.iter().map(|(id, (vpc, zone, free))| subnet(id, &format!("vpc-{vpc}"), zone, *free)).collect();
        let mut turned = subnets.clone();
        turned.rotate_left(if subnets.is_empty() { 0 } else { turn % subnets.len() });
        let first = place(&[], &DATABASE, &subnets);
        match (&first, place(&[], &DATABASE, &turned)) {
            (Ok(first), Ok(second)) => prop_assert_eq!(first, &second),
            (Err(_), Err(_)) => {}
            (first, second) => prop_assert!(false, "{:?} {:?}", first, second),
        }
        if let Ok(chosen) = first {
            let best = subnets.iter().filter(|s| s.vpc_id == "vpc-1" && s.free_addresses > 0);
            let in_zone = best.clone().any(|s| s.availability_zone == "eu-central-1a");
            prop_assert_eq!(chosen.availability_zone == "eu-central-1a", in_zone);
            prop_assert!(best.into_iter().any(|s| s.id == chosen.subnet_id));
        }
    }
}
