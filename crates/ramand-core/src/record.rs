//! The unit of journal and delivery: a numbered record of one or several parts, and what is said about parts that are lost.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::SystemTime;

/// The number of a record: from 1, in the order of recording, given once and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    pub const fn number(self) -> u64 {
        self.0
    }

    /// The one after.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a part of a record says. The order is the order of delivery within a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartKind {
    /// What is concluded from a spectrum.
    Result,
    /// The maps that explain it.
    Cam,
    /// The counts themselves.
    Spectrum,
    /// Something happened that is worth knowing later.
    Event,
    /// Something happened that somebody must look at.
    Alarm,
    /// Parts that cannot be delivered any more.
    Gap,
}

impl PartKind {
    /// Every kind, in order.
    pub const ALL: [Self; 6] = [Self::Result, Self::Cam, Self::Spectrum, Self::Event, Self::Alarm, Self::Gap];

    /// The word for it, as in topics and gap records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Cam => "cam",
            Self::Spectrum => "spectrum",
            Self::Event => "event",
            Self::Alarm => "alarm",
            Self::Gap => "gap",
        }
    }

    /// The number for it on disk: fixed for ever.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// From the number on disk.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// One part of one record: the unit of delivery and acknowledgement, in the order of delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartKey {
    pub seq: Seq,
    /// Which part of it.
    pub kind: PartKind,
}

/// A part with its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it says.
    pub kind: PartKind,
    /// In the encoding its subscribers expect; shared with whoever else tells of it.
    pub payload: Arc<[u8]>,
    /// Whether somebody must be told.
    pub audience: Audience,
}

impl Part {
    /// A part that is owed to the subscribers until they acknowledge it.
    pub fn owed(kind: PartKind, payload: impl Into<Arc<[u8]>>) -> Self {
        Self { kind, payload: payload.into(), audience: Audience::Subscribers }
    }

    /// A part that is recorded and never sent.
    pub fn kept(kind: PartKind, payload: impl Into<Arc<[u8]>>) -> Self {
        Self { kind, payload: payload.into(), audience: Audience::JournalOnly }
    }
}

/// For whom a part is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Delivered at least once.
    Subscribers,
    /// Kept for reading on the spot.
    JournalOnly,
}

/// Whether the wall clock can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Synchronised with a time server or GPS.
    Synchronised,
    /// Running on its own.
    Free,
}

/// A record before it has its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name outside: instrument and number, say.
    pub id: String,
    /// When it came about, wall clock: informs, orders nothing.
    pub time: SystemTime,
    /// Whether that can be believed: by a time that cannot, nothing is too old.
    pub clock: Clock,
    /// At least one; every kind at most once.
    pub parts: Vec<Part>,
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartKinds(u8);

impl PartKinds {
    /// With `kind` as well.
    #[must_use]
    pub const fn with(self, kind: PartKind) -> Self {
        Self(self.0 | 1 << kind.code())
    }

    /// Those in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `kind` is in the set.
    pub const fn contains(self, kind: PartKind) -> bool {
        self.0 & 1 << kind.code() != 0
    }

    /// The kinds, in order.
    pub fn iter(self) -> impl Iterator<Item = PartKind> {
        PartKind::ALL.into_iter().filter(move |&kind| self.contains(kind))
    }

    /// The set as bits, bit n for the kind with code n.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From bits; those of no kind are dropped.
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & ((1 << PartKind::ALL.len()) - 1))
    }
}

impl FromIterator<PartKind> for PartKinds {
    fn from_iter<I: IntoIterator<Item = PartKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::default(), Self::with)
    }
}

/// Why parts are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// They were not acknowledged in time and had to make room for newer ones.
    Capacity,
    /// They could not be written when they came about.
    NotWritten,
}

impl LossReason {
    /// The word for it, as in gap records and on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::NotWritten => "not_written",
        }
    }

    /// From the word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Capacity, Self::NotWritten].into_iter().find(|reason| reason.name() == name)
    }
}

/// Consecutive records of which something will not be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Every one of them lost something.
    pub seqs: RangeInclusive<Seq>,
    /// What was lost of at least one of them.
    pub kinds: PartKinds,
    pub reason: LossReason,
}

/// All that one gap record declares lost: produced = delivered + gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gap {
    losses: Vec<Loss>,
}

impl Gap {
    /// Ascending; neighbours with the same reason are one.
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// Whether nothing is lost.
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }

    /// How many records lost something.
    pub fn records(&self) -> u64 {
        self.losses.iter().map(|loss| loss.seqs.end().0 - loss.seqs.start().0 + 1).sum()
    }

    /// Declares `lost` as well, joined with what it touches: a part lost for two reasons is lost for the earlier one.
    pub fn add(&mut self, lost: Loss) {
        let at = self.losses.partition_point(|loss| loss.seqs.start() < lost.seqs.start());
        self.losses.insert(at, lost);
        let mut joined: Vec<Loss> = Vec::with_capacity(self.losses.len());
        for loss in self.losses.drain(..) {
            match joined.last_mut() {
                Some(last) if loss.seqs.start().0 <= last.seqs.end().0 || continues(last, &loss) => {
                    last.kinds = last.kinds.union(loss.kinds);
                    last.seqs = *last.seqs.start()..=*last.seqs.end().max(loss.seqs.end());
                }
                _ => joined.push(loss),
            }
        }
        self.losses = joined;
    }
}

fn continues(before: &Loss, after: &Loss) -> bool {
    before.reason == after.reason && before.seqs.end().next() == *after.seqs.start()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_on_disk_means_one_kind() {
        for kind in PartKind::ALL {
            assert_eq!(PartKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(PartKind::from_code(PartKind::ALL.len() as u8), None);
    }

    proptest! {
        #[test]
        fn a_gap_covers_exactly_what_was_lost(
            lost in prop::collection::vec((1u64..60, 0u64..8, 0usize..6, any::<bool>()), 1..30),
        ) {
            let mut gap = Gap::default();
            let mut model = BTreeSet::new();
            for (first, more, kind, full) in lost {
                gap.add(Loss {
                    seqs: Seq(first)..=Seq(first + more),
                    kinds: PartKinds::default().with(PartKind::ALL[kind]),
                    reason: if full { LossReason::Capacity } else { LossReason::NotWritten },
                });
                model.extend(first..=first + more);
            }
            let covered: Vec<u64> =
                gap.losses().iter().flat_map(|loss| loss.seqs.start().0..=loss.seqs.end().0).collect();
            prop_assert_eq!(&covered, &model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(gap.records(), covered.len() as u64);
        }
    }
}
