//! Reading instances.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::render;
use crate::front::context::{Context, iso, now};
use crate::front::decisions::filters::Filters;
use crate::front::decisions::instances::{Instance, State};
use crate::front::decisions::world::World;
use crate::front::wire::{Answer, AwsError, Params};

/// DescribeInstances, a reservation at a time.
pub(super) fn instances(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    context.world(|world| world.instances.forget_old(now()));
    context.read(|world| {
        let found = select(world, params)?;
        let mut reservations: Vec<Vec<&Instance>> = Vec::new();
        for instance in found {
            match reservations.iter_mut().find(|members| members[0].reservation_id == instance.reservation_id) {
                Some(members) => members.push(instance),
                None => reservations.push(vec![instance]),
            }
        }
        let (page, next) = page(reservations, params, |members| members[0].reservation_id.clone())?;
        Ok(Answer::ec2("DescribeInstances", |xml| {
            xml.list("reservationSet", "item", &page, |xml, members| {
                render::reservation_body(xml, world, context, members);
            });
            xml.optional("nextToken", next);
        }))
    })
}

/// DescribeInstanceStatus: by default only of those that run.
pub(super) fn statuses(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let all = params.get("IncludeAllInstances") == Some("true");
    context.read(|world| {
        let mut found = select(world, params)?;
        found.retain(|instance| all || instance.state == State::Running);
        let (page, next) = page(found, params, |instance| instance.id.clone())?;
        Ok(Answer::ec2("DescribeInstanceStatus", |xml| {
            xml.list("instanceStatusSet", "item", &page, |xml, instance| {
                xml.text("instanceId", &instance.id).text("availabilityZone", &instance.subnet.zone);
                render::state(xml, "instanceState", instance.state);
                let status = if instance.state == State::Running { "ok" } else { "not-applicable" };
                for name in ["systemStatus", "instanceStatus"] {
                    xml.node(name, |xml| {
                        xml.text("status", status);
                    });
                }
            });
            xml.optional("nextToken", next);
        }))
    })
}

/// DescribeInstanceAttribute, for the attributes that the front keeps.
pub(super) fn attribute(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let attribute = params.required("Attribute")?;
    context.read(|world| {
        let instance = world.instances.get(params.required("InstanceId")?)?;
        let value = match attribute {
            "userData" => STANDARD.encode(&instance.user_data),
            "instanceType" => instance.instance_type.clone(),
            "instanceInitiatedShutdownBehavior" => {
                (if instance.terminate_on_shutdown { "terminate" } else { "stop" }).to_owned()
            }
            "groupSet" => String::new(),
            other => {
                return Err(AwsError::new(
                    "InvalidParameterValue",
                    format!("Value ({other}) for parameter attribute is invalid."),
                ));
            }
        };
        Ok(Answer::ec2("DescribeInstanceAttribute", |xml| {
            xml.text("instanceId", &instance.id);
            if attribute == "groupSet" {
                render::groups(xml, world, &instance.group_ids);
            } else {
                xml.node(attribute, |xml| {
                    xml.text("value", value);
                });
            }
        }))
    })
}

/// GetConsoleOutput.
pub(super) async fn console(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let id = params.required("InstanceId")?;
    context.read(|world| world.instances.get(id).map(drop))?;
    let output = context.computers.console(id).await.map_err(|error| AwsError::internal(&error))?;
    Ok(Answer::ec2("GetConsoleOutput", |xml| {
        xml.text("instanceId", id).text("timestamp", iso(now())).text("output", STANDARD.encode(output));
    }))
}

fn select<'a>(world: &'a World, params: &Params) -> Result<Vec<&'a Instance>, AwsError> {
    let ids = params.list("InstanceId");
    for id in &ids {
        world.instances.get(id)?;
    }
    let filters = Filters::new(params.filters());
    let mut found = Vec::new();
    for instance in world.instances.iter().filter(|instance| ids.is_empty() || ids.contains(&instance.id)) {
        if filters.pass(&instance.tags, |name| values(instance, name))? {
            found.push(instance);
        }
    }
    found.sort_by_key(|instance| (instance.launched_at, instance.reservation_id.clone(), instance.launch_index));
    Ok(found)
}

fn values(instance: &Instance, filter: &str) -> Option<Vec<String>> {
    let one = |value: &str| Some(vec![value.to_owned()]);
    match filter {
        "instance-id" => one(&instance.id),
        "instance-state-name" => one(instance.state.code_and_name().1),
        "instance-state-code" => one(&instance.state.code_and_name().0.to_string()),
        "instance-type" => one(&instance.instance_type),
        "image-id" => one(&instance.image_id),
        "client-token" => Some(instance.client_token.iter().cloned().collect()),
        "reservation-id" => one(&instance.reservation_id),
        "availability-zone" => one(&instance.subnet.zone),
        "private-ip-address" => Some(instance.private_address.iter().map(ToString::to_string).collect()),
        "vpc-id" | "subnet-id" | "instance.group-id" | "network-interface.group-id" if !instance.exists() => {
            Some(Vec::new())
        }
        "vpc-id" => one(&instance.subnet.vpc_id),
        "subnet-id" => one(&instance.subnet.id),
        "instance.group-id" | "network-interface.group-id" => Some(instance.group_ids.clone()),
        _ => None,
    }
}

/// `MaxResults` and `NextToken`; the token is the key of the last one answered.
pub(super) fn page<T>(
    items: Vec<T>,
    params: &Params,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let most: usize = params.parsed("MaxResults")?.unwrap_or(1000);
    let start = match params.get("NextToken") {
        Some(token) => items.iter().position(|item| key(item) == token).map(|at| at + 1).unwrap_or(items.len()),
        None => 0,
    };
    let left = items.len().saturating_sub(start);
    let page: Vec<T> = items.into_iter().skip(start).take(most).collect();
    let next = page.last().map(&key).filter(|_| left > page.len());
    Ok((page, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let items = || vec!["a", "b", "c", "d", "e"];
        let take = |form: &str| page(items(), &Params::parse(form), |item| (*item).to_owned()).unwrap();
        assert_eq!(take(""), (items(), None));
        assert_eq!(take("MaxResults=2"), (vec!["a", "b"], Some("b".to_owned())));
        assert_eq!(take("MaxResults=2&NextToken=b"), (vec!["c", "d"], Some("d".to_owned())));
        assert_eq!(take("MaxResults=2&NextToken=d"), (vec!["e"], None));
        assert_eq!(take("MaxResults=5"), (items(), None));
    }
}
