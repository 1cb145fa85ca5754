//! Repositories as stored, and the domain of each DB instance in them.

use haulier_domain::id::{DomainId, RepositoryId};
use haulier_domain::immutability::Immutability;
use haulier_domain::session::UnknownWord;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Result, State, StateError, doing, from_json, parsed, stamp, to_json};

/// What wraps a repository's master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// A KMS key.
    Kms,
    /// A passphrase in a Secrets Manager secret.
    Passphrase,
}

impl KeyKind {
    /// The kind as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kms => "kms",
            Self::Passphrase => "passphrase",
        }
    }
}

impl std::str::FromStr for KeyKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "kms" => Ok(Self::Kms),
            "passphrase" => Ok(Self::Passphrase),
            _ => Err(UnknownWord { text: text.to_owned(), kind: "kind of key" }),
        }
    }
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Name within this installation.
    pub name: String,
    /// Id from its format object.
    pub id: RepositoryId,
    /// Bucket.
    pub bucket: String,
    /// Region of the bucket.
    pub region: String,
    /// Prefix within it; may be empty.
    pub prefix: String,
    /// What wraps its master key.
    pub key_kind: KeyKind,
    /// ARN of the KMS key or of the passphrase's secret.
    pub key_arn: String,
    /// When it was added to this installation.
    pub created_at: Timestamp,
    /// Its immutability, as its format object says.
    pub immutability: Option<Immutability>,
}

impl State {
    /// Writes a repository down. Repeating it changes nothing.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn add_repository(&self, repository: &Repository) -> Result<()> {
        sqlx::query(
            "INSERT INTO repositories (name, id, bucket, region, prefix, key_kind, key_arn, created_at, immutability)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
        )
        .bind(&repository.name)
        .bind(repository.id.as_str())
        .bind(&repository.bucket)
        .bind(&repository.region)
        .bind(&repository.prefix)
        .bind(repository.key_kind.as_str())
        .bind(&repository.key_arn)
        .bind(stamp(repository.created_at))
        .bind(repository.immutability.map(|terms| to_json(&terms, "repositories.immutability")).transpose()?)
        .execute(&self.pool)
        .await
        .map_err(doing("writing a repository"))?;
        Ok(())
    }

    /// One repository.
    ///
    /// # Errors
    /// Where there is none of that name, or the state cannot be read.
    pub async fn repository(&self, name: &str) -> Result<Repository> {
        sqlx::query("SELECT * FROM repositories WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("reading a repository"))?
            .as_ref()
            .map(repository)
            .transpose()?
            .ok_or_else(|| StateError::Missing { what: "repository", id: name.to_owned() })
    }

    /// All repositories by name.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn repositories(&self) -> Result<Vec<Repository>> {
        let rows = sqlx::query("SELECT * FROM repositories ORDER BY name")
            .fetch_all(&self.pool)
            .await
            .map_err(doing("listing repositories"))?;
        rows.iter().map(repository).collect()
    }

    /// Writes down what the coordinator opens a repository with from now on.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn set_repository_key(&self, name: &str, kind: KeyKind, arn: &str) -> Result<()> {
        sqlx::query("UPDATE repositories SET key_kind = ?, key_arn = ? WHERE name = ?")
            .bind(kind.as_str())
            .bind(arn)
            .bind(name)
            .execute(&self.pool)
            .await
            .map_err(doing("changing what opens a repository"))?;
        Ok(())
    }

    /// The domains of a repository that this installation has written to, or has found there.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn domains(&self, repository: &str) -> Result<Vec<DomainId>> {
        let sql = "SELECT domain FROM domains WHERE repository = ?1
                   UNION SELECT domain FROM found_domains WHERE repository = ?1 ORDER BY domain";
        let rows = sqlx::query(sql)
            .bind(repository)
            .fetch_all(&self.pool)
            .await
            .map_err(doing("listing the domains of a repository"))?;
        rows.iter().map(|row| parsed(row.get("domain"), "domains.domain")).collect()
    }

    /// Writes down a domain of which it is not known whose it is. Repeating it changes nothing.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn add_domain(&self, repository: &str, domain: &DomainId) -> Result<()> {
        sqlx::query("INSERT INTO found_domains (repository, domain) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(repository)
            .bind(domain.as_str())
            .execute(&self.pool)
            .await
            .map_err(doing("writing a domain"))?;
        Ok(())
    }

    /// The domain of a DB instance in a repository; `fresh` becomes it where there is none yet.
    ///
    /// # Errors
    /// Where the state cannot be read or written.
    pub async fn domain(&self, repository: &str, resource_id: &str, fresh: &DomainId) -> Result<DomainId> {
        sqlx::query("INSERT INTO domains (repository, resource_id, domain) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(repository)
            .bind(resource_id)
            .bind(fresh.as_str())
            .execute(&self.pool)
            .await
            .map_err(doing("writing a domain"))?;
        let row = sqlx::query("SELECT domain FROM domains WHERE repository = ? AND resource_id = ?")
            .bind(repository)
            .bind(resource_id)
            .fetch_one(&self.pool)
            .await
            .map_err(doing("reading a domain"))?;
        parsed(row.get("domain"), "domains.domain")
    }
}

fn repository(row: &SqliteRow) -> Result<Repository> {
    Ok(Repository {
        name: row.get("name"),
        id: parsed(row.get("id"), "repositories.id")?,
        bucket: row.get("bucket"),
        region: row.get("region"),
        prefix: row.get("prefix"),
        key_kind: parsed(row.get("key_kind"), "repositories.key_kind")?,
        key_arn: row.get("key_arn"),
        created_at: parsed(row.get("created_at"), "repositories.created_at")?,
        immutability: row
            .get::<Option<&str>, _>("immutability")
            .map(|text| from_json(text, "repositories.immutability"))
            .transpose()?,
    })
}
