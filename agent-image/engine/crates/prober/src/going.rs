//! A trace that goes on, with what its body keeps of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anabranch_aliases::resolver::{Resolver, Want as AliasWant};
use anabranch_aliases::sounding::Sounding;
use anabranch_prefixes::{Family, number_of};
use anabranch_trace::rule::Rule;
use anabranch_trace::sightings::Ask;
use anabranch_trace::tracer::{End, Tracer, Want};
use anabranch_wire::ip::UDP;
use anabranch_wire::probe::{Probe, Stamp, carried_time};
use anabranch_wire::reply::Reply;

use crate::clock::{Moment, unix_us};
use crate::sounding::show;
use crate::traceoptions::TraceOptions;
use crate::work::{Heard, Probed, Refusal, Target, Trace, Work, tell_vertex};

/// How long a trace waits after the kernel has refused a probe of it, so that queues run dry.
const RECOVERY_NS: u64 = 50_000_000;
/// How often in a row that ends it.
const REFUSALS: u8 = 20;

/// A probe of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shot {
    /// Of the tracer, and its attempt.
    Path(Ask, u8),
    /// Of the alias resolution, and its number.
    Alias(Sounding, u16),
}

/// What a trace wants from its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Send this probe now.
    Send(Shot),
    /// Hand over the next reply, or come back at this time, in microseconds.
    Wait(u64),
    /// Nothing more of the tracer, or of the alias resolution after it.
    Nothing,
}

/// A trace that goes on.
pub(crate) struct Going {
    pub trace: Trace,
    /// The probes of the alias resolution.
    pub soundings: BTreeMap<(Sounding, u16), Probed>,
    /// The numbers of the ways to the addresses that were probed themselves; None without a route.
    pub direct_ways: HashMap<u128, Option<u16>>,
    /// The addresses among which aliases are looked for, in the place of a path.
    pub list: Option<Vec<u128>>,
    /// The destination, as a number of its family.
    pub destination: (Family, u128),
    /// The number of the way to it; None until that is looked up.
    pub way: Option<u16>,
    /// When it ends in any case, in microseconds of the body's clock.
    due_us: u64,
    /// How often no route was found.
    pub lookups: u8,
    /// When the next probe to this destination may leave.
    pub free_ns: u64,
    /// In how many batches the kernel has refused probes of it since the last one that left.
    pub refusals: u8,
    /// When the last of these batches was out.
    refused_ns: u64,
}

impl Going {
    /// Begins a trace that ends at `due_us` in any case, in microseconds of the body's clock.
    pub fn new(target: Target, rule: Arc<Rule>, due_us: u64) -> Self {
        let now_us = unix_us();
        Self {
            trace: Trace {
                target,
                way: None,
                span_us: (now_us, now_us),
                probes: BTreeMap::new(),
                tracer: Tracer::new(rule),
                resolver: None,
                soundings: (0, 0),
                refusal: None,
            },
            soundings: BTreeMap::new(),
            direct_ways: HashMap::new(),
            list: None,
            destination: number_of(target.destination),
            way: None,
            due_us,
            lookups: 0,
            free_ns: 0,
            refusals: 0,
            refused_ns: 0,
        }
    }

    /// Looks for aliases among some addresses, and for no path.
    pub fn with_list(mut self, addresses: Vec<u128>) -> Self {
        self.trace.tracer.skip();
        self.list = Some(addresses);
        self
    }

    /// Returns the time until the next probe, if one address may get one each `gap_ns`.
    pub fn gap_ns(&self, gap_ns: u64) -> u64 {
        let resolver = self.trace.resolver.as_ref();
        gap_ns / resolver.map_or(1, Resolver::crowd)
    }

    /// Returns what the trace wants at this time, in microseconds.
    pub fn poll(&mut self, now_us: u64) -> Wish {
        if now_us >= self.due_us {
            self.trace.tracer.cut();
            return Wish::Nothing;
        }
        match self.ask(now_us) {
            Wish::Wait(until_us) => Wish::Wait(until_us.min(self.due_us)),
            wish => wish,
        }
    }

    fn ask(&mut self, now_us: u64) -> Wish {
        match &mut self.trace.resolver {
            None => match self.trace.tracer.poll(now_us) {
                Want::Send(ask, attempt) => Wish::Send(Shot::Path(ask, attempt)),
                Want::Wait(until_us) => Wish::Wait(until_us),
                Want::Nothing(_) => Wish::Nothing,
            },
            Some(_) if self.trace.refusal.is_some() => Wish::Nothing,
            Some(resolver) => match resolver.poll(now_us) {
                AliasWant::Send(sounding, number) => Wish::Send(Shot::Alias(sounding, number)),
                AliasWant::Wait(until_us) => Wish::Wait(until_us),
                AliasWant::Nothing => Wish::Nothing,
            },
        }
    }

    /// Notes that a probe leaves.
    pub fn note_sent(&mut self, shot: Shot, probed: Probed) {
        match shot {
            Shot::Path(ask, attempt) => self.trace.probes.insert((ask, attempt), probed),
            Shot::Alias(sounding, number) => self.soundings.insert((sounding, number), probed),
        };
    }

    /// Returns when the last echo request to an address left that was answered, in microseconds since
    /// 1970, and the TTL of the reply.
    pub fn last_echo(&self, address: u128) -> Option<(u64, u8)> {
        let echo = Sounding::Echo(address);
        let mut sent = self.soundings.range((echo, 0)..=(echo, u16::MAX)).rev();
        sent.find_map(|(_, probed)| Some((probed.sent.unix_us, probed.reply?.reply.ttl)))
    }

    /// Goes on with alias resolution.
    pub fn resolve(&mut self, resolver: Resolver) {
        self.trace.resolver = Some(resolver);
    }

    /// Returns whether the trace has shown all that it can, and its aliases were not looked for yet.
    pub fn may_resolve(&self) -> bool {
        let end = self.trace.tracer.end();
        let is_whole = !matches!(end, None | Some(End::Refused | End::TimeLimit));
        is_whole && self.trace.resolver.is_none()
    }

    /// Takes a reply that was read at a moment. Returns whether it is the first one to its probe; None
    /// if the trace did not send that.
    pub fn hear(
        &mut self,
        reply: &Reply,
        at_us: u64,
        read: Moment,
        (options, stamp): (&TraceOptions, &Stamp),
        work: &mut impl Work,
    ) -> Option<bool> {
        let (shot, probed) = self.find(options, &reply.probe)?;
        if probed.reply.is_some() {
            return Some(false);
        }
        let rtt_us = probed.sent.elapsed_us(at_us, read);
        probed.reply = Some(Heard {
            reply: *reply,
            at_us,
            rtt_us,
        });
        let probed = *probed;
        match shot {
            Shot::Path(ask, attempt) => {
                work.hear(&self.trace.target, ask, attempt, &probed);
                self.trace.tracer.take(ask, tell_vertex(reply), rtt_us);
            }
            Shot::Alias(sounding, number) => {
                if let Some((resolver, echoed)) =
                    self.trace.resolver.as_mut().zip(show(&probed, stamp))
                {
                    resolver.take(sounding, number, echoed);
                }
            }
        }
        Some(true)
    }

    /// Returns the probe that a reply claims to answer, if it was sent.
    fn find(&mut self, options: &TraceOptions, probe: &Probe) -> Option<(Shot, &mut Probed)> {
        let is_it = |probed: &Probed| carried_time(probed.sent.unix_us) == probe.sent;
        let sounding = if options.is_direct(probe) {
            match probe.protocol {
                UDP => Sounding::Port(probe.destination),
                _ => Sounding::Echo(probe.destination),
            }
        } else {
            let ask = options.tell(&self.trace.target, probe)?;
            let mut attempts = self.trace.probes.range_mut((ask, 0)..=(ask, u8::MAX));
            if let Some(((ask, attempt), probed)) = attempts.find(|(_, each)| is_it(each)) {
                return Some((Shot::Path(*ask, *attempt), probed));
            }
            Sounding::Along(ask)
        };
        // The times that probes carry repeat: the last one is meant.
        let all = (sounding, 0)..=(sounding, u16::MAX);
        let ((_, number), probed) = self
            .soundings
            .range_mut(all)
            .rfind(|(_, each)| is_it(each))?;
        Some((Shot::Alias(sounding, *number), probed))
    }

    /// Takes back a probe that the kernel has refused, in a batch that was out at `now_ns`. It was
    /// not sent, and the trace asks for it again.
    pub fn take_back(&mut self, shot: Shot, now_ns: u64) {
        match shot {
            Shot::Path(ask, attempt) => {
                self.trace.probes.remove(&(ask, attempt));
                self.trace.tracer.take_back(ask, attempt);
            }
            Shot::Alias(sounding, number) => {
                self.soundings.remove(&(sounding, number));
                if let Some(resolver) = &mut self.trace.resolver {
                    resolver.take_back(sounding, number);
                }
            }
        }
        self.free_ns = self.free_ns.max(now_ns + RECOVERY_NS);
        if self.refused_ns == now_ns {
            return;
        }
        self.refused_ns = now_ns;
        self.refusals += 1;
        if self.refusals == REFUSALS {
            let to = self.trace.target.destination;
            let reason = format!(
                "the kernel has refused probes to {to} {REFUSALS} times in a row; see that its \
                 link's queue is not full, and that no filter drops them"
            );
            self.trace.refuse(Refusal::Stuck(reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anabranch_trace::rule::Algorithm;

    use crate::work::Protocol;

    #[test]
    fn a_trace_ends_once_the_kernel_takes_no_probe_of_many_batches_in_a_row() {
        let target = Target {
            number: 0,
            destination: [240, 0, 9, 1].into(),
            protocol: Protocol::Udp,
            ttls: (1, 32),
        };
        let rule = Arc::new(Rule::new(Algorithm::Mda, 0.05));
        let mut going = Going::new(target, rule, u64::MAX);
        for batch in 1..=u64::from(REFUSALS) {
            assert!(going.trace.refusal.is_none());
            // Several probes of one batch count once.
            let asked = [0; 2].map(|now_us| going.poll(now_us));
            for wish in asked {
                let Wish::Send(shot) = wish else {
                    panic!("it asks again for what was refused");
                };
                going.take_back(shot, batch * RECOVERY_NS);
            }
        }
        assert_eq!(going.trace.tracer.end(), Some(End::Refused));
        assert_eq!(going.trace.tracer.probes(), 0);
        let reason = going.trace.refusal.as_ref().map(Refusal::reason);
        assert!(reason.is_some_and(|reason| reason.contains("240.0.9.1")));
    }
}
