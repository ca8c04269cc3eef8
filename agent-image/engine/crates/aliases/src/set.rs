//! The candidates of one hop, or of a list, what is said of each pair of them, and what they are
//! asked next.

use std::collections::{BTreeMap, VecDeque};

use anabranch_prefixes::Family;
use anabranch_trace::sightings::{Ask, Sightings, Vertex};

use crate::candidate::{Candidate, Way};
use crate::evidence::{Finding, Verdict, compare, judge};
use crate::series::Series;
use crate::sounding::{CYCLES, Counter, Echoed, Evidence, Sounding};

/// The probes without any reply after which a way is given up.
const PATIENCE: usize = 3;

/// The cycles after which identifications that have not decided are taken to be slow to do so.
const SLOW: u16 = 10;

/// The time between two probes to one hop, in microseconds: routers limit their errors.
const GAP_US: u64 = 10_000;
/// The least time between two probes to addresses of a list, which many routers have.
const LEAST_GAP_US: u64 = 1_000;
/// The time in which each address of a list is probed once, if these two allow it: even a fast counter
/// rises little meanwhile.
const CYCLE_US: u64 = 100_000;
/// The time between two probes to an address that is alone, and how many it gets: they tell how fast its
/// counter is, and are few beside what that gives to others.
const ALONE_US: u64 = 200_000;
const ALONE_CYCLES: u16 = 8;

/// The most addresses of a short list, which is watched closely: some of millions of pairs go side by side for
/// a while. Its cycles come in four phases, after each of which it rests, so that counters of other rates drift
/// apart. In each phase other addresses get three probes instead of one, so that idle counters do.
const SHORT: usize = 16;
const PHASE_CYCLES: u16 = 3;
const PHASES: u16 = 4;
const REST_US: u64 = 3_000_000;

/// What a set wants.
pub(crate) enum Step {
    Send(Sounding),
    /// To be asked again at this time, or when a reply came.
    Wait(u64),
    Nothing,
}

/// The addresses of a hop, or of a list.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    family: Family,
    /// The TTL of the hop; None for a list.
    ttl: Option<u8>,
    members: Vec<Member>,
    pairs: Vec<Pair>,
    queue: VecDeque<Sounding>,
    /// The numbers of the probes that wait for replies, and until when.
    flying: BTreeMap<u16, u64>,
    cycle: u16,
    /// The number of addresses that the cycle probes.
    crowd: u64,
    /// When the next probe may be sent.
    free_us: u64,
    /// The time after the last probe of the trace that was answered, by the clock of samples.
    since_us: u64,
}

/// What is said of two members.
#[derive(Clone, Debug)]
struct Pair {
    /// Their places.
    places: [usize; 2],
    /// What identifications say, by each way. What they once accept or reject stays.
    by_ids: [Verdict; 2],
    finding: Finding,
    /// The cycle after which that was found.
    cycle: u16,
    /// Whether it was known from the start.
    is_known: bool,
}

#[derive(Clone, Debug)]
struct Member {
    candidate: Candidate,
    /// The flows that met it.
    asks: Vec<Ask>,
    /// The probes by each way, and the replies to them.
    asked: [usize; 2],
    heard: [usize; 2],
    /// What the trace has shown of its errors.
    traced: Series,
    /// Whether it was asked for the source of port unreachables.
    is_sourced: bool,
}

impl Set {
    /// Returns the addresses of the routers of a hop, if there are several.
    pub fn of(family: Family, seen: &Sightings, ttl: u8) -> Option<Self> {
        let hop = seen.hop(ttl);
        let routers = hop.vertices().iter().filter_map(|vertex| match vertex {
            Vertex::Router(address) => Some(Member {
                candidate: Candidate::new(family, *address),
                asks: hop.flows(*vertex).map(|flow| Ask { flow, ttl }).collect(),
                asked: [0, 0],
                heard: [0, 0],
                traced: Series::Short,
                is_sourced: false,
            }),
            Vertex::End(_) | Vertex::Silent => None,
        });
        let members: Vec<Member> = routers.collect();
        (members.len() > 1).then(|| Self::new(family, Some(ttl), members))
    }

    /// Returns the addresses of a list, which are probed by echo requests alone.
    pub fn of_list(family: Family, addresses: &[u128]) -> Self {
        let members = addresses.iter().map(|address| Member {
            candidate: Candidate::new(family, *address),
            asks: Vec::new(),
            asked: [0, 0],
            heard: [0, 0],
            traced: Series::Short,
            is_sourced: false,
        });
        Self::new(family, None, members.collect())
    }

    fn new(family: Family, ttl: Option<u8>, members: Vec<Member>) -> Self {
        let places = 0..members.len();
        let pairs = places.flat_map(|one| (0..one).map(move |other| [other, one]));
        let pairs = pairs.map(|places| Pair {
            places,
            by_ids: [Verdict::Undetermined; 2],
            finding: Finding::NOTHING,
            cycle: 0,
            is_known: false,
        });
        Self {
            family,
            ttl,
            pairs: pairs.collect(),
            members,
            queue: VecDeque::new(),
            flying: BTreeMap::new(),
            cycle: 0,
            crowd: 0,
            free_us: 0,
            since_us: 0,
        }
    }

    /// The TTL of the hop; None for a list.
    pub const fn ttl(&self) -> Option<u8> {
        self.ttl
    }

    /// The number of addresses that the cycle probes; 1 of a hop, whose routers are near each other.
    pub const fn crowd(&self) -> u64 {
        match self.ttl {
            Some(_) => 1,
            None => self.crowd,
        }
    }

    /// Returns what the address of a list that has only one shows.
    pub fn counter(&self) -> Option<Counter> {
        match (self.ttl, self.members.as_slice()) {
            (None, [member]) => Some(Counter {
                series: member.candidate.series(Way::Echo, false),
                source: member.candidate.other_source(),
            }),
            _ => None,
        }
    }

    /// Takes a reply from an address of the hop.
    pub fn hear(&mut self, way: Way, echoed: Echoed) {
        let mut members = self.members.iter_mut();
        if let Some(member) = members.find(|each| each.candidate.address == echoed.from) {
            member.heard[way as usize] += 1;
            member.candidate.take(way, echoed.shown);
        }
    }

    /// Takes the address that a port unreachable about an address of the hop came from.
    pub fn learn_source(&mut self, address: u128, source: u128) {
        let mut members = self.members.iter_mut();
        if let Some(member) = members.find(|each| each.candidate.address == address) {
            member.candidate.take_source(source);
        }
    }

    /// Judges by what is known, and by what the trace has shown.
    pub fn begin(&mut self, know: impl Fn(u128, u128) -> Option<Finding>) {
        for pair in &mut self.pairs {
            let address = |place: usize| self.members[place].candidate.address;
            let [one, other] = pair.places.map(address);
            if let Some(finding) = know(one.min(other), one.max(other)) {
                pair.finding = finding;
                pair.is_known = true;
            }
        }
        self.judge();
        let last_us = self
            .members
            .iter()
            .filter_map(|each| each.candidate.last_us());
        self.since_us = last_us.max().map_or(0, |last_us| last_us + 1);
        for member in &mut self.members {
            member.heard = [0, 0];
            member.traced = member.candidate.series(Way::Error, false);
            member.candidate.pause();
        }
    }

    /// Returns what the set wants at this time.
    pub fn poll(&mut self, now_us: u64, most_cycles: u16) -> Step {
        if self.queue.is_empty() || self.family == Family::V6 {
            self.flying.retain(|_, due_us| *due_us > now_us);
            if let Some(due_us) = self.flying.values().min() {
                return Step::Wait(*due_us);
            }
        }
        if self.queue.is_empty() {
            self.judge();
            if self.cycle < most_cycles {
                self.go_round();
                if self.rests() {
                    self.free_us = now_us + REST_US;
                }
            }
        }
        match self.queue.front() {
            Some(_) if self.free_us > now_us => Step::Wait(self.free_us),
            Some(sounding) => Step::Send(*sounding),
            None => Step::Nothing,
        }
    }

    /// Notes that the next probe is sent; its reply is waited for until a time, if there will be one.
    pub fn launch(&mut self, sounding: Sounding, number: u16, now_us: u64, due_us: u64) {
        debug_assert_eq!(self.queue.front(), Some(&sounding));
        self.queue.pop_front();
        if !matches!(sounding, Sounding::TooBig(_)) {
            self.flying.insert(number, due_us);
        }
        self.free_us = now_us + self.gap_us();
    }

    /// Returns whether a probe is of this set, and was waited for. It is not any more.
    pub fn land(&mut self, number: u16) -> bool {
        self.flying.remove(&number).is_some()
    }

    /// Returns the time between two probes.
    fn gap_us(&self) -> u64 {
        match (self.ttl, self.crowd) {
            (Some(_), _) => GAP_US,
            (None, 0 | 1) => ALONE_US,
            (None, crowd) => (CYCLE_US / crowd).clamp(LEAST_GAP_US, GAP_US),
        }
    }

    /// Returns whether it is a short list.
    fn is_short(&self) -> bool {
        self.ttl.is_none() && (2..=SHORT).contains(&self.members.len())
    }

    /// Returns whether the cycle begins after a rest.
    fn rests(&self) -> bool {
        self.is_short() && self.cycle > 1 && self.cycle % PHASE_CYCLES == 1
    }

    /// Returns the echo requests that the address at a place gets in the cycle. Of a short list, any two
    /// addresses differ in one of the phases.
    fn echoes(&self, place: usize) -> usize {
        let phase = (self.cycle - 1) / PHASE_CYCLES % PHASES;
        if self.is_short() && place >> phase & 1 == 1 {
            3
        } else {
            1
        }
    }

    /// Returns the fewest readings of each counter that can be one. With fewer, idle counters with the
    /// same values pass too often. Of fragments the order of all readings is known.
    fn least_readings(&self) -> usize {
        match self.family {
            _ if self.is_short() => usize::from(PHASES * PHASE_CYCLES),
            Family::V4 => 5,
            Family::V6 => 4,
        }
    }

    /// Sends a probe again that could not be sent.
    pub fn ask_again(&mut self, sounding: Sounding) {
        self.queue.push_front(sounding);
    }

    /// Returns the addresses of which a pair is open.
    pub fn open(&self) -> impl Iterator<Item = u128> + '_ {
        let open = self.pairs.iter().filter(|pair| pair.is_open());
        open.flat_map(|pair| {
            pair.places
                .map(|place| self.members[place].candidate.address)
        })
    }

    /// Returns what is said of each pair.
    pub fn evidence(&self) -> impl Iterator<Item = Evidence> + '_ {
        self.pairs.iter().map(|pair| {
            let address = |place: usize| self.members[place].candidate.address;
            let [one, other] = pair.places.map(address);
            Evidence {
                ttl: self.ttl.unwrap_or(0),
                first: one.min(other),
                second: one.max(other),
                finding: pair.finding,
                round: pair.cycle.div_ceil(CYCLES) as u8,
            }
        })
    }

    /// Compares the pairs that are not decided for good.
    fn judge(&mut self) {
        let least = self.least_readings();
        for pair in self.pairs.iter_mut().filter(|pair| pair.is_open()) {
            let members = pair.places.map(|place| &self.members[place]);
            let [first, second] = members.map(|member| &member.candidate);
            for way in [Way::Error, Way::Echo] {
                // Echo replies only matter if a counter numbers them, as it does the errors.
                let are_counters = match way {
                    Way::Error => members.iter().all(|member| member.traced.is_slow()),
                    Way::Echo => pair.by_ids[Way::Error as usize] == Verdict::Reject,
                };
                let said = &mut pair.by_ids[way as usize];
                if *said == Verdict::Undetermined {
                    let [one, other] = [first, second].map(|each| each.series(way, are_counters));
                    *said = compare(&one, &other, self.family, least, self.since_us);
                }
            }
            let found = judge(first, second, pair.by_ids);
            if found != pair.finding {
                (pair.finding, pair.cycle) = (found, self.cycle);
            }
        }
    }

    /// Asks each address of an open pair once more, by errors as long as these may tell something, and
    /// then by echo requests. At first each gets an echo request for its initial TTL. Where
    /// identifications do not decide, or are slow to, each gets a probe to a port for the source of the
    /// reply; those of a list get it at first, since many are there for their source. A router whose
    /// reply was not cut is told to cut the next one.
    fn go_round(&mut self) {
        let tells: Vec<_> = self.members.iter().map(Member::tells).collect();
        let mut wanted = vec![[false; 2]; self.members.len()];
        let mut unsourced = vec![false; self.members.len()];
        for pair in self.pairs.iter().filter(|pair| pair.is_open()) {
            let is_open = |way: usize| {
                pair.by_ids[way] == Verdict::Undetermined
                    && pair.places.iter().all(|place| tells[*place][way])
            };
            let way = (0..2).find(|way| is_open(*way));
            let lacks_mark = |place: &usize| self.members[*place].asked[Way::Echo as usize] == 0;
            if pair.places.iter().any(lacks_mark) {
                for place in pair.places.iter().filter(|place| lacks_mark(place)) {
                    wanted[*place][Way::Echo as usize] = true;
                    unsourced[*place] = self.ttl.is_none();
                }
                continue;
            }
            for place in pair.places {
                if let Some(way) = way {
                    wanted[place][way] = true;
                }
                if way.is_none() || self.cycle >= SLOW {
                    unsourced[place] = !self.members[place].is_sourced;
                }
            }
        }
        if self.members.len() == 1 && self.cycle < ALONE_CYCLES {
            wanted[0][Way::Echo as usize] = tells[0][Way::Echo as usize];
            unsourced[0] = !self.members[0].is_sourced;
        }
        self.cycle += 1;
        self.crowd = wanted.iter().filter(|ways| ways.contains(&true)).count() as u64;
        for place in (0..unsourced.len()).filter(|place| unsourced[*place]) {
            let member = &mut self.members[place];
            member.is_sourced = true;
            let port = Sounding::Port(member.candidate.address);
            self.queue.push_back(port);
        }
        for way in [Way::Error, Way::Echo] {
            let places = (0..wanted.len()).filter(|place| wanted[*place][way as usize]);
            let places: Vec<usize> = places.collect();
            for place in shuffle(&places, self.cycle) {
                let probes = match way {
                    Way::Error => 1,
                    Way::Echo => self.echoes(place),
                };
                let member = &mut self.members[place];
                if way == Way::Echo && member.candidate.is_whole() {
                    let too_big = Sounding::TooBig(member.candidate.address);
                    self.queue.push_back(too_big);
                }
                self.queue.extend((0..probes).map(|_| member.ask(way)));
            }
        }
    }
}

impl Pair {
    /// Returns whether more replies may change what is said of it. Some routers have a counter of errors
    /// for each interface, but not of echo replies, too.
    const fn is_open(&self) -> bool {
        let is_rejected_twice = matches!(self.by_ids, [Verdict::Reject, Verdict::Reject]);
        !self.is_known && !self.finding.is_firm() && !is_rejected_twice
    }
}

impl Member {
    /// Returns whether more replies by each way may tell something.
    fn tells(&self) -> [bool; 2] {
        [Way::Error, Way::Echo].map(|way| {
            if way == Way::Error && self.asks.is_empty() {
                return false;
            }
            let is_silent = self.asked[way as usize] >= PATIENCE && self.heard[way as usize] == 0;
            let series = self.candidate.series(way, false);
            let is_useless = way == Way::Error
                && matches!(
                    self.traced,
                    Series::Absent | Series::Constant | Series::Copied
                );
            !is_silent && !is_useless && matches!(series, Series::Short | Series::Counter(_))
        })
    }

    /// Returns the next probe by a way.
    fn ask(&mut self, way: Way) -> Sounding {
        let asked = self.asked[way as usize];
        self.asked[way as usize] += 1;
        match way {
            Way::Error => Sounding::Along(self.asks[asked % self.asks.len()]),
            Way::Echo => Sounding::Echo(self.candidate.address),
        }
    }
}

/// Returns the places in another order each time. So no two addresses are always probed one right after
/// the other, when nobody can tell which of them replied first.
fn shuffle(places: &[usize], cycle: u16) -> Vec<usize> {
    let count = places.len();
    let strides = (1..=count).filter(|stride| is_coprime(*stride, count));
    let strides: Vec<usize> = strides.collect();
    let Some(stride) = strides.get(usize::from(cycle) % strides.len().max(1)) else {
        return Vec::new();
    };
    (0..count)
        .map(|step| places[(step * stride + usize::from(cycle)) % count])
        .collect()
}

const fn is_coprime(mut one: usize, mut other: usize) -> bool {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one == 1
}
