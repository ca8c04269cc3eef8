//! How the probes of traces leave: by which way, and under which limits.

use std::io;

use anabranch_aliases::sounding::Sounding;
use anabranch_prefixes::{Family, Prefix};
use anabranch_wire::fragment::LARGE;

use crate::control::Counter;
use crate::error::ProberError;
use crate::going::Shot;
use crate::outlet::Form;
use crate::tracing::Tracing;
use crate::work::{Probed, Refusal};

/// The time between two looks for a route.
const LOOKUP_NS: u64 = 1_000_000_000;
/// The way to a destination without a route.
const NO_WAY: u16 = u16::MAX;

impl Tracing<'_> {
    /// Adds a probe to the next batch, unless the limits forbid it. Returns whether it does.
    pub fn shoot(&mut self, place: usize, shot: Shot, way: u16) -> Result<bool, ProberError> {
        let Some(going) = &mut self.traces[place] else {
            return Ok(false);
        };
        let family = going.destination.0;
        let (target, sent) = (going.trace.target, self.outlet.now());
        let (probe, way, form) = match shot {
            Shot::Path(ask, _) | Shot::Alias(Sounding::Along(ask), _) => {
                let probe = self.options.shape(&target, ask, sent.unix_us);
                (probe, Some(way), Form::Usual)
            }
            Shot::Alias(Sounding::Echo(address), _) => {
                let probe = self.options.shape_echo(&target, address, sent.unix_us);
                let form = match family {
                    Family::V4 => Form::Usual,
                    Family::V6 => Form::Large,
                };
                (probe, self.find_direct_way(place, family, address)?, form)
            }
            Shot::Alias(Sounding::TooBig(address), _) => {
                // A resolver asks for it once a reply came: there is nothing else to quote.
                let Some((sent_us, ttl)) = going.last_echo(address) else {
                    return Ok(false);
                };
                let probe = self.options.shape_echo(&target, address, sent_us);
                let way = self.find_direct_way(place, family, address)?;
                (probe, way, Form::TooBig { ttl })
            }
            Shot::Alias(Sounding::Port(address), _) => {
                let probe = self.options.shape_port(&target, address, sent.unix_us);
                let way = self.find_direct_way(place, family, address)?;
                (probe, way, Form::Usual)
            }
        };
        let way = way.filter(|way| form != Form::Large || self.outlet.fits(*way, LARGE));
        let is_allowed = self.outlet.allows(family, probe.destination, probe.ttl);
        let Some(going) = &mut self.traces[place] else {
            return Ok(false);
        };
        if let Some(way) = way.filter(|_| is_allowed) {
            self.outlet.put_as(form, way, &probe)?;
            going.note_sent(shot, Probed { sent, reply: None });
            self.batch.push((place, shot));
            return Ok(true);
        }
        if let (Shot::Alias(_, number), Some(resolver)) = (shot, &mut going.trace.resolver) {
            // An address that must not be probed shows less, and that is all.
            resolver.lose(number);
            return Ok(false);
        }
        self.control.count(Counter::Forbidden, 1);
        let (to, ttl) = (target.destination, probe.ttl);
        let reason = format!("the limits forbid a probe to {to} with TTL {ttl}");
        going.trace.refuse(Refusal::Forbidden(reason));
        Ok(false)
    }

    /// Returns the number of the way to an address that a trace has met; None without a route.
    fn find_direct_way(
        &mut self,
        place: usize,
        family: Family,
        address: u128,
    ) -> io::Result<Option<u16>> {
        let Some(going) = &mut self.traces[place] else {
            return Ok(None);
        };
        if let Some(way) = going.direct_ways.get(&address) {
            return Ok(*way);
        }
        let inlet = &mut self.inlet;
        let to = Prefix::containing(family, address, family.bits()).address();
        let way = match self.outlet.find_way(to, |opening| inlet.open(opening)) {
            Ok(way) => Some(way),
            Err(error) if error.kind() == io::ErrorKind::NetworkUnreachable => None,
            Err(error) => return Err(error),
        };
        going.direct_ways.insert(address, way);
        self.direct.add((family, address), place);
        Ok(way)
    }

    /// Takes back the probes of the last batch that the kernel has refused. They were not sent, and
    /// their tracers ask for them again.
    pub fn take_back(&mut self, refused: &[usize]) {
        let now_ns = self.outlet.now_ns();
        for (number, (place, shot)) in self.batch.drain(..).enumerate() {
            let Some(going) = &mut self.traces[place] else {
                continue;
            };
            if refused.binary_search(&number).is_ok() {
                going.take_back(shot, now_ns);
                self.schedule.enqueue(place);
            } else {
                going.refusals = 0;
            }
        }
    }

    /// Finds the way to a destination. One without a route is looked up again later: routes come
    /// and go.
    pub fn look_up(&mut self, place: usize) -> io::Result<()> {
        let Some(going) = &mut self.traces[place] else {
            return Ok(());
        };
        let (inlet, target) = (&mut self.inlet, going.trace.target);
        match self
            .outlet
            .find_way(target.destination, |opening| inlet.open(opening))
        {
            Ok(way) => {
                going.way = Some(way);
                going.trace.way = Some(self.inlet.ways()[usize::from(way)].clone());
            }
            Err(error) if error.kind() == io::ErrorKind::NetworkUnreachable => {
                going.lookups += 1;
                if going.lookups < self.options.lookups {
                    let later_ns = self.outlet.now_ns() + LOOKUP_NS;
                    self.schedule.sleep(place, later_ns);
                    return Ok(());
                }
                going.way = Some(NO_WAY);
                self.control.count(Counter::Unroutable, 1);
                going.trace.refuse(Refusal::Stuck(error.to_string()));
            }
            Err(error) => return Err(error),
        }
        self.schedule.enqueue(place);
        Ok(())
    }
}
