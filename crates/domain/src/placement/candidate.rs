//! Which launch is tried next, where EC2 refuses one for want of room.
//!
//! A candidate is an instance type in a subnet. They are tried in rounds: within the best subnet all types in the
//! operator's order, then the next subnet. A refusal rules out, for its round, whatever it would strike again: a type
//! without capacity is passed over in the whole Availability Zone, a full subnet for every type. A type that a zone does
//! not offer at all is passed over for good. Whoever launches pauses between the rounds and bounds their number.

use serde::{Deserialize, Serialize};

use super::Placement;
use crate::failure::Failure;

/// A launch that can be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// EC2 instance type.
    pub instance_type: String,
    /// Subnet.
    pub subnet_id: String,
    /// Zone of the subnet.
    pub availability_zone: String,
    /// Which of the prepared networks it is; `None` where the rule alone decided.
    pub prepared: Option<usize>,
}

/// Why EC2 refused a launch, where another type, place or time may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obstacle {
    /// `InsufficientInstanceCapacity`: the zone has no room for the type, for now.
    NoCapacity,
    /// `Unsupported`: the zone does not offer the type.
    Unsupported,
    /// `InsufficientFreeAddressesInSubnet`: the subnet has no free address, for now.
    SubnetFull,
}

impl Obstacle {
    /// The obstacle that an error code of EC2 stands for.
    pub fn of_code(code: &str) -> Option<Self> {
        match code {
            "InsufficientInstanceCapacity" | "InsufficientHostCapacity" | "InsufficientCapacity" => {
                Some(Self::NoCapacity)
            }
            "Unsupported" => Some(Self::Unsupported),
            "InsufficientFreeAddressesInSubnet" => Some(Self::SubnetFull),
            _ => None,
        }
    }

    /// In words, after the name of a candidate.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoCapacity => "no capacity",
            Self::Unsupported => "not offered there",
            Self::SubnetFull => "no free address in the subnet",
        }
    }
}

/// A launch that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which candidate.
    pub candidate: usize,
    /// In which round, from 1.
    pub round: u64,
    /// Why.
    pub obstacle: Obstacle,
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {} ({})", self.instance_type, self.subnet_id, self.availability_zone)
    }
}

/// Every launch that can be tried, in order: the types in the operator's order in the best place, then in the next.
pub fn candidates(instance_types: &[String], places: &[Placement]) -> Vec<Candidate> {
    let in_place = |place: &Placement| {
        let place = place.clone();
        instance_types.iter().map(move |instance_type| Candidate {
            instance_type: instance_type.clone(),
            subnet_id: place.subnet_id.clone(),
            availability_zone: place.availability_zone.clone(),
            prepared: place.prepared,
        })
    };
    places.iter().flat_map(in_place).collect()
}

/// The candidate to try next in this round; `None` once the round has come to its end.
pub fn next_candidate(candidates: &[Candidate], refused: &[Refused], round: u64) -> Option<usize> {
    let strikes = |refusal: &Refused, index: usize, candidate: &Candidate| {
        let Some(struck) = candidates.get(refusal.candidate) else { return false };
        let same_offer =
            struck.instance_type == candidate.instance_type && struck.availability_zone == candidate.availability_zone;
        match refusal.obstacle {
            Obstacle::Unsupported => same_offer,
            _ if refusal.round != round => false,
            Obstacle::NoCapacity => same_offer,
            Obstacle::SubnetFull => refusal.candidate == index || struck.subnet_id == candidate.subnet_id,
        }
    };
    candidates
        .iter()
        .enumerate()
        .find(|(index, candidate)| !refused.iter().any(|refusal| strikes(refusal, *index, candidate)))
        .map(|(index, _)| index)
}

/// Whether another round may end otherwise: not where no zone offers any of the types.
pub fn worth_waiting(candidates: &[Candidate], refused: &[Refused]) -> bool {
    next_candidate(candidates, refused, u64::MAX).is_some()
}

/// As an operator reads it: everything that was tried, each once, with why it was refused last.
pub fn no_capacity(database: &str, candidates: &[Candidate], refused: &[Refused]) -> Failure {
    let mut tried: Vec<String> = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let last = refused.iter().rev().find(|refusal| refusal.candidate == index);
        tried.extend(last.map(|refusal| format!("{candidate}: {}", refusal.obstacle.words())));
    }
    let rounds = refused.iter().map(|refusal| refusal.round).max().unwrap_or_default();
    let failure = Failure::new(
        "worker-no-capacity",
        format!("launching a worker for {database}"),
        format!("EC2 refused every launch in {rounds} rounds: {}", tried.join("; ")),
        "list further types in instance_type of the policy's worker, or prepare subnets in other Availability Zones; \
         capacity may also come back by itself",
    );
    if worth_waiting(candidates, refused) { failure.retryable() } else { failure }
}

#[cfg(test)]
mod tests {
    use Obstacle::{NoCapacity, SubnetFull, Unsupported};

    use super::*;

    /// Two types, by three places: two subnets in zone a and one in zone b.
    fn all() -> Vec<Candidate> {
        let place = |subnet: &str, zone: &str| Placement {
            vpc_id: "vpc-1".into(),
            subnet_id: subnet.into(),
            availability_zone: zone.into(),
            prepared: None,
        };
        candidates(&["large".into(), "small".into()], &[place("s1", "a"), place("s2", "a"), place("s3", "b")])
    }

    /// The order in which they are tried when each is refused like this, in one round.
    fn tried(obstacle: impl Fn(&Candidate) -> Obstacle, round: u64, mut refused: Vec<Refused>) -> Vec<String> {
        let candidates = all();
        let mut order = Vec::new();
        while let Some(candidate) = next_candidate(&candidates, &refused, round) {
            let it = &candidates[candidate];
            order.push(format!("{}@{}", it.instance_type, it.subnet_id));
            refused.push(Refused { candidate, round, obstacle: obstacle(it) });
        }
        order
    }

    #[test]
    fn the_types_are_tried_in_the_best_place_before_the_next() {
        let names: Vec<String> = all().iter().map(ToString::to_string).collect();
        assert_eq!(names[0], "large in s1 (a)");
        assert_eq!(
            names,
            [
                "large in s1 (a)",
                "small in s1 (a)",
                "large in s2 (a)",
                "small in s2 (a)",
                "large in s3 (b)",
                "small in s3 (b)"
            ]
        );
    }

    #[test]
    fn a_refusal_rules_out_what_it_would_strike_again() {
        let rows: [(Obstacle, &[&str]); 3] = [
            (NoCapacity, &["large@s1", "small@s1", "large@s3", "small@s3"]),
            (Unsupported, &["large@s1", "small@s1", "large@s3", "small@s3"]),
            (SubnetFull, &["large@s1", "large@s2", "large@s3"]),
        ];
        for (obstacle, want) in rows {
            assert_eq!(tried(|_| obstacle, 1, Vec::new()), want, "{obstacle:?}");
        }
        let mixed = |it: &Candidate| if it.subnet_id == "s1" { SubnetFull } else { NoCapacity };
        assert_eq!(tried(mixed, 1, Vec::new()), ["large@s1", "large@s2", "small@s2", "large@s3", "small@s3"]);
    }

    #[test]
    fn a_new_round_tries_again_what_may_have_passed_and_nothing_else() {
        let first = |obstacle| vec![Refused { candidate: 0, round: 1, obstacle }];
        assert_eq!(tried(|_| NoCapacity, 2, first(NoCapacity))[0], "large@s1");
        assert_eq!(tried(|_| NoCapacity, 2, first(SubnetFull))[0], "large@s1");
        assert_eq!(tried(|_| NoCapacity, 2, first(Unsupported)), ["small@s1", "large@s3", "small@s3"]);
    }

    #[test]
    fn waiting_is_worth_it_unless_nothing_is_offered_anywhere() {
        let refuse = |obstacle| (0..6).map(|candidate| Refused { candidate, round: 1, obstacle }).collect::<Vec<_>>();
        for (obstacle, want) in [(NoCapacity, true), (SubnetFull, true), (Unsupported, false)] {
            assert_eq!(worth_waiting(&all(), &refuse(obstacle)), want, "{obstacle:?}");
            let failure = no_capacity("shop", &all(), &refuse(obstacle));
            assert_eq!((failure.code.as_str(), failure.retryable), ("worker-no-capacity", want));
            assert!(failure.cause.contains(&format!("large in s1 (a): {}", obstacle.words())), "{failure}");
        }
        assert!(worth_waiting(&all(), &[]));
    }

    #[test]
    fn only_what_a_launch_elsewhere_may_cure_is_an_obstacle() {
        for (code, want) in [
            ("InsufficientInstanceCapacity", Some(NoCapacity)),
            ("Unsupported", Some(Unsupported)),
            ("InsufficientFreeAddressesInSubnet", Some(SubnetFull)),
            ("VcpuLimitExceeded", None),
            ("UnauthorizedOperation", None),
            ("IdempotentParameterMismatch", None),
        ] {
            assert_eq!(Obstacle::of_code(code), want, "{code}");
        }
    }
}
