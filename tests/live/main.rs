//! The demo's path against a real AWS account: off by default, see README.md.

use anyhow::{Context, Result, ensure};
use e2e::coordinator::Coordinator;
use e2e::oracle::quote;
use e2e::psql::Database;
use e2e::{dataset, oracle};

fn variable(name: &str) -> Result<String> {
    let name = format!("HAULIER_LIVE_{name}");
    std::env::var(&name).with_context(|| format!("{name} is not set: see tests/live/README.md"))
}

/// The account that the credentials in the environment belong to.
fn account(region: &str) -> Result<String> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Runtime::new()?.block_on(async {
        let caller = haulier_cloud::aws::AwsCloud::from_environment(region).await.identity().caller().await?;
        Ok(caller.account)
    })
}

/// Two databases that are dropped whatever happens.
struct Databases(Vec<Database>);

impl Drop for Databases {
    fn drop(&mut self) {
        for database in &self.0 {
            let _ = database.sibling("postgres").execute(&format!("DROP DATABASE IF EXISTS {}", quote(&database.name)));
        }
    }
}

#[test]
fn the_main_job_works_on_aws() -> Result<()> {
    let Ok(wanted) = variable("ACCOUNT") else {
        println!("HAULIER_LIVE_ACCOUNT is not set: nothing is tried against AWS");
        return Ok(());
    };
    let region = variable("REGION")?;
    let actual = account(&region)?;
    ensure!(actual == wanted, "these credentials are of account {actual}, not of {wanted}: nothing was done");

    let name = format!("haulier_live_{}", std::process::id());
    let source = Database::new(&variable("SOURCE_DSN")?, &name);
    let target = Database::new(&variable("TARGET_DSN")?, &format!("{name}_copy"));
    source.sibling("postgres").execute(&format!("CREATE DATABASE {}", quote(&name)))?;
    let _dropped = Databases(vec![source.clone(), target.clone()]);
    dataset::fill(&source, 60)?;

    let folder = tempfile::tempdir()?;
    let configuration = format!(
        "version: 1\nstate_dir: {}\nregion: {region}\n\
         worker_service:\n  listen: 0.0.0.0:7443\n  advertise: https://{}:7443\n\
         worker:\n  role_arn: {}\n  instance_profile: {}\n",
        folder.path().join("state").display(),
        variable("ADVERTISE")?,
        variable("ROLE_ARN")?,
        variable("INSTANCE_PROFILE")?,
    );
    let coordinator = Coordinator::start_with(&configuration, "127.0.0.1:7444", folder.path(), Vec::new())?;
    let haulier = coordinator.haulier();
    haulier.json(&[
        "repository",
        "create",
        "live",
        "--bucket",
        &variable("BUCKET")?,
        "--region",
        &region,
        "--prefix",
        &name,
        "--kms-key-arn",
        &variable("KMS_KEY")?,
    ])?;
    let secret = variable("SECRET_ARN")?;
    let policy = folder.path().join("policy.yaml");
    std::fs::write(
        &policy,
        format!(
            "version: 1\nname: live\nregions: [{region}]\nresources: {{ include: [{{ ids: [{}] }}] }}\nrepository: live\n\
             databases: [{name}]\ncredentials: {{ secret_arn: \"{secret}\" }}\nsnapshot: false\nschedule: manual\n",
            variable("SOURCE")?
        ),
    )?;
    haulier.json(&["policy", "apply", &policy.display().to_string()])?;
    haulier.show(&["policy", "run", "live", "--wait"])?;
    let points = haulier.json(&["point", "list"])?;
    let point = points[0]["id"].as_str().context("the backup made no point")?;
    haulier.show(&[
        "restore",
        "database",
        "--point",
        point,
        "--database",
        &format!("{name}={}", target.name),
        "--target-instance",
        &variable("TARGET")?,
        "--secret-arn",
        &secret,
        "--wait",
    ])?;

    let differences = oracle::differences(&oracle::picture(&source)?, &oracle::picture(&target)?);
    ensure!(differences.is_empty(), "the copy differs:\n{}", differences.join("\n"));
    let open = haulier.json(&["ledger", "list", "--open"])?;
    let open: Vec<_> =
        open.as_array().cloned().unwrap_or_default().into_iter().filter(|row| row["state"] != "kept").collect();
    ensure!(open.is_empty(), "left over: {open:#?}");
    Ok(())
}
