//! What is in a database: pages made from a seed, or those of the backup that it was restored from, and what was changed
//! since.
//!
//! Nothing is held in memory but which pages were changed. A database from images that others wrote (a real server's
//! backups) is opaque: its images are kept as they are, given back as they are, and its pages cannot be changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use haulier_pages::{PAGE, PageMaker, Random};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::backup::{EXTENT, Inspected, Pages, inspect, places};

/// Pages of an extent.
pub(crate) const EXTENT_PAGES: u32 = (EXTENT / PAGE) as u32;

/// Where the pages come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// Made from a seed.
    Seed(u64),
    /// Read from images of our own, in the instance's folder of images: a full set, and a differential one over it.
    Images { full: Vec<PathBuf>, differential: Vec<PathBuf> },
    /// Images of another server, likewise.
    Opaque { full: Vec<PathBuf>, differential: Vec<PathBuf> },
}

/// A database's contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contents {
    pub(crate) origin: Origin,
    /// How many pages there are, in whole extents.
    pub(crate) pages: u32,
    /// Pages that were changed, and when for the last time.
    pub(crate) changes: BTreeMap<u32, u32>,
    /// Counts the changes, so that what came after a backup can be told from what came before.
    pub(crate) generation: u32,
}

impl Contents {
    /// Pages from a seed; as many as asked for, in whole extents.
    pub(crate) fn seeded(seed: u64, pages: u32) -> Self {
        let pages = pages.max(1).div_ceil(EXTENT_PAGES) * EXTENT_PAGES;
        Self::of(Origin::Seed(seed), pages)
    }

    /// Pages from somewhere, none of them changed.
    pub(crate) fn of(origin: Origin, pages: u32) -> Self {
        Self { origin, pages, changes: BTreeMap::new(), generation: 0 }
    }

    /// What a database holds whose restore has only begun.
    pub(crate) fn nothing() -> Self {
        Self::of(Origin::Images { full: Vec::new(), differential: Vec::new() }, 0)
    }

    /// The images that it needs.
    pub(crate) fn images(&self) -> Vec<&PathBuf> {
        match &self.origin {
            Origin::Seed(_) => Vec::new(),
            Origin::Images { full, differential } | Origin::Opaque { full, differential } => {
                full.iter().chain(differential).collect()
            }
        }
    }

    /// Whether it came from another server and is kept as it is.
    pub(crate) fn is_opaque(&self) -> bool {
        matches!(self.origin, Origin::Opaque { .. })
    }

    /// Changes so many different pages, chosen by a seed; at most all of them. Returns them.
    pub(crate) fn change(&mut self, count: u32, seed: u64) -> Vec<u32> {
        self.generation += 1;
        let mut random = Random::new(seed, u64::from(self.generation));
        let mut chosen = BTreeSet::new();
        while chosen.len() < count.min(self.pages) as usize {
            chosen.insert(random.below(u64::from(self.pages)) as u32);
        }
        self.changes.extend(chosen.iter().map(|page| (*page, self.generation)));
        chosen.into_iter().collect()
    }

    /// Every extent, or those with a page that was changed after a generation.
    pub(crate) fn extents(&self, since: Option<u32>) -> Vec<u32> {
        match since {
            None => (0..self.pages / EXTENT_PAGES).collect(),
            Some(since) => {
                let changed = self.changes.iter().filter(|(_, generation)| **generation > since);
                changed.map(|(page, _)| page / EXTENT_PAGES).collect::<BTreeSet<_>>().into_iter().collect()
            }
        }
    }

    /// Opens what is needed to read the pages; `folder` holds the images. Blocking.
    pub(crate) fn open(&self, folder: &Path) -> io::Result<Reader> {
        let mut reader =
            Reader { maker: PageMaker::new(), seed: 0, files: Vec::new(), index: None, changes: self.changes.clone() };
        match &self.origin {
            Origin::Seed(seed) => reader.seed = *seed,
            Origin::Images { full, differential } => {
                let mut index = BTreeMap::new();
                for path in full.iter().chain(differential) {
                    let path = folder.join(path);
                    let Inspected::Plain(_, range) = inspect(&path)? else {
                        return Err(io::Error::other(format!("{} is no image", path.display())));
                    };
                    let file = File::open(&path)?;
                    let number = reader.files.len();
                    // Later ones lie over earlier ones.
                    index.extend(places(&file, &range)?.into_iter().map(|(extent, at)| (extent, (number, at))));
                    reader.files.push(file);
                }
                reader.index = Some(index);
            }
            Origin::Opaque { .. } => return Err(io::Error::other("the pages of another server's backup are not read")),
        }
        Ok(reader)
    }

    /// SHA-256 of each image, those of a differential backup last. Blocking.
    pub(crate) fn image_hashes(&self, folder: &Path) -> io::Result<Vec<String>> {
        let hash = |path: &&PathBuf| {
            let mut hasher = Sha256::new();
            io::copy(&mut File::open(folder.join(path))?, &mut Hashing(&mut hasher))?;
            Ok(hex::encode(hasher.finalize()))
        };
        self.images().iter().map(hash).collect()
    }

    /// SHA-256 over all pages, or over the images of an opaque database. Blocking.
    pub(crate) fn fingerprint(&self, folder: &Path) -> io::Result<String> {
        let mut hasher = Sha256::new();
        if self.is_opaque() {
            for path in self.images() {
                io::copy(&mut File::open(folder.join(path))?, &mut Hashing(&mut hasher))?;
            }
        } else {
            let reader = self.open(folder)?;
            let mut extent = Box::new([0; EXTENT]);
            for number in 0..self.pages / EXTENT_PAGES {
                reader.extent(number, &mut extent)?;
                hasher.update(&extent[..]);
            }
        }
        Ok(hex::encode(hasher.finalize()))
    }
}

struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the pages as they were when it was opened.
#[derive(Debug)]
pub(crate) struct Reader {
    maker: PageMaker,
    seed: u64,
    files: Vec<File>,
    /// For each extent the file and the place in it.
    index: Option<BTreeMap<u32, (usize, u64)>>,
    changes: BTreeMap<u32, u32>,
}

impl Pages for Reader {
    fn extent(&self, number: u32, into: &mut [u8; EXTENT]) -> io::Result<()> {
        let first = number * EXTENT_PAGES;
        match &self.index {
            Some(index) => {
                let missing = || io::Error::other(format!("extent {number} is in no image"));
                let (file, at) = index.get(&number).ok_or_else(missing)?;
                self.files[*file].read_exact_at(into, *at)?;
            }
            None => {
                for (page, number) in into.as_chunks_mut::<PAGE>().0.iter_mut().zip(first..) {
                    self.maker.fill(page, self.seed, number);
                }
            }
        }
        for (page, number) in into.as_chunks_mut::<PAGE>().0.iter_mut().zip(first..) {
            if let Some(generation) = self.changes.get(&number) {
                self.maker.rewrite(page, *generation);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted_from_any_point_on() {
        let mut contents = Contents::seeded(1, 1000);
        assert_eq!(contents.extents(None).len(), 125);
        contents.change(3, 9);
        let first = contents.generation;
        assert!((1..=3).contains(&contents.extents(Some(0)).len()));
        assert!(contents.extents(Some(first)).is_empty());
        contents.change(5000, 9);
        assert_eq!(contents.extents(Some(first)).len(), 125, "all pages at most");
    }

    #[test]
    fn a_fingerprint_tells_databases_apart() {
        let folder = Path::new("/nonexistent");
        let print = |contents: &Contents| contents.fingerprint(folder).unwrap();
        let (first, mut second) = (Contents::seeded(1, 64), Contents::seeded(1, 64));
        assert_eq!(print(&first), print(&second));
        second.change(1, 1);
        assert_ne!(print(&first), print(&second));
        assert_ne!(print(&first), print(&Contents::seeded(2, 64)));
    }
}
