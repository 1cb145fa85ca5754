//! Why there is no place for a worker.

use crate::failure::Failure;

/// Why there is no place for a worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// The database is in no VPC.
    #[error("database instance {database} is in no VPC")]
    NoVpc {
        /// DB instance identifier.
        database: String,
    },
    /// Its subnet group has no subnet in its VPC.
    #[error("the subnet group of {database} has no subnet in {vpc_id}")]
    NoSubnet {
        /// DB instance identifier.
        database: String,
        /// VPC of the database.
        vpc_id: String,
    },
    /// The configured subnet does not exist.
    #[error("{region} has no subnet {subnet_id}")]
    NoSuchSubnet {
        /// Subnet.
        subnet_id: String,
        /// Region.
        region: String,
    },
    /// The configured subnet is in the wrong VPC.
    #[error("{subnet_id} is in {vpc_id}, and a worker for {database} must be in {needed}")]
    OtherVpc {
        /// Subnet.
        subnet_id: String,
        /// VPC of the subnet.
        vpc_id: String,
        /// VPC that is needed.
        needed: String,
        /// DB instance identifier.
        database: String,
    },
    /// No subnet has a free address.
    #[error("no free address is left in {}", subnets.join(", "))]
    Full {
        /// Subnets in question.
        subnets: Vec<String>,
    },
}

impl Unplaced {
    /// As an operator reads it.
    pub fn failure(&self, database: &str) -> Failure {
        let (code, remedy) = match self {
            Self::NoVpc { .. } => {
                ("database-without-vpc", "move the instance into a VPC; workers are launched inside VPCs only")
            }
            Self::NoSubnet { .. } => (
                "worker-network-missing",
                "add a worker configuration with a subnet of the database's VPC to the policy",
            ),
            Self::NoSuchSubnet { .. } => {
                ("worker-subnet-unknown", "correct worker.configurations of the policy, or create the subnet")
            }
            Self::OtherVpc { .. } => (
                "worker-subnet-in-other-vpc",
                "name a subnet of the database's VPC, or prepare groups across the VPCs and say permanent_pair",
            ),
            Self::Full { .. } => {
                ("worker-subnets-full", "free addresses in these subnets, or configure another subnet for the worker")
            }
        };
        let failure =
            Failure::new(code, format!("choosing a network for the worker of {database}"), self.to_string(), remedy);
        if matches!(self, Self::Full { .. }) { failure.retryable() } else { failure }
    }
}
