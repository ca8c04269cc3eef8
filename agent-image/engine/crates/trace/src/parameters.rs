//! The parameters of traces, in the words of plans and commands.

use serde::{Deserialize, Serialize};

use crate::rule::{Algorithm, Rule};
use crate::stopping::StoppingPoints;
use crate::timeout::LONGEST_WAIT_S;

/// The most rounds of alias resolution.
const MOST_ALIAS_ROUNDS: u8 = 100;

/// How destinations are traced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// The algorithm: mda, mdaLite, mdaLocal or singlePath.
    pub algorithm: String,
    /// The flows of each vertex in the meshing test of mdaLite and mdaLocal.
    pub phi: usize,
    /// The failure probability of a vertex.
    pub failure_probability: f64,
    /// Whether load balancing by packet is told from that by flow.
    pub per_packet_test: bool,
    /// The number of silent hops in a row that end a trace.
    pub gap_limit: u8,
    /// The number of times that a probe without a reply is sent.
    pub attempts: u8,
    /// The most probes of a trace.
    pub max_probes: u32,
    /// How many seconds a reply is waited for; None to go by the round-trip times seen so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u8>,
    /// The rounds of alias resolution; None for no alias resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_rounds: Option<u8>,
}

impl Parameters {
    /// Returns the rule of traces between two TTLs.
    ///
    /// # Errors
    /// If a parameter has no such value, with the values that it may have.
    pub fn rule(&self, first_ttl: u8, max_ttl: u8) -> Result<Rule, String> {
        let algorithm = Algorithm::read(&self.algorithm, self.phi)?;
        check_failure_probability(self.failure_probability)?;
        for (name, value) in [
            ("first_ttl", first_ttl.into()),
            ("gap_limit", self.gap_limit.into()),
            ("attempts", self.attempts.into()),
            ("max_probes", self.max_probes),
        ] {
            if value == 0 {
                return Err(format!("{name} must be 1 or more"));
            }
        }
        if self
            .alias_rounds
            .is_some_and(|rounds| rounds > MOST_ALIAS_ROUNDS)
        {
            return Err(format!("alias_rounds must be at most {MOST_ALIAS_ROUNDS}"));
        }
        if self
            .wait_s
            .is_some_and(|wait| !(1..=LONGEST_WAIT_S).contains(&wait))
        {
            return Err(format!("wait_s must be from 1 to {LONGEST_WAIT_S}"));
        }
        if self.attempts == u8::MAX {
            return Err("attempts must be at most 254".to_owned());
        }
        if max_ttl < first_ttl {
            let reason = format!("max_ttl {max_ttl} must not be below first_ttl {first_ttl}");
            return Err(reason);
        }
        Ok(Rule {
            algorithm,
            tells_per_packet: self.per_packet_test,
            points: StoppingPoints::new(self.failure_probability),
            first_ttl,
            max_ttl,
            gap_limit: self.gap_limit,
            attempts: self.attempts,
            max_probes: self.max_probes,
            wait_us: self.wait_s.map(|wait| u64::from(wait) * 1_000_000),
        })
    }
}

/// Checks the failure probability of a vertex.
///
/// # Errors
/// If stopping points can't be computed for it.
pub fn check_failure_probability(value: f64) -> Result<(), String> {
    if (1e-9..1.0).contains(&value) {
        return Ok(());
    }
    Err("the failure probability must be at least 1e-9, and below 1".to_owned())
}

impl Algorithm {
    /// Reads an algorithm's name. `phi` counts for those that test for meshing.
    ///
    /// # Errors
    /// If there is no such algorithm, or phi is too low.
    pub fn read(name: &str, phi: usize) -> Result<Self, String> {
        match name {
            "mda" => Ok(Self::Mda),
            "mdaLite" | "mdaLocal" if phi < 2 => Err("phi must be 2 or more".to_owned()),
            "mdaLite" => Ok(Self::MdaLite { phi }),
            "mdaLocal" => Ok(Self::MdaLocal { phi }),
            "singlePath" => Ok(Self::SinglePath),
            other => Err(format!(
                "{other:?} is no algorithm; choose mda, mdaLite, mdaLocal or singlePath"
            )),
        }
    }
}
