//! What the tests say of two addresses: whether they are aliases, interfaces of one router.

use anabranch_prefixes::Family;

use crate::bounds::Window;
use crate::candidate::Candidate;
use crate::series::{Reading, Series, ring_of};

/// What is said of two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// They are aliases.
    Accept,
    /// They are not.
    Reject,
    /// Nobody can tell.
    Undetermined,
}

impl Verdict {
    /// Returns the verdict of a name, if there is one.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        let all = [Self::Accept, Self::Reject, Self::Undetermined];
        all.into_iter().find(|verdict| verdict.name() == name)
    }

    /// Returns the verdict as results name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Undetermined => "undetermined",
        }
    }
}

/// The test that a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// The monotonic bounds test on the identifications of errors.
    ErrorIds,
    /// The same on those of echo replies.
    EchoIds,
    /// The same on those of fragments, into which echo replies over IPv6 are cut.
    FragmentIds,
    /// Initial TTLs.
    Fingerprint,
    /// MPLS labels.
    Labels,
    /// The source of port unreachables.
    Source,
}

impl Test {
    /// Returns the test as results name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorIds => "error ids",
            Self::EchoIds => "echo ids",
            Self::FragmentIds => "fragment ids",
            Self::Fingerprint => "fingerprint",
            Self::Labels => "labels",
            Self::Source => "source",
        }
    }
}

/// The highest probability with which two counters that have nothing to do with each other are taken
/// for one.
pub const CHANCE: f64 = 1e-4;
/// The parts of eight of a round-trip time, at each end, in which no router is taken to have made its
/// reply. An order that rests on it accepts, but does not reject.
const TRUST: u64 = 2;

/// What was found about two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is said of them.
    pub verdict: Verdict,
    /// The test that says so; None if no test says anything.
    pub test: Option<Test>,
}

impl Finding {
    pub(crate) const NOTHING: Self = Self {
        verdict: Verdict::Undetermined,
        test: None,
    };

    const fn of(verdict: Verdict, test: Test) -> Self {
        Self {
            verdict,
            test: Some(test),
        }
    }

    /// Returns whether more identifications can't change it.
    #[must_use]
    pub const fn is_firm(self) -> bool {
        match self.verdict {
            Verdict::Accept => true,
            Verdict::Reject => !matches!(
                self.test,
                Some(Test::ErrorIds | Test::EchoIds | Test::FragmentIds)
            ),
            Verdict::Undetermined => false,
        }
    }
}

/// Returns what is found about two addresses of one hop, of which the identifications of errors and
/// of echo replies say this.
///
/// What can't be by chance comes first: a shared counter outweighs counters of which each belongs to
/// an interface, and labels outweigh these.
#[must_use]
pub fn judge(first: &Candidate, second: &Candidate, by_ids: [Verdict; 2]) -> Finding {
    let marks = first.fingerprint().into_iter().zip(second.fingerprint());
    let mut both = marks.filter_map(|(one, other)| Some((one?, other?)));
    if both.any(|(one, other)| one != other) {
        return Finding::of(Verdict::Reject, Test::Fingerprint);
    }
    if have_one_source(first, second) {
        return Finding::of(Verdict::Accept, Test::Source);
    }
    let of_echoes = match first.family() {
        Family::V4 => Test::EchoIds,
        Family::V6 => Test::FragmentIds,
    };
    let tests = [Test::ErrorIds, of_echoes].into_iter().zip(by_ids);
    let says = |verdict| tests.clone().find(|(_, said)| *said == verdict);
    if let Some((test, verdict)) = says(Verdict::Accept) {
        return Finding::of(verdict, test);
    }
    if let (Some(labels), Some(others)) = (first.labels(), second.labels()) {
        let are_equal = labels == others;
        let verdict = if are_equal {
            Verdict::Accept
        } else {
            Verdict::Reject
        };
        return Finding::of(verdict, Test::Labels);
    }
    says(Verdict::Reject).map_or(Finding::NOTHING, |(test, verdict)| {
        Finding::of(verdict, test)
    })
}

/// Returns whether a router replies about one of two addresses from the other one, or about both from
/// a third (Govindan, Tangmunarunkit, "Heuristics for Internet map discovery", INFOCOM 2000).
fn have_one_source(first: &Candidate, second: &Candidate) -> bool {
    let sources = [first, second].map(|each| each.other_source().unwrap_or(each.address));
    sources[0] == sources[1]
}

/// Returns what two series say: reject if they are certainly out of order, accept if they are in order,
/// and hardly by chance. All readings must be in order, but only by how much both rose since a time tells how
/// likely that is: earlier readings are further from each other. Counters of which one has fewer than
/// `least` readings are never accepted.
#[must_use]
pub fn compare(
    first: &Series,
    second: &Series,
    family: Family,
    least: usize,
    since_us: u64,
) -> Verdict {
    let (Series::Counter(first), Series::Counter(second)) = (first, second) else {
        return Verdict::Undetermined;
    };
    let ring = ring_of(family);
    if !Window::find(first, second, 0).has_multiple(ring) {
        return Verdict::Reject;
    }
    let likely = Window::find(first, second, TRUST);
    let passed = advance(first, since_us).min(advance(second, since_us));
    let are_enough = first.len().min(second.len()) >= least;
    if are_enough && likely.has_multiple(ring) && likely.chance(passed) <= CHANCE {
        return Verdict::Accept;
    }
    Verdict::Undetermined
}

/// Returns by how much a counter rose from its first reading since a time to its last one.
fn advance(readings: &[Reading], since_us: u64) -> i64 {
    let first = readings.iter().find(|each| each.span_us.0 >= since_us);
    let ends = first.zip(readings.last());
    ends.map_or(0, |(first, last)| last.value - first.value)
}
