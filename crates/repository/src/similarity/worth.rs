//! When a delta is kept: pure arithmetic, chosen by measurement (`docs/adr/0006-similarity-deltas.md`).

/// What a delta costs besides its bytes, in bytes: the base's id in the pack's table and in the index.
const OVERHEAD: u64 = 64;

/// What becomes of a chunk for which a delta has been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The delta is stored.
    Keep,
    /// It would do, but is so large that another base may be the right one.
    Doubtful,
    /// The chunk is stored whole, to be a base in its turn: the old one has aged.
    Renew,
    /// The base was a bad one.
    Misfit,
}

/// What is known when a delta is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    /// Plain length of the chunk.
    pub(crate) plain: u64,
    /// Length of the delta.
    pub(crate) delta: u64,
    /// Plain and stored length of the base.
    pub(crate) base_plain: u64,
    pub(crate) base_stored: u64,
    /// What stands at this place in the base point is a delta on the base already.
    pub(crate) aging: bool,
}

impl Trial {
    /// What the chunk would take whole, to judge by its base.
    fn whole(&self) -> u64 {
        (self.plain * self.base_stored).div_ceil(self.base_plain.max(1)).min(self.plain)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let (whole, delta) = (self.whole(), self.delta + OVERHEAD);
        match () {
            // Seven tenths and up: the gain does not pay for the second read at restore.
            () if delta * 10 > whole * 7 => Verdict::Misfit,
            // Deltas on an ageing base grow day by day. To renew it at three tenths is within a tenth of the best for
            // changes of 2 to 5 % a day.
            () if self.aging && delta * 10 > whole * 3 => Verdict::Renew,
            // Of chunks in their right places hardly any has changed by more than a fifth.
            () if !self.aging && delta * 5 > whole => Verdict::Doubtful,
            () => Verdict::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_deltas_are_kept_and_old_bases_renewed() {
        let cases = [
            (2_000, false, Verdict::Keep),
            (2_000, true, Verdict::Keep),
            (10_000, false, Verdict::Keep),
            (17_000, true, Verdict::Keep),
            (19_000, false, Verdict::Doubtful),
            (19_000, true, Verdict::Renew),
            (30_000, false, Verdict::Doubtful),
            (45_000, false, Verdict::Misfit),
            (45_000, true, Verdict::Misfit),
            (400_000, false, Verdict::Misfit),
        ];
        for (delta, aging, expected) in cases {
            let trial = Trial { plain: 200_000, delta, base_plain: 100_000, base_stored: 30_000, aging };
            assert_eq!(trial.verdict(), expected, "{trial:?}");
        }
    }

    #[test]
    fn a_delta_that_saves_less_than_its_row_is_no_gain() {
        let trial = Trial { plain: 300, delta: 50, base_plain: 300, base_stored: 120, aging: false };
        assert_eq!(trial.verdict(), Verdict::Misfit);
    }
}
