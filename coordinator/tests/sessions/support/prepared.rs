//! A scene with something to restore.

use haulier_domain::id::{PointId, SessionId};
use haulier_domain::session::SessionState;

use super::worker::Script;
use super::{Scene, groups_of};

/// A scene in which `orders` has been backed up, and from now on workers that follow the script.
pub(crate) struct Prepared {
    pub(crate) scene: Scene,
    pub(crate) backup: SessionId,
    pub(crate) point: PointId,
    groups: String,
}

pub(crate) fn prepared(script: Script) -> Prepared {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let backup = running.backup("orders");
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    running.kill();
    scene.fleet.follow(script);
    let groups = groups_of(&scene.access.memory, "billing");
    Prepared { scene, backup, point, groups }
}

impl Prepared {
    /// Nothing is left but the backup's snapshot, and `billing` is in the groups it was in.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        self.assert_clean_after("the session");
    }

    /// The same, with a word of what it comes after.
    #[track_caller]
    pub(crate) fn assert_clean_after(&self, what: &str) {
        assert_eq!(self.scene.leftovers(&[&self.backup]), [""; 0], "after {what}");
        assert_eq!(groups_of(&self.scene.access.memory, "billing"), self.groups, "after {what}");
    }
}
