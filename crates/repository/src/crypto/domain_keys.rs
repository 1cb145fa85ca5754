//! What is derived from a domain key. One key per purpose, so that no two uses can collide.

use haulier_domain::id::DomainId;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::seal::{SALT_LENGTH, SealedKind, Sealer};
use super::{DomainKey, random};
use crate::error::Result;
use crate::ids::ChunkId;

const CHUNK_ID: &str = "haulier repository v1: chunk id";
const BOUNDARIES: &str = "haulier repository v1: chunk boundaries";
const LIST_SALT: &str = "haulier repository v1: list salt";

#[derive(Zeroize, ZeroizeOnDrop)]
struct Keys {
    chunk_id: [u8; 32],
    list_salt: [u8; 32],
    boundaries: u64,
    pack: [u8; 32],
    index: [u8; 32],
    list: [u8; 32],
    point: [u8; 32],
    prune: [u8; 32],
    proof: [u8; 32],
}

/// The derived keys of a domain.
pub(crate) struct DomainKeys {
    domain: DomainId,
    keys: Keys,
}

impl DomainKeys {
    pub(crate) fn derive(domain: &DomainId, key: &DomainKey) -> Self {
        let derive = |context: &str| blake3::derive_key(context, key.expose());
        let mut seed = derive(BOUNDARIES);
        let keys = Keys {
            chunk_id: derive(CHUNK_ID),
            list_salt: derive(LIST_SALT),
            boundaries: u64::from_le_bytes([seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], seed[6], seed[7]]),
            pack: derive(SealedKind::Pack.context()),
            index: derive(SealedKind::Index.context()),
            list: derive(SealedKind::List.context()),
            point: derive(SealedKind::Point.context()),
            prune: derive(SealedKind::Prune.context()),
            proof: derive(SealedKind::Proof.context()),
        };
        seed.zeroize();
        Self { domain: domain.clone(), keys }
    }

    /// The id of a chunk of this plain content.
    pub(crate) fn chunk_id(&self, plain: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(&self.keys.chunk_id, plain).as_bytes())
    }

    /// What the chunker's table is mixed with, so that boundaries tell nothing about content to whoever lacks the key.
    pub(crate) fn boundaries(&self) -> u64 {
        self.keys.boundaries
    }

    /// A sealer under a fresh random salt.
    pub(crate) fn new_sealer(&self, kind: SealedKind) -> Result<Sealer> {
        self.sealer(kind, random::<SALT_LENGTH>()?)
    }

    /// A sealer whose salt comes from the content: equal pages of lists become equal objects, and are stored once. The
    /// subkey then seals only this one content.
    ///
    /// `variant` 0 is the usual salt. Where a page of that name is about to be deleted, the next variant gives the same
    /// content another name.
    pub(crate) fn content_sealer(&self, kind: SealedKind, plain: &[u8], variant: u32) -> Result<Sealer> {
        let mut hasher = blake3::Hasher::new_keyed(&self.keys.list_salt);
        hasher.update(plain);
        if variant > 0 {
            hasher.update(&variant.to_le_bytes());
        }
        self.sealer(kind, *hasher.finalize().as_bytes())
    }

    /// The sealer for an object with this salt.
    pub(crate) fn sealer(&self, kind: SealedKind, salt: [u8; SALT_LENGTH]) -> Result<Sealer> {
        let key = match kind {
            SealedKind::Pack => &self.keys.pack,
            SealedKind::Index => &self.keys.index,
            SealedKind::List => &self.keys.list,
            SealedKind::Point => &self.keys.point,
            SealedKind::Prune => &self.keys.prune,
            SealedKind::Proof => &self.keys.proof,
        };
        Sealer::new(kind, key, &self.domain, salt)
    }
}

impl std::fmt::Debug for DomainKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DomainKeys").field("domain", &self.domain).finish_non_exhaustive()
    }
}
