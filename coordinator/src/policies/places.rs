//! The accounts and Regions of policies, and the DB instances in them.

use std::fmt;

use futures::stream::{self, StreamExt};
use haulier_cloud::databases::DbInstance;
use haulier_domain::failure::Failure;
use haulier_domain::policy::{Policy, Resource};

use crate::sessions::{Account, Place, Sessions};

/// Accounts and Regions that are looked into at once.
const AT_ONCE: usize = 8;

/// A DB instance and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub place: Place,
    /// As described.
    pub instance: DbInstance,
}

impl Found {
    /// As far as selecting needs to know it.
    pub fn resource(&self) -> Resource {
        Resource {
            account: self.place.account.id.clone(),
            region: self.place.region.clone(),
            id: self.instance.id.clone(),
            tags: self.instance.tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

/// An account and Region that could not be looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// Which.
    pub place: Place,
    /// Why.
    pub failure: Failure,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, failure } = self;
        write!(f, "account {} in {}: {} (remedy: {})", place.account.id, place.region, failure.cause, failure.remedy)
    }
}

/// The coordinator's own account in a Region.
pub(super) fn own(own_account: &str, region: &str) -> Place {
    let account = Account { id: own_account.to_owned(), role_arn: None, external_id: None };
    Place { account, region: region.to_owned() }
}

/// The accounts and Regions of a policy.
pub(super) fn of(policy: &Policy, own_account: &str) -> Vec<Place> {
    let accounts: Vec<Account> = if policy.accounts.is_empty() {
        vec![own(own_account, "").account]
    } else {
        let account = |written: &haulier_domain::policy::Account| Account {
            id: written.number().unwrap_or_else(|| own_account.to_owned()),
            role_arn: written.role_arn.clone(),
            external_id: written.external_id.clone(),
        };
        policy.accounts.iter().map(account).collect()
    };
    let in_regions = |account: Account| {
        policy.regions.iter().map(move |region| Place { account: account.clone(), region: region.clone() })
    };
    accounts.into_iter().flat_map(in_regions).collect()
}

/// The instances of these accounts and Regions, and where looking failed.
pub(super) async fn look(sessions: &Sessions, places: &[Place]) -> (Vec<Found>, Vec<Missed>) {
    let look = |place: Place| async move {
        match sessions.instances(&place).await {
            Ok(instances) => {
                Ok(instances.into_iter().map(|instance| Found { place: place.clone(), instance }).collect::<Vec<_>>())
            }
            Err(failure) => Err(Missed { place, failure }),
        }
    };
    let looked: Vec<_> = stream::iter(places.iter().cloned()).map(look).buffered(AT_ONCE).collect().await;
    let (mut found, mut missed) = (Vec::new(), Vec::new());
    for looked in looked {
        match looked {
            Ok(instances) => found.extend(instances),
            Err(place) => missed.push(place),
        }
    }
    (found, missed)
}
