//! Sealed objects: a header of 48 bytes with a salt, then parts sealed with AES-256-GCM under a subkey that belongs to
//! this object alone. Nonces count the parts; the associated data says which domain, kind of object, salt and position
//! a part belongs to, so that no part can stand in for another.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use haulier_domain::id::DomainId;
use zeroize::Zeroize;

use super::TAG_LENGTH;
use super::domain_keys::DomainKeys;
use crate::error::{Error, ObjectKind, Result};

/// Length of the header of a sealed object.
pub(crate) const HEADER_LENGTH: usize = 48;
/// Length of the salt within it.
pub(crate) const SALT_LENGTH: usize = 32;

const MAGIC: &[u8; 7] = b"HAULIER";
const VERSION: u8 = 1;
const SUBKEY: &str = "haulier repository v1: object subkey";
const SEAL: &[u8; 8] = b"haulier1";

/// The kinds of objects that are sealed with keys of the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealedKind {
    Pack = 1,
    Index = 2,
    List = 3,
    Point = 4,
    Prune = 5,
    Proof = 6,
}

impl SealedKind {
    pub(crate) fn context(self) -> &'static str {
        match self {
            Self::Pack => "haulier repository v1: pack",
            Self::Index => "haulier repository v1: index",
            Self::List => "haulier repository v1: list",
            Self::Point => "haulier repository v1: point",
            Self::Prune => "haulier repository v1: prune",
            Self::Proof => "haulier repository v1: proof",
        }
    }

    pub(crate) fn object(self) -> ObjectKind {
        match self {
            Self::Pack => ObjectKind::Pack,
            Self::Index => ObjectKind::Index,
            Self::List => ObjectKind::List,
            Self::Point => ObjectKind::Point,
            Self::Prune => ObjectKind::Prune,
            Self::Proof => ObjectKind::Proof,
        }
    }
}

/// Reads the header of a sealed object: its salt, once kind and version are right.
pub(crate) fn read_header(kind: SealedKind, object: &str, bytes: &[u8]) -> Result<[u8; SALT_LENGTH]> {
    let damaged = |what: &str| Error::damaged(kind.object(), object, what);
    let header = bytes.get(..HEADER_LENGTH).ok_or_else(|| damaged("it is shorter than its header"))?;
    if &header[..7] != MAGIC {
        return Err(damaged("it does not start with the mark of a Haulier object"));
    }
    if header[7] != VERSION {
        return Err(Error::Unsupported {
            kind: kind.object(),
            object: object.to_owned(),
            needs: format!("format version {}", header[7]),
        });
    }
    if header[8] != kind as u8 || header[9..16] != [0; 7] {
        return Err(damaged("its header says that it is something else"));
    }
    header[16..].try_into().map_err(|_| damaged("it is shorter than its header"))
}

/// Seals and opens the parts of one object.
pub(crate) struct Sealer {
    kind: SealedKind,
    salt: [u8; SALT_LENGTH],
    key: LessSafeKey,
    associated: Vec<u8>,
}

impl Sealer {
    pub(super) fn new(kind: SealedKind, key: &[u8; 32], domain: &DomainId, salt: [u8; SALT_LENGTH]) -> Result<Self> {
        let mut material = [0; 64];
        material[..32].copy_from_slice(key);
        material[32..].copy_from_slice(&salt);
        let mut subkey = blake3::derive_key(SUBKEY, &material);
        let unbound = UnboundKey::new(&AES_256_GCM, &subkey);
        subkey.zeroize();
        material.zeroize();
        let unbound = unbound.map_err(|_| Error::TaskStopped("the cipher refused its key".to_owned()))?;

        let name = domain.as_str().as_bytes();
        let mut associated = Vec::with_capacity(64 + name.len());
        associated.extend_from_slice(SEAL);
        associated.push(kind as u8);
        // An id is at most 64 bytes long, see `haulier_domain::id`.
        associated.push(name.len() as u8);
        associated.extend_from_slice(name);
        associated.extend_from_slice(&salt);
        Ok(Self { kind, salt, key: LessSafeKey::new(unbound), associated })
    }

    pub(crate) fn salt(&self) -> [u8; SALT_LENGTH] {
        self.salt
    }

    /// Appends the object's header.
    pub(crate) fn put_header(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.push(self.kind as u8);
        out.extend_from_slice(&[0; 7]);
        out.extend_from_slice(&self.salt);
    }

    /// Seals `out[start..]` in place as part `position`, and appends the tag. A position is sealed once per object.
    pub(crate) fn seal_tail(&self, out: &mut Vec<u8>, start: usize, position: u64, name: &str) -> Result<()> {
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(position), self.aad(position, name), &mut out[start..])
            .map_err(|_| Error::TaskStopped("the cipher failed to seal".to_owned()))?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens the sealed part `position` into `plain`, which must be 16 bytes shorter. `false`: it is not what was sealed.
    #[must_use]
    pub(crate) fn open(&self, sealed: &[u8], position: u64, name: &str, plain: &mut [u8]) -> bool {
        let Some((cipher, tag)) = sealed.len().checked_sub(TAG_LENGTH).and_then(|at| sealed.split_at_checked(at))
        else {
            return false;
        };
        cipher.len() == plain.len()
            && self.key.open_separate_gather(nonce(position), self.aad(position, name), cipher, tag, plain).is_ok()
    }

    fn aad(&self, position: u64, name: &str) -> Aad<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.associated.len() + 8 + name.len());
        bytes.extend_from_slice(&self.associated);
        bytes.extend_from_slice(&position.to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        Aad::from(bytes)
    }
}

fn nonce(position: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&position.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Builds a sealed object of one part. `name` is what the object is called, for objects whose name is not their hash.
pub(crate) fn seal_object(sealer: &Sealer, plain: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(HEADER_LENGTH + plain.len() + TAG_LENGTH);
    sealer.put_header(&mut out);
    out.extend_from_slice(plain);
    sealer.seal_tail(&mut out, HEADER_LENGTH, 0, name)?;
    Ok(out)
}

/// Opens a sealed object of one part.
pub(crate) fn open_object(
    keys: &DomainKeys,
    kind: SealedKind,
    object: &str,
    bytes: &[u8],
    name: &str,
) -> Result<Vec<u8>> {
    let salt = read_header(kind, object, bytes)?;
    let sealed = &bytes[HEADER_LENGTH..];
    let Some(length) = sealed.len().checked_sub(TAG_LENGTH) else {
        return Err(Error::damaged(kind.object(), object, "it is cut off"));
    };
    let mut plain = vec![0; length];
    if keys.sealer(kind, salt)?.open(sealed, 0, name, &mut plain) {
        Ok(plain)
    } else {
        Err(Error::damaged(kind.object(), object, "its seal is broken: altered, cut off, or of another domain"))
    }
}
