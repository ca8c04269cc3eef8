//! The Python module `anabranch_engine`; `anabranch_engine.pyi` documents it.

mod annotations;
mod clients;
mod controlled;
mod diamonds;
mod exchange;
mod file;
mod flow;
mod measured;
mod plan;
mod prefixes;
mod prober;
mod rehearsal;
mod routers;
mod rule;
mod simulation;
mod statistics;
mod stream;
mod targets;
mod topologies;
mod trace;
mod tracing;
mod trial;
mod truth;

use pyo3::prelude::*;

#[pymodule]
mod anabranch_engine {
    #[pymodule_export]
    use crate::annotations::{Annotation, Annotations};
    #[pymodule_export]
    use crate::clients::{ClientTrace, ClientTracing};
    #[pymodule_export]
    use crate::controlled::Controlled;
    #[pymodule_export]
    use crate::diamonds::find_diamonds;
    #[pymodule_export]
    use crate::exchange::{TraceReader, TraceWriter};
    #[pymodule_export]
    use crate::plan::Plan;
    #[pymodule_export]
    use crate::prefixes::PrefixSet;
    #[pymodule_export]
    use crate::prober::{Part, Prober};
    #[pymodule_export]
    use crate::routers::{AliasCounts, AliasTrial, find_routers};
    #[pymodule_export]
    use crate::rule::TraceParameters;
    #[pymodule_export]
    use crate::simulation::Simulation;
    #[pymodule_export]
    use crate::statistics::Statistics;
    #[pymodule_export]
    use crate::stream::Table;
    #[pymodule_export]
    use crate::targets::{TargetList, TargetListError, Targets};
    #[pymodule_export]
    use crate::trace::{AliasPair, Probe, Reply, Trace};
    #[pymodule_export]
    use crate::tracing::Tracing;
    #[pymodule_export]
    use crate::trial::{Diamond, Sample, Trial};
    #[pymodule_export]
    const MAX_TARGETS: u64 = anabranch_targets::MAX_TARGETS;
}
