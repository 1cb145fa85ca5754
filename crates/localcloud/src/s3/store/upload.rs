//! Multipart uploads. Each part is a data file of its own; a completed object is the list of them, so that completing
//! costs the same for a megabyte and a terabyte and nothing is ever held in memory.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, read, write};
use super::condition::Condition;
use super::error::{Error, Result};
use super::files::{self, StagedFile};
use super::lock::{Lock, Retention};
use super::record::{Attributes, Record, Segment, Tags, Version, fresh_etag};
use crate::s3::checksum::{self, Algorithm, Checksum, Coverage};

/// Least size of a part other than the last.
const LEAST_PART: u64 = 5 * 1024 * 1024;

/// What is settled when an upload begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UploadRecord {
    /// The upload's id.
    pub id: String,
    /// Key of the object to be.
    pub key: String,
    /// When it began.
    pub initiated: Timestamp,
    /// Attributes of the object to be.
    pub attributes: Attributes,
    /// Tags of the object to be.
    pub tags: Tags,
    /// Checksum algorithm, if the client chose one.
    pub algorithm: Option<Algorithm>,
    /// What the object's checksum covers.
    pub coverage: Coverage,
    /// What is to protect the object.
    #[serde(default)]
    pub lock: Lock,
}

/// An uploaded part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    /// 1 to 10,000.
    pub number: i32,
    /// Entity tag, without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: Timestamp,
    /// Its bytes.
    pub segment: Segment,
    /// Its checksums, in base64.
    pub checksums: BTreeMap<Algorithm, String>,
}

/// A multipart upload under way.
#[derive(Debug)]
pub struct Upload {
    record: UploadRecord,
    folder: PathBuf,
    /// `None` once the upload is completed or aborted.
    parts: Mutex<Option<BTreeMap<i32, Part>>>,
}

/// A part as the client lists it when it completes the upload.
#[derive(Debug, Clone)]
pub struct ChosenPart {
    /// Its number.
    pub number: i32,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Checksums the client wants to be those of the part.
    pub checksums: BTreeMap<Algorithm, String>,
}

/// A request to complete an upload.
#[derive(Debug, Clone, Default)]
pub struct Completion {
    /// The parts, in order.
    pub parts: Vec<ChosenPart>,
    /// What must hold of the key.
    pub condition: Condition,
    /// Checksum the client wants the whole to have.
    pub checksum: Option<(Algorithm, String)>,
    /// Size the client wants the whole to have.
    pub size: Option<u64>,
    /// Retention of an object whose upload names none.
    pub default_retention: Option<Retention>,
}

impl UploadRecord {
    /// The algorithm of the object's checksum: S3's own choice where the client made none.
    pub fn effective_algorithm(&self) -> Algorithm {
        self.algorithm.unwrap_or(Algorithm::Crc64Nvme)
    }
}

impl Upload {
    /// Reads an upload back; nothing if it was completed just before the process died.
    pub(super) fn open(folder: &Path, data: &Path, used: &mut HashSet<String>) -> Result<Option<Self>> {
        let settled = folder.join("upload.json");
        if !settled.exists() {
            std::fs::remove_dir_all(folder).map_err(Error::disk("sweeping", folder))?;
            return Ok(None);
        }
        let record = files::read_record(&settled)?;
        let mut parts = BTreeMap::new();
        for path in files::records(&folder.join("parts"))? {
            let part: Part = files::read_record(&path)?;
            if used.contains(&part.segment.file) || !data.join(&part.segment.file).exists() {
                std::fs::remove_dir_all(folder).map_err(Error::disk("sweeping", folder))?;
                return Ok(None);
            }
            parts.insert(part.number, part);
        }
        used.extend(parts.values().map(|part| part.segment.file.clone()));
        Ok(Some(Self { record, folder: folder.to_owned(), parts: Mutex::new(Some(parts)) }))
    }

    /// The upload's id.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// What was settled when it began.
    pub fn record(&self) -> &UploadRecord {
        &self.record
    }

    /// The parts uploaded so far, by number.
    pub fn parts(&self) -> Vec<Part> {
        self.lock().iter().flat_map(|parts| parts.values().cloned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<i32, Part>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unknown(&self) -> Error {
        Error::NoSuchUpload(self.record.id.clone())
    }

    fn remove_folder(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.folder).map_err(Error::disk("removing", &self.folder))
    }
}

impl Bucket {
    /// Begins a multipart upload.
    pub fn begin_upload(&self, record: UploadRecord) -> Result<()> {
        let _commit = self.lock()?;
        let folder = self.uploads_folder().join(&record.id);
        files::make_folder(&folder.join("parts"))?;
        files::write_record(&folder.join("upload.json"), &record)?;
        let upload = Upload { folder, parts: Mutex::new(Some(BTreeMap::new())), record };
        write(&self.uploads).insert(upload.record.id.clone(), Arc::new(upload));
        Ok(())
    }

    /// The upload of this id and key.
    pub fn upload(&self, id: &str, key: &str) -> Result<Arc<Upload>> {
        let found = read(&self.uploads).get(id).filter(|upload| upload.record.key == key).cloned();
        found.ok_or_else(|| Error::NoSuchUpload(id.to_owned()))
    }

    /// Every upload under way, by key and id.
    pub fn uploads(&self) -> Vec<Arc<Upload>> {
        let mut uploads: Vec<_> = read(&self.uploads).values().cloned().collect();
        uploads.sort_by(|a, b| (&a.record.key, a.id()).cmp(&(&b.record.key, b.id())));
        uploads
    }

    /// Adds a part, or replaces the one of the same number.
    pub fn put_part(&self, upload: &Upload, mut part: Part, staged: StagedFile) -> Result<()> {
        let mut parts = upload.lock();
        let parts = parts.as_mut().ok_or_else(|| upload.unknown())?;
        part.segment.file = staged.name().to_owned();
        files::write_record(&upload.folder.join("parts").join(part.number.to_string()), &part)?;
        staged.keep();
        if let Some(replaced) = parts.insert(part.number, part) {
            self.remove_data(&replaced);
        }
        Ok(())
    }

    /// Turns an upload into an object.
    pub fn complete_upload(&self, upload: &Upload, completion: &Completion) -> Result<Arc<Record>> {
        let commit = self.lock()?;
        let mut parts = upload.lock();
        let uploaded = parts.as_ref().ok_or_else(|| upload.unknown())?;
        let record = assemble(&upload.record, uploaded, completion)?;
        self.check(&record.key, &completion.condition)?;
        let written = self.publish(&commit, record)?;
        let kept: HashSet<&str> = written.segments.iter().map(|segment| segment.file.as_str()).collect();
        for part in parts.take().unwrap_or_default().into_values() {
            if !kept.contains(part.segment.file.as_str()) {
                self.remove_data(&part);
            }
        }
        write(&self.uploads).remove(upload.id());
        upload.remove_folder()?;
        Ok(written)
    }

    /// Ends an upload and removes its parts.
    pub fn abort_upload(&self, upload: &Upload) -> Result<()> {
        let _commit = self.lock()?;
        let parts = upload.lock().take().ok_or_else(|| upload.unknown())?;
        write(&self.uploads).remove(upload.id());
        upload.remove_folder()?;
        for part in parts.into_values() {
            self.remove_data(&part);
        }
        Ok(())
    }

    fn remove_data(&self, part: &Part) {
        let path = self.data_folder().join(&part.segment.file);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(file = %path.display(), %error, "the bytes of a part stay behind");
        }
    }
}

/// The object that the chosen parts make. Pure.
fn assemble(upload: &UploadRecord, uploaded: &BTreeMap<i32, Part>, completion: &Completion) -> Result<Record> {
    let chosen = choose(upload, uploaded, &completion.parts)?;
    let size = chosen.iter().map(|part| part.segment.length).sum();
    if completion.size.is_some_and(|expected| expected != size) {
        return Err(Error::InvalidRequest(format!("the object has {size} bytes, not what x-amz-mp-object-size says")));
    }
    let checksum = whole_checksum(upload, &chosen)?;
    if let Some((algorithm, expected)) = &completion.checksum {
        if *algorithm != checksum.algorithm {
            return Err(Error::InvalidRequest(format!(
                "the upload's checksum algorithm is {}",
                checksum.algorithm.name()
            )));
        }
        if *expected != checksum.value {
            return Err(Error::BadDigest { algorithm: algorithm.name() });
        }
    }
    Ok(Record {
        key: upload.key.clone(),
        etag: format!("{}-{}", fresh_etag(), chosen.len()),
        size,
        modified: Timestamp::now(),
        parts: u32::try_from(chosen.len()).ok(),
        checksum: Some(checksum),
        attributes: upload.attributes.clone(),
        tags: upload.tags.clone(),
        version: Version::default(),
        lock: Lock {
            retention: upload.lock.retention.clone().or_else(|| completion.default_retention.clone()),
            ..upload.lock.clone()
        },
        segments: chosen.into_iter().map(|part| part.segment.clone()).collect(),
    })
}

fn choose<'p>(
    upload: &UploadRecord,
    uploaded: &'p BTreeMap<i32, Part>,
    wanted: &[ChosenPart],
) -> Result<Vec<&'p Part>> {
    if wanted.is_empty() {
        return Err(Error::InvalidRequest("you must specify at least one part".to_owned()));
    }
    let mut chosen: Vec<&Part> = Vec::with_capacity(wanted.len());
    for (position, want) in wanted.iter().enumerate() {
        if chosen.last().is_some_and(|before| before.number >= want.number) {
            return Err(Error::InvalidPartOrder(want.number));
        }
        let part = uploaded.get(&want.number).filter(|part| part.etag == want.etag);
        let part = part.ok_or(Error::InvalidPart(want.number))?;
        if want.checksums.iter().any(|(algorithm, value)| part.checksums.get(algorithm) != Some(value)) {
            return Err(Error::InvalidPart(want.number));
        }
        if position + 1 < wanted.len() && part.segment.length < LEAST_PART {
            return Err(Error::EntityTooSmall(want.number));
        }
        if upload.coverage == Coverage::Composite && usize::try_from(want.number) != Ok(position + 1) {
            return Err(Error::InvalidRequest("a composite checksum needs consecutive part numbers from 1".to_owned()));
        }
        chosen.push(part);
    }
    Ok(chosen)
}

fn whole_checksum(upload: &UploadRecord, chosen: &[&Part]) -> Result<Checksum> {
    let algorithm = upload.effective_algorithm();
    let values = chosen
        .iter()
        .map(|part| {
            let value = part.checksums.get(&algorithm).ok_or(Error::InvalidPart(part.number))?;
            Ok((value.as_str(), part.segment.length))
        })
        .collect::<Result<Vec<_>>>()?;
    checksum::of_parts(algorithm, upload.coverage, &values)
        .ok_or_else(|| Error::InvalidRequest(format!("{} cannot cover the whole of several parts", algorithm.name())))
}
