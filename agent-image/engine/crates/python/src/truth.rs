//! What a perfect prober would find.

use std::collections::BTreeSet;

use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::packet::Probe;
use anabranch_prefixes::Family;

/// A link: the family, its near and far address, and whether both ends answer.
type Link = (Family, u128, u128, bool);

/// The links that flows cross in a network.
pub(crate) struct Links<'a> {
    network: &'a Network,
    links: BTreeSet<Link>,
}

impl<'a> Links<'a> {
    pub(crate) const fn new(network: &'a Network) -> Self {
        Self {
            network,
            links: BTreeSet::new(),
        }
    }

    /// Adds those that the flow of a probe crosses.
    pub(crate) fn add(&mut self, probe: &Probe) {
        self.network.links_of_flow(probe, |near, far| {
            let seen = near.answers && far.answers;
            let link = (probe.family, near.address, far.address, seen);
            self.links.insert(link);
        });
    }

    /// Returns them with their addresses as text.
    pub(crate) fn name(self) -> Vec<(String, String, bool)> {
        let named = self.links.into_iter().map(|(family, near, far, seen)| {
            let internet = self.network.internet(family);
            let [near, far] = [near, far].map(|end| internet.address(end).to_string());
            (near, far, seen)
        });
        named.collect()
    }
}
