//! The behaviour of the simulated network; each trait is a switch.

use crate::graph::{Balancing, Choice, Keys};
use crate::level::Landscape;
use anabranch_chance::{Share, below, mix};

/// The values of all traits: shares from 0 to 1, rates and times. [`SWITCHES`] documents each.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour([f64; SWITCHES.len()]);

/// A trait of the network, with its values in the three presets.
#[derive(Debug)]
pub struct Switch {
    /// Its name.
    pub name: &'static str,
    /// Its effect, and the unit of its value.
    pub help: &'static str,
    /// Its value in a network that is easy to measure.
    pub plain: f64,
    /// Its value in a demo.
    pub default: f64,
    /// Its value in a network that is as hard to measure as can be.
    pub hostile: f64,
    /// Its largest value; the smallest is 0.
    pub most: f64,
}

const fn switch(
    name: &'static str,
    help: &'static str,
    (plain, default, hostile, most): (f64, f64, f64, f64),
) -> Switch {
    Switch {
        name,
        help,
        plain,
        default,
        hostile,
        most,
    }
}

/// All traits of the network.
#[rustfmt::skip]
pub const SWITCHES: [Switch; 36] = [
    switch("loss", "packets lost, of probes and of replies alike", (0.0, 0.0, 0.02, 1.0)),
    switch("silent-routers", "routers that never answer", (0.0, 0.02, 0.1, 1.0)),
    switch("hosts", "addresses of prefixes that answer", (1.0, 0.3, 0.3, 1.0)),
    switch("open-ports", "TCP ports of these and of routers that are open", (0.5, 0.5, 0.5, 1.0)),
    switch("per-destination", "segments whose routers balance by the addresses alone", (0.0, 0.05, 0.1, 1.0)),
    switch("per-packet", "segments whose routers balance packet by packet", (0.0, 0.0, 0.05, 1.0)),
    switch("per-label", "segments whose routers balance IPv6 by the addresses and the flow label alone (RFC 6438)", (0.0, 0.0, 0.05, 1.0)),
    switch("weighted", "segments whose routers prefer some next hops to others; of a survey, routers that spread flows as was seen", (0.0, 0.0, 0.2, 1.0)),
    switch("mpls", "segments whose routers show MPLS labels (RFC 4950)", (0.0, 0.1, 0.2, 1.0)),
    switch("amplification", "prefixes whose last router answers three times", (0.0, 0.0, 0.02, 1.0)),
    switch("loops", "prefixes to which packets loop", (0.0, 0.0, 0.02, 1.0)),
    switch("short-quotes", "routers that quote 28 bytes of a probe and no more", (0.0, 0.2, 0.5, 1.0)),
    switch("cut-quotes", "routers that quote 16 bytes behind the IP header and no more", (0.0, 0.0, 0.05, 1.0)),
    switch("padded-quotes", "routers that fill quotes up to 128 bytes with zeros", (0.0, 0.0, 0.05, 1.0)),
    switch("quote-leftovers", "routers that leave a VLAN tag's or an MPLS label's end in front of quotes", (0.0, 0.0, 0.02, 1.0)),
    switch("quoted-ttls", "routers that quote another TTL than 1", (0.0, 0.0, 0.05, 1.0)),
    switch("zero-ttl", "routers that forward at TTL 0, so that the next one shows in their place too", (0.0, 0.0, 0.02, 1.0)),
    switch("masquerades", "prefixes whose last routers send errors from the probe's destination", (0.0, 0.0, 0.02, 1.0)),
    switch("rewritten-ports", "prefixes before which source ports are rewritten, and not put back in quotes", (0.0, 0.0, 0.02, 1.0)),
    switch("rewritten-checksums", "the same of checksums", (0.0, 0.0, 0.02, 1.0)),
    switch("rewritten-ids", "the same of IPv4 identifications", (0.0, 0.0, 0.02, 1.0)),
    switch("interface-ids", "routers with a counter of IP-IDs for the errors of each interface, and of IPv6 for its fragments", (0.0, 0.05, 0.1, 1.0)),
    switch("constant-ids", "routers whose IP-IDs and fragment identifications are 0", (0.0, 0.2, 0.2, 1.0)),
    switch("random-ids", "routers whose IP-IDs and fragment identifications are random", (0.0, 0.05, 0.1, 1.0)),
    switch("copied-ids", "routers whose IP-IDs are those of the probes; all others have one counter", (0.0, 0.05, 0.1, 1.0)),
    switch("echo-counters", "routers with another counter of IP-IDs for echo replies than for errors", (0.0, 0.1, 0.2, 1.0)),
    switch("one-source", "routers that send port unreachables from their first address, whichever is probed", (0.0, 0.1, 0.1, 1.0)),
    switch("id-rate", "the most IP-IDs a second that a counter gives to others; from 1 on, all magnitudes are as likely", (500.0, 500.0, 1e4, 1e5)),
    switch("fragment-rate", "the most packets a second that an IPv6 router cuts for others; some cut a thousandth of it", (0.0, 1.0, 100.0, 1e4)),
    switch("whole-replies", "IPv6 routers that ignore a Packet Too Big, and cut nothing", (0.0, 0.1, 0.2, 1.0)),
    switch("gateway-change", "seconds after which gateways have another Ethernet address, never if 0", (0.0, 0.0, 60.0, 1e6)),
    switch("icmp-rate", "ICMP errors of a router in a second, without limit if 0", (0.0, 0.0, 100.0, 1e6)),
    switch("route-change", "seconds after which routes through the core change, never if 0", (0.0, 0.0, 60.0, 1e6)),
    switch("delay", "what round-trip times are multiplied by, at once if 0", (1.0, 1.0, 1.0, 10.0)),
    switch("sharing", "how much prefixes share: 8, 64 and 1,024 to the power of it have networks together; none if 0", (1.0, 1.0, 1.0, 2.0)),
    switch("wide-diamonds", "diamonds of regions and providers that are 48, 56 or 96 routers wide", (0.0, 0.0, 0.0, 1.0)),
];

impl Default for Behaviour {
    fn default() -> Self {
        Self(SWITCHES.each_ref().map(|switch| switch.default))
    }
}

/// An unknown switch, or a value out of its bounds.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{name} must be {bounds}")]
pub struct SwitchError {
    name: String,
    bounds: String,
}

impl Behaviour {
    /// Returns an easy network: per-flow balancing, realistic delays, and every address answers.
    #[must_use]
    pub fn plain() -> Self {
        Self(SWITCHES.each_ref().map(|switch| switch.plain))
    }

    /// Returns a network with everything that makes measuring hard, at once.
    #[must_use]
    pub fn hostile() -> Self {
        Self(SWITCHES.each_ref().map(|switch| switch.hostile))
    }

    /// Sets a trait.
    ///
    /// # Errors
    /// If there is no such trait, or the value is out of its bounds.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), SwitchError> {
        let refuse = |bounds: String| SwitchError {
            name: name.to_owned(),
            bounds,
        };
        let Some(place) = SWITCHES.iter().position(|switch| switch.name == name) else {
            let names = SWITCHES.each_ref().map(|switch| switch.name).join(", ");
            return Err(refuse(format!("one of {names}")));
        };
        let most = SWITCHES[place].most;
        if !(0.0..=most).contains(&value) {
            return Err(refuse(format!("from 0 to {most}")));
        }
        self.0[place] = value;
        Ok(())
    }

    /// Returns the value of a trait.
    ///
    /// # Panics
    /// If there is no such trait.
    fn get(&self, name: &str) -> f64 {
        let place = SWITCHES.iter().position(|switch| switch.name == name);
        self.0[place.expect("a name from the table")]
    }

    /// The traits that decide how an Internet is drawn.
    #[must_use]
    pub fn landscape(&self) -> Landscape {
        Landscape {
            sharing: self.get("sharing"),
            wide: self.get("wide-diamonds"),
        }
    }

    /// The time after which gateways have another Ethernet address, in microseconds; 0 for never.
    #[must_use]
    #[allow(clippy::cast_sign_loss)] // nothing is below 0
    pub fn gateway_change_us(&self) -> u64 {
        (self.get("gateway-change") * 1e6) as u64
    }

    /// Returns whether some routers prefer some next hops to others.
    #[must_use]
    pub fn weights_some(&self) -> bool {
        self.get("weighted") > 0.0
    }

    /// Converts the traits to thresholds and integers, which are fast to apply to many packets.
    #[must_use]
    #[allow(clippy::cast_sign_loss)] // nothing is below 0
    pub(crate) fn compile(&self) -> Switches {
        let share = |name| Share::new(self.get(name));
        let per_packet = self.get("per-destination") + self.get("per-packet");
        let per_label = per_packet + self.get("per-label");
        Switches {
            loss: share("loss"),
            silent_routers: share("silent-routers"),
            hosts: share("hosts"),
            open_ports: share("open-ports"),
            per_destination: share("per-destination"),
            per_packet: Share::new(per_packet.min(1.0)),
            per_label: Share::new(per_label.min(1.0)),
            weighted: share("weighted"),
            mpls: share("mpls"),
            amplification: share("amplification"),
            loops: share("loops"),
            short_quotes: share("short-quotes"),
            cut_quotes: share("cut-quotes"),
            padded_quotes: share("padded-quotes"),
            quote_leftovers: share("quote-leftovers"),
            quoted_ttls: share("quoted-ttls"),
            zero_ttl: share("zero-ttl"),
            masquerades: share("masquerades"),
            rewritten_ports: share("rewritten-ports"),
            rewritten_checksums: share("rewritten-checksums"),
            rewritten_ids: share("rewritten-ids"),
            counting: [
                share("interface-ids"),
                share("constant-ids"),
                share("random-ids"),
                share("copied-ids"),
            ],
            echo_counters: share("echo-counters"),
            one_source: share("one-source"),
            id_magnitudes: self.get("id-rate").max(1.0).log2(),
            fragment_rate: self.get("fragment-rate"),
            whole_replies: share("whole-replies"),
            error_interval_us: match self.get("icmp-rate") {
                0.0 => 0,
                rate => (1e6 / rate) as u64,
            },
            route_change_us: (self.get("route-change") * 1e6) as u64,
            delay_per_1024: (self.get("delay") * 1024.0) as u64,
        }
    }
}

/// What gives the identifications of a router's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// One counter for all packets of the router, including those to other people.
    ByRouter,
    /// A counter for the errors of each interface.
    ByInterface,
    /// Nothing: they are 0.
    Constant,
    /// Chance.
    Random,
    /// The identification of the probe.
    Copied,
}

/// The traits as thresholds for hashes. Each trait has a hash of its own: they are independent.
#[derive(Clone, Debug)]
pub(crate) struct Switches {
    pub loss: Share,
    pub silent_routers: Share,
    pub hosts: Share,
    pub open_ports: Share,
    pub per_destination: Share,
    /// The share that balances per packet or per destination; draws for both use the same hash.
    pub per_packet: Share,
    /// The share that balances per label, or by one of those two.
    pub per_label: Share,
    pub weighted: Share,
    pub mpls: Share,
    pub amplification: Share,
    pub loops: Share,
    pub short_quotes: Share,
    pub cut_quotes: Share,
    pub padded_quotes: Share,
    pub quote_leftovers: Share,
    pub quoted_ttls: Share,
    pub zero_ttl: Share,
    pub masquerades: Share,
    pub rewritten_ports: Share,
    pub rewritten_checksums: Share,
    pub rewritten_ids: Share,
    /// The shares of [`Counting`] but for routers with one counter.
    counting: [Share; 4],
    pub echo_counters: Share,
    pub one_source: Share,
    /// The binary logarithm of the highest rate of counters.
    id_magnitudes: f64,
    /// The highest rate of counters of fragments.
    fragment_rate: f64,
    pub whole_replies: Share,
    /// The time between two ICMP errors of a router, in microseconds; 0 for no limit.
    pub error_interval_us: u64,
    /// When routes change, in microseconds from the start; 0 for never.
    pub route_change_us: u64,
    /// The factor of delays, in units of 1/1,024.
    pub delay_per_1024: u64,
}

impl Switches {
    /// Returns the kind of balancing of a segment's routers.
    #[inline]
    pub fn balancing(&self, salt: u64) -> Balancing {
        let draw = mix(salt, 1);
        if self.per_destination.of(draw) {
            Balancing::Destination
        } else if self.per_packet.of(draw) {
            Balancing::Packet
        } else if self.per_label.of(draw) {
            Balancing::Label
        } else {
            Balancing::Flow
        }
    }

    /// Returns what gives the identifications of a router's packets.
    #[inline]
    pub fn counting(&self, router: u64) -> Counting {
        let habits = [
            Counting::ByInterface,
            Counting::Constant,
            Counting::Random,
            Counting::Copied,
        ];
        let mut shares = self.counting.iter().zip(30..);
        let drawn = shares.position(|(share, salt)| share.of_mix(router, salt));
        drawn.map_or(Counting::ByRouter, |habit| habits[habit])
    }

    /// Returns the identifications that a counter gives to others in a second: any number, so that no two
    /// counters go side by side for ever.
    #[inline]
    pub fn id_rate(&self, owner: u64) -> f64 {
        let part = f64::from(mix(owner, 27) as u32) / 4_294_967_296.0;
        (part * self.id_magnitudes).exp2()
    }

    /// Returns the packets that a router cuts for others in a second.
    pub fn fragment_rate(&self, owner: u64) -> f64 {
        let part = f64::from(below(mix(owner, 51), 1 << 16)) / 65_536.0;
        self.fragment_rate * (-10.0 * part).exp2()
    }

    /// Returns how the routers of a segment choose the next hops of a packet.
    #[inline]
    pub fn choice(&self, salt: u64, keys: &Keys) -> Choice {
        Choice {
            key: keys.of(self.balancing(salt)),
            weighted: self.weighted.of_mix(salt, 14),
        }
    }
}
