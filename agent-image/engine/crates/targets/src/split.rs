//! Splits a list into the targets of a tool.

use anabranch_prefixes::{Family, Prefix, PrefixSet};

use crate::{Entry, Intent, Protocol, TargetList};

/// The most targets that one plan may have.
pub const MAX_TARGETS: u64 = 1 << 25;

/// The prefix lengths that a tool splits its targets to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// For IPv4, 0 to 32.
    pub v4: u8,
    /// For IPv6, 0 to 128.
    pub v6: u8,
}

impl Split {
    /// The length of the prefix that a bare IPv4 address stands for, unless the tool splits to
    /// longer prefixes (Iris's documentation).
    const BARE_V4: u8 = 24;

    const fn len(self, family: Family) -> u8 {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    /// Returns the prefix that an entry stands for. A bare address stands for its /24, or for a
    /// longer prefix if the tool splits to longer ones.
    fn prefix(self, entry: &Entry) -> Prefix {
        let prefix = entry.prefix;
        if entry.bare {
            Prefix::containing(prefix.family(), prefix.first(), self.v4.max(Self::BARE_V4))
        } else {
            prefix
        }
    }
}

/// Adjacent targets that are probed alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The address family.
    pub family: Family,
    /// The first target's first address.
    pub first: u128,
    /// The last target's last address.
    pub last: u128,
    /// The length of each target's prefix.
    pub len: u8,
    /// The probes' protocol.
    pub protocol: Protocol,
    /// How to probe each of them.
    pub intent: Intent,
}

impl Run {
    const fn host_bits(&self) -> u32 {
        (self.family.bits() - self.len) as u32
    }

    /// The mask of the host bits of a target's addresses.
    fn host_mask(&self) -> u128 {
        u128::MAX.checked_shr(128 - self.host_bits()).unwrap_or(0)
    }

    /// The number of targets. It is one too low if it would not fit (`::/0` split to addresses).
    fn count(&self) -> u128 {
        let last_index = (self.last - self.first).checked_shr(self.host_bits());
        last_index.unwrap_or(0).saturating_add(1)
    }

    fn target(&self, index: u64) -> Target {
        let offset = u128::from(index).checked_shl(self.host_bits()).unwrap_or(0);
        Target {
            prefix: Prefix::containing(self.family, self.first + offset, self.len),
            protocol: self.protocol,
            intent: self.intent,
        }
    }

    /// Returns the part of this run from address `first` to address `last`.
    const fn part(self, first: u128, last: u128) -> Self {
        Self {
            first,
            last,
            ..self
        }
    }

    const fn holds(&self, other: &Self) -> bool {
        self.protocol as u8 == other.protocol as u8
            && self.family as u8 == other.family as u8
            && self.first <= other.first
            && other.last <= self.last
    }

    /// Extends this run by the next one, if that is adjacent and probed alike. Returns whether it
    /// did.
    fn joins(&mut self, next: &Self) -> bool {
        let alike = |run: &Self| (run.protocol, run.family, run.len, run.intent);
        let joins = alike(self) == alike(next) && self.last.checked_add(1) == Some(next.first);
        if joins {
            self.last = next.last;
        }
        joins
    }
}

/// One prefix to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The prefix.
    pub prefix: Prefix,
    /// The probes' protocol.
    pub protocol: Protocol,
    /// How to probe it.
    pub intent: Intent,
}

/// The targets of a tool, disjoint for each protocol and sorted by protocol and prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    runs: Vec<Run>,
    count: u64,
    excluded: Vec<u128>,
    partly_excluded: u128,
}

/// The error of a list that stands for more targets than allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} targets, above the limit of {limit}; list fewer, or split to shorter prefixes")]
pub struct SplitError {
    /// The targets that the list stands for.
    pub count: u128,
    /// The most that are allowed.
    pub limit: u64,
}

impl Targets {
    /// The number of targets.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The number of targets that are left out, for each forbidden set. A target counts for the
    /// first set for which all of its addresses are in that set or in those before it.
    #[must_use]
    pub fn excluded(&self) -> &[u128] {
        &self.excluded
    }

    /// The number of targets that have some forbidden addresses, but not only such. The engine
    /// passes over these addresses.
    #[must_use]
    pub const fn partly_excluded(&self) -> u128 {
        self.partly_excluded
    }

    /// Returns how many targets ask for no TTL within these bounds, and how many ask for some TTLs
    /// within and some beyond.
    #[must_use]
    pub fn beyond(&self, min_ttl: u8, max_ttl: u8) -> (u128, u128) {
        let (mut outside, mut cut) = (0, 0);
        for run in &self.runs {
            let Intent {
                min_ttl: low,
                max_ttl: high,
                ..
            } = run.intent;
            if high < min_ttl || max_ttl < low {
                outside += run.count();
            } else if low < min_ttl || max_ttl < high {
                cut += run.count();
            }
        }
        (outside, cut)
    }

    /// The targets, as runs of adjacent ones.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Returns the target at the cursor, and moves the cursor to the next one; None at the end.
    #[must_use]
    pub fn advance(&self, cursor: &mut Cursor) -> Option<Target> {
        let run = self.runs.get(cursor.run)?;
        let target = run.target(cursor.index);
        cursor.index += 1;
        if u128::from(cursor.index) == run.count() {
            *cursor = Cursor {
                run: cursor.run + 1,
                index: 0,
            };
        }
        Some(target)
    }

    /// Returns all targets, one by one.
    pub fn iter(&self) -> impl Iterator<Item = Target> + '_ {
        let mut cursor = Cursor::default();
        std::iter::from_fn(move || self.advance(&mut cursor))
    }
}

/// A position among the targets, at first that of the first one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    run: usize,
    index: u64,
}

impl TargetList {
    /// Returns the targets of this list. This splits entries to the tool's prefix lengths, merges
    /// overlaps, and leaves out forbidden space.
    ///
    /// An entry shorter than the split's length becomes all prefixes of that length that it holds.
    /// A longer entry stays whole. If entries of one protocol overlap, the outermost is the target,
    /// and its intent is the union of theirs. A target is left out if all its addresses are
    /// forbidden. If only some are, the target stays, and the engine passes over these addresses.
    ///
    /// # Errors
    /// [`SplitError`] if more than `limit` targets are left, or more than [`MAX_TARGETS`].
    pub fn split(
        &self,
        split: Split,
        forbidden: &[PrefixSet],
        limit: u64,
    ) -> Result<Targets, SplitError> {
        let mut targets = Targets {
            excluded: vec![0; forbidden.len()],
            ..Targets::default()
        };
        let unions = unite(forbidden);
        let mut count = 0u128;
        for run in merged(raised(self.entries(), split)) {
            let Some(all) = unions.last() else {
                count = count.saturating_add(run.count());
                targets.runs.push(run);
                continue;
            };
            let allowed = run.without(all);
            for part in &allowed.parts {
                count = count.saturating_add(part.count());
            }
            targets.runs.extend(allowed.parts);
            targets.partly_excluded += allowed.partly;
            if allowed.excluded > 0 {
                targets.blame(&run, &unions);
            }
        }
        let limit = limit.min(MAX_TARGETS);
        targets.count = u64::try_from(count).unwrap_or(u64::MAX);
        if targets.count > limit {
            return Err(SplitError { count, limit });
        }
        Ok(targets)
    }
}

/// Returns the entries as runs of targets, each before those that lie within it.
///
/// An entry that is longer than the split's length and lies within another one stands for the whole
/// target around it. That is the prefix of the split's length, or the outermost entry if that one
/// is longer still.
fn raised(entries: &[Entry], split: Split) -> impl Iterator<Item = Run> + '_ {
    let mut outermost: Option<Run> = None;
    widened(entries, split).map(move |(protocol, prefix, intent)| {
        let family = prefix.family();
        let whole = |prefix: Prefix| Run {
            family,
            first: prefix.first(),
            last: prefix.last(),
            len: prefix.len().max(split.len(family)),
            protocol,
            intent,
        };
        let run = whole(prefix);
        match &outermost {
            Some(outer) if outer.holds(&run) => {
                let len = prefix.len().min(outer.len);
                whole(Prefix::containing(family, prefix.first(), len))
            }
            _ => *outermost.insert(run),
        }
    })
}

/// Returns what the entries stand for, in order. It does not copy them, since lists can be long.
fn widened(
    entries: &[Entry],
    split: Split,
) -> impl Iterator<Item = (Protocol, Prefix, Intent)> + '_ {
    // Bare addresses keep their order when they are widened, and so do the other entries. So it is
    // enough to merge the two.
    let of_kind = move |bare| {
        entries
            .iter()
            .filter(move |entry| entry.bare == bare)
            .map(move |entry| (entry.protocol, split.prefix(entry), entry.intent))
            .peekable()
    };
    let (mut bare, mut others) = (of_kind(true), of_kind(false));
    std::iter::from_fn(move || match (bare.peek(), others.peek()) {
        (Some(address), Some(other)) if address < other => bare.next(),
        (_, Some(_)) => others.next(),
        _ => bare.next(),
    })
}

/// Cuts runs that lie within one another into disjoint ones. Each of these gets the union of the
/// intents of all runs that cover it.
fn merged(nested: impl Iterator<Item = Run>) -> Vec<Run> {
    fn close(done: &mut Vec<Run>, run: Run) {
        if !done.last_mut().is_some_and(|last| last.joins(&run)) {
            done.push(run);
        }
    }

    let mut done: Vec<Run> = Vec::new();
    // The remainders of the runs around the current place, outermost first.
    let mut open: Vec<Run> = Vec::new();
    for mut run in nested {
        while let Some(ended) = open.pop_if(|around| !around.holds(&run)) {
            close(&mut done, ended);
        }
        if let Some(around) = open.last_mut() {
            run.intent = run.intent.union(around.intent);
            if run.intent == around.intent {
                continue;
            }
            if around.first < run.first {
                close(&mut done, around.part(around.first, run.first - 1));
            }
            if around.last == run.last {
                open.pop();
            } else {
                around.first = run.last + 1;
            }
        }
        open.push(run);
    }
    while let Some(ended) = open.pop() {
        close(&mut done, ended);
    }
    done
}

/// Returns, for each set, the union of it and those before it.
fn unite(sets: &[PrefixSet]) -> Vec<PrefixSet> {
    let mut unions: Vec<PrefixSet> = Vec::with_capacity(sets.len());
    for set in sets {
        let union = unions.last().map(|before| before.union(set));
        unions.push(union.unwrap_or_else(|| set.clone()));
    }
    unions
}

impl Targets {
    /// Counts, for each set, the targets of a run that it leaves out in addition to those before
    /// it.
    fn blame(&mut self, run: &Run, unions: &[PrefixSet]) {
        let mut before = 0;
        for (excluded, union) in self.excluded.iter_mut().zip(unions) {
            let now = run.without(union).excluded;
            *excluded = excluded.saturating_add(now - before);
            before = now;
        }
    }
}

/// What is left of a run after forbidden targets have been removed.
struct Allowed {
    /// The parts whose targets have an address to probe.
    parts: Vec<Run>,
    /// The number of targets that have none.
    excluded: u128,
    /// The number of targets with some forbidden addresses.
    partly: u128,
}

impl Run {
    /// Returns what is left of this run if some addresses are forbidden.
    fn without(&self, forbidden: &PrefixSet) -> Allowed {
        let host = self.host_mask();
        let mut allowed = Allowed {
            parts: Vec::new(),
            excluded: 0,
            partly: 0,
        };
        let mut rest = Some(*self);
        let mut last_partial = None;
        for (first, last) in forbidden
            .family(self.family)
            .overlapping(self.first, self.last)
        {
            let (first, last) = (first.max(self.first), last.min(self.last));
            let partial_head = (first & host != 0).then_some(first & !host);
            let partial_tail = (last & host != host).then_some(last & !host);
            for partial in [partial_head, partial_tail].into_iter().flatten() {
                // Ranges come in order, so a target met twice is met twice in a row.
                if last_partial.replace(partial) != Some(partial) {
                    allowed.partly += 1;
                }
            }
            let from = match partial_head {
                None => Some(first),
                Some(head) => (head | host).checked_add(1),
            };
            let to = match partial_tail {
                None => Some(last),
                Some(tail) => tail.checked_sub(1),
            };
            let (Some(from), Some(to)) = (from, to) else {
                continue;
            };
            if from > to {
                continue;
            }
            let gone = self.part(from, to).count();
            allowed.excluded = allowed.excluded.saturating_add(gone);
            if let Some(before) = rest.filter(|rest| rest.first < from) {
                allowed.parts.push(before.part(before.first, from - 1));
            }
            rest = (to < self.last).then(|| self.part(to + 1, self.last));
        }
        allowed.parts.extend(rest);
        allowed
    }
}
