//! Which streams there are, decided by the seed alone: any process makes the same ones.

use clap::Args;

use haulier_pages::Random;

/// Copies of copies are made no further.
const DEEPEST: u32 = 5;

/// What decides the streams.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Terms {
    /// What everything but the timing depends on.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many streams are stored.
    #[arg(long, default_value_t = 200)]
    pub(crate) streams: usize,
    /// Megabytes of the largest ones; the others are spread over all sizes below.
    #[arg(long, default_value_t = 1000)]
    pub(crate) largest: u64,
    /// Megabytes of all streams together, about.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) volume: u64,
}

/// One stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) seed: u64,
    pub(crate) source: Source,
    /// Its length; of a copy about.
    pub(crate) bytes: u64,
    depth: u32,
}

/// Where a stream's content comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Made up.
    Fresh,
    /// That of an earlier stream, with an edit after so many bytes, more or less.
    Copy { of: usize, every: u64 },
}

/// The streams, in the order in which they are stored first.
pub(crate) fn plan(terms: &Terms) -> Vec<Planned> {
    let mut random = Random::new(terms.seed, 0);
    let (largest, mut left) = (terms.largest * 1_000_000, terms.volume * 1_000_000);
    let mut streams: Vec<Planned> = Vec::with_capacity(terms.streams);
    for number in 0..terms.streams {
        let seed = random.next();
        let of = random.below(number as u64) as usize;
        let every = random.size(2_000, 1_000_000);
        let share = left / (terms.streams - number) as u64;
        let original = streams.get(of).copied().filter(|original| {
            original.depth < DEEPEST && original.bytes > 0 && original.bytes <= largest.min(20 * share)
        });
        // Nothing, a byte, and the largest are among them whatever the seed says.
        let fixed = match number {
            0 => Some(0),
            1 => Some(1),
            2 | 3 => Some(largest),
            _ => None,
        };
        let planned = match (fixed, original) {
            (None, Some(original)) if random.chance(65) => {
                let source = Source::Copy { of, every };
                Planned { seed, source, bytes: original.bytes, depth: original.depth + 1 }
            }
            _ => {
                let bytes = fixed.unwrap_or_else(|| random.size(1, largest.min((20 * share).max(1))));
                Planned { seed, source: Source::Fresh, bytes, depth: 0 }
            }
        };
        left = left.saturating_sub(planned.bytes);
        streams.push(planned);
    }
    streams
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_streams_of_all_sizes_stay_within_their_volume() {
        for seed in 1..20 {
            let terms = Terms { seed, streams: 200, largest: 1000, volume: 10_000 };
            let streams = plan(&terms);
            assert_eq!(streams, plan(&terms));
            assert_eq!(streams.len(), 200);
            let total: u64 = streams.iter().map(|stream| stream.bytes).sum();
            assert!((3_000_000_000..14_000_000_000).contains(&total), "{seed}: {total}");
            let copies = streams.iter().filter(|stream| stream.source != Source::Fresh).count();
            assert!((60..160).contains(&copies), "{seed}: {copies} copies");
            assert!(streams.iter().filter(|stream| stream.bytes == 1_000_000_000).count() >= 2);
            assert!(streams.iter().any(|stream| stream.bytes == 0));
        }
    }
}
