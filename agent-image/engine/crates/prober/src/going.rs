//! A trace that goes on, with what its body keeps of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_prefixes::{Family, number_of};
use anabranch_trace::rule::Rule;
use anabranch_trace::sightings::Ask;
use anabranch_trace::tracer::Tracer;

use crate::clock::unix_us;
use crate::work::{Refusal, Target, Trace};

/// How long a trace waits after the kernel has refused a probe of it, so that queues run dry.
const RECOVERY_NS: u64 = 50_000_000;
/// How often in a row that ends it.
const REFUSALS: u8 = 20;

/// A trace that goes on.
pub(crate) struct Going {
    pub trace: Trace,
    /// The destination, as a number of its family.
    pub destination: (Family, u128),
    /// The number of the way to it; None until that is looked up.
    pub way: Option<u16>,
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
    /// Begins a trace.
    pub fn new(target: Target, rule: Arc<Rule>) -> Self {
        let now_us = unix_us();
        Self {
            trace: Trace {
                target,
                way: None,
                span_us: (now_us, now_us),
                probes: BTreeMap::new(),
                tracer: Tracer::new(rule),
                refusal: None,
            },
            destination: number_of(target.destination),
            way: None,
            lookups: 0,
            free_ns: 0,
            refusals: 0,
            refused_ns: 0,
        }
    }

    /// Takes back a probe that the kernel has refused, in a batch that was out at `now_ns`. It was
    /// not sent, and the tracer asks for it again.
    pub fn take_back(&mut self, ask: Ask, attempt: u8, now_ns: u64) {
        self.trace.probes.remove(&(ask, attempt));
        self.trace.tracer.take_back(ask, attempt);
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
    use anabranch_trace::tracer::{End, Want};

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
        let mut going = Going::new(target, rule);
        for batch in 1..=u64::from(REFUSALS) {
            assert!(going.trace.refusal.is_none());
            // Several probes of one batch count once.
            let asked = [0; 3].map(|now_us| going.trace.tracer.poll(now_us));
            for want in asked {
                let Want::Send(ask, attempt) = want else {
                    panic!("it asks again for what was refused");
                };
                going.take_back(ask, attempt, batch * RECOVERY_NS);
            }
        }
        assert_eq!(going.trace.tracer.end(), Some(End::Refused));
        assert_eq!(going.trace.tracer.probes(), 0);
        let reason = going.trace.refusal.as_ref().map(Refusal::reason);
        assert!(reason.is_some_and(|reason| reason.contains("240.0.9.1")));
    }
}
