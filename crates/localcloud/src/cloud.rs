//! The whole cloud: machines, S3 and the front, put together, described and taken apart.

mod control;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use self::tokens::{Shown, SignedTokens};
use crate::credentials::CredentialStore;
use crate::front::{Delays, Front, FrontConfig};
use crate::machines::{MachineRoom, RoomConfig};
use crate::moto;
use crate::s3::LocalS3;

/// The cloud's one account.
const ACCOUNT: &str = "111122223333";

/// What a cloud is started with.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// The cloud's folder; a former cloud's remains in it are removed.
    pub dir: PathBuf,
    /// The agent that EC2 instances run, if it is known already.
    pub worker_binary: Option<PathBuf>,
    /// Folder with the image's boot script.
    pub ami: PathBuf,
    /// The Region that the cloud is.
    pub region: String,
    /// PostgreSQL programs besides Debian's, in folders named by major version.
    pub packages: Option<PathBuf>,
    /// What is kept between clouds.
    pub cache: PathBuf,
    /// How long AWS takes for things.
    pub delays: Delays,
    /// Upper limit on the life of AssumeRole's credentials, for tests of their renewal.
    pub session_lifetime: Option<Duration>,
}

/// How to use a cloud: the contents of `cloud.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// `AWS_ENDPOINT_URL`.
    pub endpoint: String,
    /// `AWS_REGION`.
    pub region: String,
    /// Twelve digits.
    pub account: String,
    /// Key of the account's root.
    pub access_key_id: String,
    /// Its secret. It opens this cloud alone, which ends with its process.
    pub secret_access_key: String,
    /// The host's address in the cloud's network.
    pub gateway: String,
    /// The cloud's folder.
    pub dir: PathBuf,
    /// What is kept between clouds.
    pub cache: PathBuf,
    /// CA that stands for Amazon's.
    pub ca_file: PathBuf,
    /// Major versions of PostgreSQL that DB instances can have; more may be installed while the cloud runs.
    pub postgresql_majors: Vec<u32>,
    /// What the account has from the start.
    #[serde(flatten)]
    pub bootstrap: crate::front::Bootstrap,
}

/// A running cloud. End it with [`LocalCloud::close`]; dropped without, its processes die and the next cloud sweeps what
/// is left of its network.
pub struct LocalCloud {
    room: Arc<MachineRoom>,
    front: Front,
    description: Description,
}

impl LocalCloud {
    /// Starts a cloud; returns when it is ready. Needs root. Installs the emulator from PyPI where it is missing.
    pub async fn start(config: CloudConfig) -> anyhow::Result<Self> {
        let cache = config.cache.clone();
        let moto_dir = cache.join("moto");
        let credentials = Arc::new(CredentialStore::new(ACCOUNT));
        let shown = Shown::default();
        let region = config.region.clone();
        let judge = SignedTokens { credentials: Arc::clone(&credentials), region, shown: Arc::clone(&shown) };
        let room_config =
            RoomConfig { dir: config.dir, ami: config.ami, packages: config.packages, cache: config.cache };
        let room = Arc::new(MachineRoom::open(&room_config, Arc::new(judge)).await?);
        if let Some(path) = &config.worker_binary {
            room.computers().set_worker_binary(path)?;
        }
        moto::ensure_installed(&moto_dir).await?;
        let root = credentials.issue_root();
        let folder = room.folder().to_owned();
        let s3 = tokio::task::spawn_blocking({
            let (folder, credentials) = (folder.join("s3"), Arc::clone(&credentials));
            move || LocalS3::new(&folder, credentials)
        });
        let s3 = Arc::new(s3.await.context("opening S3")?.context("opening S3")?);
        let front_config = FrontConfig {
            region: config.region.clone(),
            delays: config.delays,
            session_lifetime_limit: config.session_lifetime,
            ..FrontConfig::new(room.gateway(), moto_dir, folder.join("moto.log"))
        };
        let control = control::routes(Arc::clone(&room), Arc::clone(&s3), shown);
        let front = Front::start(
            front_config,
            room.databases(),
            room.computers(),
            room.network(),
            s3,
            Arc::clone(&credentials),
            control,
        )
        .await
        .context("starting the front")?;
        room.databases().set_surroundings(front.surroundings());
        room.computers().set_environment(BTreeMap::from([
            ("AWS_ENDPOINT_URL".to_owned(), front.endpoint()),
            ("AWS_REGION".to_owned(), config.region.clone()),
        ]));
        let description = Description {
            endpoint: front.endpoint(),
            region: config.region,
            account: ACCOUNT.to_owned(),
            access_key_id: root.access_key_id,
            secret_access_key: root.secret_access_key,
            gateway: room.gateway().to_string(),
            cache,
            ca_file: room.authority().certificate_file().to_owned(),
            postgresql_majors: room.databases().majors(),
            bootstrap: front.bootstrap().clone(),
            dir: folder,
        };
        let cloud = Self { room, front, description };
        cloud.write_description()?;
        Ok(cloud)
    }

    /// How to use it.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Its machines.
    #[must_use]
    pub fn room(&self) -> &MachineRoom {
        &self.room
    }

    /// Whoever waits for the file must never read half of it.
    fn write_description(&self) -> anyhow::Result<()> {
        let file = self.description.dir.join("cloud.json");
        let draft = file.with_extension("json.draft");
        let text = serde_json::to_string(&self.description).context("describing the cloud")?;
        std::fs::write(&draft, text).with_context(|| format!("writing {}", draft.display()))?;
        std::fs::rename(&draft, &file).with_context(|| format!("writing {}", file.display()))
    }

    /// Ends everything: calls, machines, network, emulator.
    pub async fn close(self) -> anyhow::Result<()> {
        let removed = std::fs::remove_file(self.description.dir.join("cloud.json"));
        // Machines first: the front's power-off reports and snapshots under way end with them.
        let machines = self.room.close().await;
        self.front.shutdown().await;
        machines?;
        removed.context("removing cloud.json")
    }
}
