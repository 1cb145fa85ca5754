//! One instance: its state, its folder, and what happens to both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use anyhow::Context as _;
use jiff::civil::DateTime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::edition::Edition;
use super::state::State;
use super::surroundings::Surroundings;
use super::tasks::{Tasks, Work};

/// What an instance is made with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `DBInstanceIdentifier`.
    pub(crate) id: String,
    pub(crate) edition: Edition,
    pub(crate) master_user: String,
    pub(crate) master_password: String,
}

/// A SQL Server.
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) edition: Edition,
    pub(crate) master_user: String,
    password: RwLock<String>,
    /// `state.json` and `images/`.
    folder: PathBuf,
    pub(crate) surroundings: Arc<dyn Surroundings>,
    state: Mutex<State>,
    tasks: Mutex<Tasks>,
    /// By task: ends what it does.
    pub(super) running: Mutex<BTreeMap<u32, CancellationToken>>,
    /// Whether the answer to an order is a text, as some versions are known to give it, and not a row of numbers.
    pub(crate) tells_tasks_as_text: AtomicBool,
    /// Connections and tasks.
    pub(crate) work: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Instance {
    /// Opens an instance over its folder; `copied` where the folder is a snapshot's.
    pub(crate) fn open(
        settings: Settings,
        folder: &Path,
        copied: bool,
        surroundings: Arc<dyn Surroundings>,
    ) -> anyhow::Result<Arc<Self>> {
        let images = folder.join("images");
        std::fs::create_dir_all(&images).with_context(|| format!("creating {}", images.display()))?;
        let mut state = State::load(folder)?;
        if copied {
            state.forget_former();
        }
        let instance = Self {
            id: settings.id,
            edition: settings.edition,
            master_user: settings.master_user,
            password: RwLock::new(settings.master_password),
            folder: folder.to_owned(),
            surroundings,
            state: Mutex::new(state),
            tasks: Mutex::default(),
            running: Mutex::default(),
            tells_tasks_as_text: AtomicBool::new(false),
            work: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        instance.change(|_| ())?;
        Ok(Arc::new(instance))
    }

    /// Whether a login is the master's.
    pub(crate) fn admits(&self, user: &str, password: &str) -> bool {
        let known = self.password.read().unwrap_or_else(PoisonError::into_inner);
        user.eq_ignore_ascii_case(&self.master_user) && password == *known
    }

    /// Sets the master's password.
    pub(crate) fn set_password(&self, password: &str) {
        *self.password.write().unwrap_or_else(PoisonError::into_inner) = password.to_owned();
    }

    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&locked(&self.state))
    }

    /// Changes the state, writes it down, and removes images that nobody needs any more.
    pub(crate) fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> anyhow::Result<T> {
        let mut state = locked(&self.state);
        let outcome = act(&mut state);
        state.save(&self.folder)?;
        let needed = state.images();
        for entry in std::fs::read_dir(self.images()).context("listing images")? {
            let name = PathBuf::from(entry.context("listing images")?.file_name());
            // A draft belongs to a restore that is under way.
            if name.extension().is_some_and(|extension| extension == "bak") && !needed.contains(&&name) {
                let path = self.images().join(&name);
                std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
        }
        Ok(outcome)
    }

    /// Looks at the tasks or changes them.
    pub(crate) fn tasks<T>(&self, act: impl FnOnce(&mut Tasks) -> T) -> T {
        act(&mut locked(&self.tasks))
    }

    /// Where images lie.
    pub(crate) fn images(&self) -> PathBuf {
        self.folder.join("images")
    }

    /// Copies the folder as it is between two changes. Native backups under way end, as on RDS; the copy is a backup of
    /// every database. Blocking.
    pub(crate) fn copy(&self, target: &Path) -> anyhow::Result<()> {
        let backups: Vec<u32> = self.tasks(|tasks| {
            tasks.iter().filter(|task| matches!(task.order.work, Work::Backup(_))).map(|task| task.id).collect()
        });
        for (_, token) in locked(&self.running).iter().filter(|(id, _)| backups.contains(id)) {
            token.cancel();
        }
        let mut state = locked(&self.state);
        state.note_snapshot(now());
        state.save(&self.folder)?;
        let images = target.join("images");
        std::fs::create_dir_all(&images).with_context(|| format!("creating {}", images.display()))?;
        std::fs::copy(self.folder.join("state.json"), target.join("state.json")).context("copying the state")?;
        for name in state.images() {
            let (from, to) = (self.images().join(name), images.join(name));
            // Images never change: a second name for one is a copy of it.
            std::fs::hard_link(&from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
        Ok(())
    }

    /// Ends connections and tasks, and waits for their end.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.work.close();
        self.work.wait().await;
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Now, as an RDS instance's clock shows it: UTC.
pub(crate) fn now() -> DateTime {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).datetime()
}
