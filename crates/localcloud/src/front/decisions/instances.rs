//! EC2 instances and the states they pass through.
//!
//! After "Amazon EC2 instance state changes" of the EC2 guide: `pending`, `running`, then `shutting-down` and
//! `terminated` (or `stopping`, `stopped`), each taking its time; a terminated instance stays in the listings for a
//! while. An instance that powers itself off follows its `InstanceInitiatedShutdownBehavior`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::Tags;
use crate::front::wire::AwsError;

/// How long a terminated instance is still listed ("approximately one hour").
const LISTED_AFTER_END_SECONDS: i64 = 3600;

/// State of an instance, with EC2's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl State {
    /// EC2's code and name.
    pub(crate) fn code_and_name(self) -> (u16, &'static str) {
        match self {
            Self::Pending => (0, "pending"),
            Self::Running => (16, "running"),
            Self::ShuttingDown => (32, "shutting-down"),
            Self::Terminated => (48, "terminated"),
            Self::Stopping => (64, "stopping"),
            Self::Stopped => (80, "stopped"),
        }
    }
}

/// Where an instance or database lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subnet {
    /// `subnet-…`.
    pub(crate) id: String,
    /// `vpc-…`.
    pub(crate) vpc_id: String,
    /// `eu-central-1a`.
    pub(crate) zone: String,
}

/// The role that an instance wears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    /// Name of the instance profile.
    pub(crate) name: String,
    /// `AIPA…`.
    pub(crate) id: String,
    /// Name of the role in it, if any.
    pub(crate) role: Option<String>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) reservation_id: String,
    pub(crate) launch_index: usize,
    pub(crate) image_id: String,
    pub(crate) instance_type: String,
    pub(crate) subnet: Subnet,
    pub(crate) private_address: Option<Ipv4Addr>,
    pub(crate) group_ids: Vec<String>,
    pub(crate) profile: Option<Profile>,
    pub(crate) user_data: Vec<u8>,
    /// Whether powering off terminates it (or stops it).
    pub(crate) terminate_on_shutdown: bool,
    /// Whether metadata wants a token, `required` or `optional`.
    pub(crate) metadata_tokens: String,
    pub(crate) client_token: Option<String>,
    pub(crate) launched_at: Timestamp,
    pub(crate) state: State,
    /// Code and message of why it is in this state.
    pub(crate) state_reason: Option<(&'static str, String)>,
    /// When it was seen to end.
    pub(crate) ended_at: Option<Timestamp>,
    /// Whether the machine room still boots it: it may not be killed before it is there.
    pub(crate) booting: bool,
    pub(crate) tags: Tags,
}

impl Instance {
    /// Whether it still holds its groups and its address.
    pub(crate) fn exists(&self) -> bool {
        self.state != State::Terminated
    }
}

/// One line of the answer to TerminateInstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateChange {
    pub(crate) id: String,
    pub(crate) previous: State,
    pub(crate) current: State,
}

/// Every instance of the account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Instances(BTreeMap<String, Instance>);

impl Instances {
    /// Adds a new instance.
    pub(crate) fn insert(&mut self, instance: Instance) {
        self.0.insert(instance.id.clone(), instance);
    }

    /// An instance by its id.
    pub(crate) fn get(&self, id: &str) -> Result<&Instance, AwsError> {
        self.0.get(id).ok_or_else(|| unknown(id))
    }

    /// An instance by its id, to change it.
    pub(crate) fn get_mut(&mut self, id: &str) -> Result<&mut Instance, AwsError> {
        self.0.get_mut(id).ok_or_else(|| unknown(id))
    }

    /// Every instance, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Instance> {
        self.0.values()
    }

    /// Forgets what ended long ago.
    pub(crate) fn forget_old(&mut self, now: Timestamp) {
        self.0.retain(|_, instance| {
            instance.ended_at.is_none_or(|ended| now.as_second() - ended.as_second() < LISTED_AFTER_END_SECONDS)
        });
    }

    /// The machine room has it up, at this address.
    pub(crate) fn booted(&mut self, id: &str, address: Ipv4Addr) {
        if let Some(instance) = self.0.get_mut(id) {
            instance.booting = false;
            instance.private_address = Some(address);
        }
    }

    /// The machine room could not boot it: it ends without having run.
    pub(crate) fn boot_failed(&mut self, id: &str, now: Timestamp) {
        if let Some(instance) = self.0.get_mut(id) {
            instance.booting = false;
            instance.state = State::Terminated;
            instance.state_reason =
                Some(("Server.InternalError", "Server.InternalError: Internal error on launch".to_owned()));
            instance.ended_at = Some(now);
        }
    }

    /// The time of `pending` is over.
    pub(crate) fn started(&mut self, id: &str) {
        if let Some(instance) = self.0.get_mut(id)
            && instance.state == State::Pending
        {
            instance.state = State::Running;
        }
    }

    /// Begins to terminate instances, all or none; repeating it is no error. Answers the changes; those whose
    /// previous state was not `shutting-down` or `terminated` yet are the caller's to kill.
    pub(crate) fn terminate(&mut self, ids: &[String]) -> Result<Vec<StateChange>, AwsError> {
        for id in ids {
            self.get(id)?;
        }
        let reason =
            ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown".to_owned());
        ids.iter().map(|id| Ok(self.get_mut(id)?.shut_down(reason.clone()))).collect()
    }

    /// It powered itself off: terminates or stops, as it was launched to. `None` where it is ending already.
    pub(crate) fn powered_off(&mut self, id: &str) -> Option<StateChange> {
        let instance = self.0.get_mut(id)?;
        if !matches!(instance.state, State::Pending | State::Running) {
            return None;
        }
        let code = "Client.InstanceInitiatedShutdown";
        let reason = (code, format!("{code}: Instance initiated shutdown"));
        if instance.terminate_on_shutdown {
            return Some(instance.shut_down(reason));
        }
        let previous = std::mem::replace(&mut instance.state, State::Stopping);
        instance.state_reason = Some(reason);
        Some(StateChange { id: id.to_owned(), previous, current: State::Stopping })
    }

    /// Nothing of it runs any more and its time is over.
    pub(crate) fn ended(&mut self, id: &str, now: Timestamp) {
        let Some(instance) = self.0.get_mut(id) else { return };
        match instance.state {
            State::Stopping => instance.state = State::Stopped,
            State::ShuttingDown => {
                instance.state = State::Terminated;
                instance.ended_at = Some(now);
            }
            _ => {}
        }
    }
}

impl Instance {
    fn shut_down(&mut self, reason: (&'static str, String)) -> StateChange {
        let previous = self.state;
        if !matches!(previous, State::ShuttingDown | State::Terminated) {
            self.state = State::ShuttingDown;
            self.state_reason = Some(reason);
        }
        StateChange { id: self.id.clone(), previous, current: self.state }
    }
}

fn unknown(id: &str) -> AwsError {
    let digits = id.strip_prefix("i-").unwrap_or_default();
    if matches!(digits.len(), 8 | 17) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        AwsError::new("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
    } else {
        AwsError::new("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\""))
    }
}

#[cfg(test)]
pub(crate) mod tests;
