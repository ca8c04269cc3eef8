//! A prober: it takes a plan, and writes reply parts.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anabranch_link::filter::Filter;
use anabranch_plan::Plan;
use anabranch_trace::parameters::Parameters;
use anabranch_wire::probe::{MAX_CONTACT, Stamp};
use anabranch_wire::segment;

use crate::agenda::Agenda;
use crate::control::{Control, Counts};
use crate::error::ProberError;
use crate::network::enter;
use crate::options::Options;
use crate::part::{Part, lock};
use crate::planfile::{open, open_block, refuse_plan};
use crate::receiving::{Receiving, write_parts};
use crate::sending::Sending;
use crate::stamps;
use crate::traceoptions::TraceOptions;
use crate::tracing;

/// The most parts that wait to be written.
const PARTS: usize = 2;
/// How often a route to a destination is looked up.
const LOOKUPS: u8 = 3;
/// The most destinations of a plan that are traced at once.
const MOST_TRACES: usize = 1 << 16;

/// A running prober, in threads of its own.
pub struct Prober {
    control: Arc<Control>,
    thread: JoinHandle<Result<(), ProberError>>,
}

impl Prober {
    /// Starts to probe.
    ///
    /// # Errors
    /// If the plan or an option can't be used; nothing is sent then.
    pub fn start(options: Options, control: Arc<Control>) -> Result<Self, ProberError> {
        let plan = open(&options)?;
        let highest_port = check(&options, &plan)?;
        let lock = lock(&options.parts, &options.blocks)?;
        let mut stamp = stamps::draw(&options.contact)?.with_segment(plan.header().segment);
        if plan.header().tracing.is_some() {
            stamp = stamp.with_flow_labels();
        }
        let reins = Arc::clone(&control);
        let thread = thread::spawn(move || {
            let outcome = enter(options.network.as_deref())
                .map_err(ProberError::Io)
                .and_then(|()| match &plan.header().tracing {
                    None => probe(
                        &options,
                        &plan,
                        choose_filter(&plan, highest_port),
                        &reins,
                        &stamp,
                    ),
                    Some(tracing) => trace(&options, &plan, tracing, &reins, &stamp),
                });
            reins.stop();
            drop(lock);
            outcome
        });
        Ok(Self { control, thread })
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.control.counts()
    }

    /// Returns whether the prober has ended, for whatever reason.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the prober ends, and returns its counts.
    ///
    /// # Errors
    /// The failure that ended it, unless it reached the end of the plan or was stopped.
    pub fn wait(self) -> Result<Counts, ProberError> {
        let outcome = self.thread.join();
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(self.control.counts())
    }
}

/// Checks the options and the plan, and returns the highest source port of its probes.
fn check(options: &Options, plan: &Plan) -> Result<u16, ProberError> {
    let refuse = |reason| Err(ProberError::Option(reason));
    let mut chosen = options.blocks.clone();
    chosen.sort_unstable();
    if chosen.windows(2).any(|pair| pair[0] == pair[1]) {
        return refuse("blocks are named twice; name each once".to_owned());
    }
    if options.contact.len() > MAX_CONTACT {
        return refuse(format!("the contact must have at most {MAX_CONTACT} bytes"));
    }
    let mut highest_port = 0;
    for block in options.blocks_of(plan) {
        let checked = plan.check(block);
        let port = checked.map_err(|error| refuse_plan(options, error))?;
        highest_port = port.max(highest_port);
    }
    if options.wait > MAX_WAIT {
        return refuse(format!(
            "replies can be waited for {} s at most: probes carry no more of their time",
            MAX_WAIT.as_secs()
        ));
    }
    Ok(highest_port)
}

/// The longest wait for replies: shorter than the time in which a probe's timestamp wraps around.
const MAX_WAIT: Duration = Duration::from_secs(6);

/// Returns the filter that lets in all replies to a plan's probes, and as little else as it can.
fn choose_filter(plan: &Plan, highest_port: u16) -> Filter {
    let header = plan.header();
    match header.segment {
        None => Filter::Icmp,
        Some(_) => Filter::IcmpAndAnswers {
            from: segment::PORT,
            to: (header.initial_source_port, highest_port),
        },
    }
}

fn probe(
    options: &Options,
    plan: &Plan,
    filter: Filter,
    control: &Control,
    stamp: &Stamp,
) -> Result<(), ProberError> {
    let (events, heard) = mpsc::channel();
    let (finished, parts) = mpsc::sync_channel(PARTS);
    let (asks, wanted) = mpsc::channel();
    let receiving = Receiving::new(control, stamp, options, heard, asks, finished);
    thread::scope(|scope| {
        let receives = scope.spawn(|| receiving.run());
        let writes = scope.spawn(move || write(options, control, &parts));
        let sent = send(
            options,
            plan,
            control,
            Sending::new(options, filter, control, stamp, events, wanted)?,
        );
        let heard_all = join(receives);
        join(writes)?;
        heard_all?;
        sent
    })
}

fn write(
    options: &Options,
    control: &Control,
    parts: &mpsc::Receiver<Part>,
) -> Result<(), ProberError> {
    let outcome = write_parts(parts, options);
    if outcome.is_err() {
        control.stop();
    }
    Ok(outcome?)
}

/// Traces the destinations of a plan. The calling thread sends and receives.
fn trace(
    options: &Options,
    plan: &Plan,
    parameters: &Parameters,
    control: &Control,
    stamp: &Stamp,
) -> Result<(), ProberError> {
    let header = plan.header();
    let tracing = TraceOptions {
        network: options.network.clone(),
        interface: options.interface.clone(),
        sources: options.sources.clone(),
        contact: options.contact.clone(),
        parameters: parameters.clone(),
        first_port: header.initial_source_port,
        destination_port: header.destination_port,
        segment: header.segment,
        time_limit: None,
        window: MOST_TRACES,
        lookups: LOOKUPS,
    };
    let (finished, parts) = mpsc::sync_channel(PARTS);
    thread::scope(|scope| {
        let writes = scope.spawn(move || write(options, control, &parts));
        let mut agenda = Agenda::new(plan, options, &tracing, control, finished);
        let outcome = tracing::run(&tracing, control, stamp, &mut agenda);
        agenda.close();
        drop(agenda);
        join(writes)?;
        outcome
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn send(
    options: &Options,
    plan: &Plan,
    control: &Control,
    mut sending: Sending<'_>,
) -> Result<(), ProberError> {
    for number in options.blocks_of(plan) {
        if control.is_stopped() {
            break;
        }
        let (block, cursor) = open_block(options, plan, number)?;
        if cursor < block.end() {
            sending.send_block(number, block, cursor)?;
        }
    }
    Ok(())
}
