//! Which of many tracers has something to do now, and when the others have.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The places of tracers: those that are ready, and those that wait for a time.
///
/// Of those that are ready, the one goes first that has sent the most. So it becomes known early
/// which paths take long, and these are traced beside the others and not after them.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// By the probes sent, and then in the order in which they became ready.
    ready: BinaryHeap<(u32, Reverse<u64>, usize)>,
    turns: u64,
    sleeping: BinaryHeap<Reverse<(u64, usize)>>,
    states: Vec<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The probes sent.
    sent: u32,
    wait: Wait,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wait {
    #[default]
    Idle,
    Ready,
    /// Until this time, in nanoseconds.
    Asleep(u64),
}

impl Schedule {
    /// Makes a tracer ready that has sent so many probes, unless it is.
    pub fn enqueue(&mut self, place: usize, sent: u32) {
        if self.states.len() <= place {
            self.states.resize(place + 1, State::default());
        }
        if self.states[place].wait != Wait::Ready {
            let wait = Wait::Ready;
            self.states[place] = State { sent, wait };
            self.turns += 1;
            self.ready.push((sent, Reverse(self.turns), place));
        }
    }

    /// Takes the next tracer that is ready.
    pub fn next(&mut self) -> Option<usize> {
        let (_, _, place) = self.ready.pop()?;
        self.states[place].wait = Wait::Idle;
        Some(place)
    }

    /// Returns whether no tracer is ready.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty()
    }

    /// Makes a tracer ready at a time, unless something else does so before.
    pub fn sleep(&mut self, place: usize, until_ns: u64) {
        self.states[place].wait = Wait::Asleep(until_ns);
        self.sleeping.push(Reverse((until_ns, place)));
    }

    /// Makes the tracers ready whose time has come.
    pub fn wake(&mut self, now_ns: u64) {
        while let Some(Reverse((until_ns, place))) = self.sleeping.peek().copied()
            && until_ns <= now_ns
        {
            self.sleeping.pop();
            // Otherwise it was made ready meanwhile, and may sleep until another time now.
            let State { sent, wait } = self.states[place];
            if wait == Wait::Asleep(until_ns) {
                self.enqueue(place, sent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_sent_most_go_first_and_others_in_turn() {
        let mut schedule = Schedule::default();
        for (place, sent) in [(2, 5), (0, 1), (2, 5), (1, 1), (3, 9)] {
            schedule.enqueue(place, sent);
        }
        let order: Vec<_> = std::iter::from_fn(|| schedule.next()).collect();
        assert_eq!(order, [3, 2, 0, 1]);
        assert!(schedule.is_idle());
    }

    #[test]
    fn sleepers_wake_at_their_last_time_or_when_they_are_made_ready() {
        let mut schedule = Schedule::default();
        schedule.enqueue(0, 1);
        schedule.enqueue(1, 1);
        while schedule.next().is_some() {}
        schedule.sleep(0, 50);
        schedule.sleep(1, 20);
        schedule.enqueue(1, 2);
        assert_eq!(schedule.next(), Some(1));
        schedule.sleep(1, 80);
        schedule.wake(20);
        assert_eq!(schedule.next(), None);
        schedule.wake(60);
        assert_eq!(schedule.next(), Some(0));
        schedule.wake(80);
        assert_eq!(schedule.next(), Some(1));
        assert_eq!(schedule.next(), None);
    }
}
