//! [`Compute`] behind a switchboard.

use async_trait::async_trait;

use super::Faulty;
use crate::compute::{Compute, Image, Instance, LaunchSpec, Permission, SecurityGroup, Subnet, TagFilter};
use crate::doubles::compute::{authorize_operation, revoke_operation};
use crate::error::Result;
use crate::object_store::Tags;

#[async_trait]
impl<P: Compute + ?Sized> Compute for Faulty<P> {
    async fn launch(&self, spec: &LaunchSpec) -> Result<Instance> {
        self.call("RunInstances", &spec.client_token, self.inner.launch(spec)).await
    }

    async fn instance(&self, id: &str) -> Result<Option<Instance>> {
        self.read("DescribeInstances", id, || None, self.inner.instance(id)).await
    }

    async fn instances(&self, tags: &TagFilter) -> Result<Vec<Instance>> {
        self.read("DescribeInstances", "", Vec::new, self.inner.instances(tags)).await
    }

    async fn terminate(&self, id: &str) -> Result<()> {
        self.call("TerminateInstances", id, self.inner.terminate(id)).await
    }

    async fn create_security_group(&self, vpc_id: &str, name: &str, description: &str, tags: &Tags) -> Result<String> {
        let call = self.inner.create_security_group(vpc_id, name, description, tags);
        self.call("CreateSecurityGroup", name, call).await
    }

    async fn authorize(&self, group_id: &str, permission: &Permission) -> Result<()> {
        let call = self.inner.authorize(group_id, permission);
        self.call(authorize_operation(permission.direction), group_id, call).await
    }

    async fn revoke(&self, group_id: &str, permission: &Permission) -> Result<()> {
        let call = self.inner.revoke(group_id, permission);
        self.call(revoke_operation(permission.direction), group_id, call).await
    }

    async fn delete_security_group(&self, id: &str) -> Result<()> {
        self.call("DeleteSecurityGroup", id, self.inner.delete_security_group(id)).await
    }

    async fn security_group_by_name(&self, vpc_id: &str, name: &str) -> Result<Option<SecurityGroup>> {
        let call = self.inner.security_group_by_name(vpc_id, name);
        self.read("DescribeSecurityGroups", name, || None, call).await
    }

    async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>> {
        self.read("DescribeSecurityGroups", &ids.join(","), Vec::new, self.inner.security_groups(ids)).await
    }

    async fn tagged_security_groups(&self, tags: &TagFilter) -> Result<Vec<SecurityGroup>> {
        self.read("DescribeSecurityGroups", "", Vec::new, self.inner.tagged_security_groups(tags)).await
    }

    async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>> {
        self.call("DescribeSubnets", &ids.join(","), self.inner.subnets(ids)).await
    }

    async fn images(&self, tags: &TagFilter) -> Result<Vec<Image>> {
        self.read("DescribeImages", "", Vec::new, self.inner.images(tags)).await
    }
}
