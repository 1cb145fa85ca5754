//! Which resources a policy names, and to which policy a resource belongs.

use super::model::{Policy, Resource, Selection, Selector};

/// To which policy a resource belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership<'a> {
    /// The policy of highest priority among those that name it.
    pub policy: &'a Policy,
    /// The others that name it, in order of priority.
    pub others: Vec<&'a Policy>,
}

impl Selection {
    /// Whether the selection names the resource. Exclusions win.
    pub fn names(&self, resource: &Resource) -> bool {
        let any = |selectors: &[Selector]| selectors.iter().any(|selector| selector.matches(resource));
        any(&self.include) && !any(&self.exclude)
    }

    /// The identifiers that are included by name.
    pub fn named_ids(&self) -> impl Iterator<Item = &str> {
        self.include
            .iter()
            .flat_map(|selector| match selector {
                Selector::Ids(ids) => ids.as_slice(),
                Selector::All | Selector::Tags(_) => &[],
            })
            .map(String::as_str)
    }
}

impl Selector {
    fn matches(&self, resource: &Resource) -> bool {
        match self {
            Self::All => true,
            // RDS keeps identifiers in lower case and compares them without case.
            Self::Ids(ids) => ids.iter().any(|id| id.eq_ignore_ascii_case(&resource.id)),
            Self::Tags(wanted) => {
                wanted.iter().all(|(key, values)| resource.tags.get(key).is_some_and(|value| values.contains(value)))
            }
        }
    }
}

impl Policy {
    /// Whether the policy names the resource: its accounts, its Regions and its selection. `own_account` is the
    /// coordinator's, which a policy need not spell out.
    pub fn names(&self, resource: &Resource, own_account: &str) -> bool {
        self.covers_account(&resource.account, own_account)
            && self.regions.contains(&resource.region)
            && self.resources.names(resource)
    }

    /// Numbers of the accounts it looks into.
    pub fn account_numbers(&self, own_account: &str) -> Vec<String> {
        if self.accounts.is_empty() {
            return vec![own_account.to_owned()];
        }
        self.accounts.iter().map(|account| account.number().unwrap_or_else(|| own_account.to_owned())).collect()
    }

    fn covers_account(&self, account: &str, own_account: &str) -> bool {
        self.account_numbers(own_account).iter().any(|number| number == account)
    }
}

/// To which of the policies the resource belongs; `None` where none names it.
pub fn owners<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    resource: &Resource,
    own_account: &str,
) -> Option<Ownership<'a>> {
    let mut naming: Vec<&Policy> = policies.into_iter().filter(|policy| policy.names(resource, own_account)).collect();
    naming.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
    let mut naming = naming.into_iter();
    naming.next().map(|policy| Ownership { policy, others: naming.collect() })
}
