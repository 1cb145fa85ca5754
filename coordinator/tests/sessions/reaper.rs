//! The reaper removes what no live session owns, and nothing else.

use haulier_cloud::compute::{Compute as _, Direction, Peer, Permission};
use haulier_cloud::databases::Databases as _;
use haulier_cloud::doubles::VPC_ID;
use haulier_cloud::object_store::Tags;
use haulier_coordinator::ledger::{Naming, TAG_INSTALLATION};
use haulier_coordinator::reaper;
use haulier_domain::id::{Epoch, SessionId};
use haulier_domain::session::SessionState;

use crate::support::worker::Script;
use crate::support::{Scene, groups_of};

#[test]
fn what_the_ledger_never_knew_is_removed_and_the_rest_stays() {
    let scene = Scene::new(Script::Obedient);
    let before = groups_of(&scene.access.memory, "orders");
    let running = scene.start();
    let id = running.backup("orders");
    running.assert_state(&id, SessionState::Succeeded);
    let settled = scene.access.memory.listing();
    let (sessions, memory) = (running.sessions.clone(), scene.access.memory.clone());
    let services = sessions.services().clone();
    let (session, installation) = (id.clone(), services.installation.clone());
    running.run(async move {
        let naming = Naming::new(&installation, &session);
        let compute = memory.compute();
        // Left by a session whose row is gone: a pair that names each other, joined to the instance, and an instance.
        let stranger: SessionId = "ses-0000000000000000000000000000dead".parse().unwrap();
        let theirs = Naming::new(&installation, &stranger);
        let mut pair = Vec::new();
        for role in ["database", "worker-side"] {
            let name = theirs.of_epoch(Epoch(4), role);
            pair.push(compute.create_security_group(VPC_ID, &name, "x", &theirs.tags(Epoch(4), &name)).await.unwrap());
        }
        for (on, to, direction) in [(0, 1, Direction::Ingress), (1, 0, Direction::Egress)] {
            let peer = Peer::Group(pair[to].clone());
            let rule = Permission { direction, tcp_ports: Some((5432, 5432)), peer };
            compute.authorize(&pair[on], &rule).await.unwrap();
        }
        let databases = memory.databases();
        let mut groups: std::collections::BTreeSet<String> = databases
            .instance("orders")
            .await
            .unwrap()
            .unwrap()
            .security_groups
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        groups.insert(pair[0].clone());
        databases.set_security_groups("orders", &groups).await.unwrap();
        let (_, mut spec) = compute.launches().pop().unwrap();
        spec.client_token = theirs.of_epoch(Epoch(4), "worker");
        spec.security_group_ids = vec![pair[1].clone()];
        spec.tags = theirs.tags(Epoch(4), &spec.client_token);
        compute.launch(&spec).await.unwrap();
        // Somebody else's, of another installation.
        let other = Tags::from([(TAG_INSTALLATION.to_owned(), "ins-other".to_owned())]);
        compute.create_security_group(VPC_ID, "other-installation", "x", &other).await.unwrap();
        let _ = naming;
        for _ in 0..20 {
            reaper::round(&services).await.unwrap();
        }
    });
    let mut left = scene.access.memory.leftovers(&settled);
    left.retain(|line| !line.contains("other-installation"));
    assert_eq!(left, [""; 0]);
    assert_eq!(scene.leftovers(&[&id]).len(), 1, "the other installation's group stays");
    assert_eq!(groups_of(&scene.access.memory, "orders"), before);
}

#[test]
fn a_live_session_keeps_what_it_has() {
    let scene = Scene::new(Script::Endless);
    let running = scene.start();
    let id = running.backup("orders");
    running.until(&id, "transfer", |session| session.step == "transfer");
    let before = scene.access.memory.listing();
    let services = running.sessions.services().clone();
    let removed = running.run(async move { reaper::round(&services).await.unwrap() });
    assert_eq!(removed, 0);
    assert_eq!(scene.access.memory.listing(), before);
}
