//! Alias resolution: which addresses of a hop are interfaces of one router.
//!
//! The tests compare two addresses each, and give one of three verdicts: [`evidence`]. They are
//! those of Vermeulen, Strowes, Fourmaux and Friedman, "Multilevel MDA-Lite Paris Traceroute" (IMC
//! 2018), section 4: identifications that one counter gives to the packets of all interfaces
//! (Keys et al., "Internet-scale IPv4 alias resolution with MIDAR", 2013), initial TTLs
//! (Vanaubel et al., "Network fingerprinting", IMC 2013) and MPLS labels (Vanaubel et al., "MPLS
//! under the microscope", IMC 2015). IPv6 has identifications only in fragments, which routers are made
//! to send (Luckie et al., "Speedtrap: Internet-scale IPv6 alias resolution", IMC 2013).
//!
//! [`resolver`] says what to send to the addresses of a trace until all pairs are decided. Like a
//! tracer, it has no clock, no socket and no randomness. [`routers`] makes routers of verdicts.

pub mod bounds;
pub mod candidate;
pub mod evidence;
pub mod resolver;
pub mod routers;
pub mod series;
mod set;
pub mod sounding;
