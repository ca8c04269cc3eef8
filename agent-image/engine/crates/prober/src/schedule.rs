//! Which of many tracers has something to do now, and when the others have.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The places of tracers: those that are ready, in turn, and those that wait for a time.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    ready: VecDeque<usize>,
    sleeping: BinaryHeap<Reverse<(u64, usize)>>,
    states: Vec<State>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Ready,
    /// Until this time, in nanoseconds.
    Asleep(u64),
}

impl Schedule {
    /// Makes a tracer ready, behind those that are; one that is ready stays in its turn.
    pub fn enqueue(&mut self, place: usize) {
        if self.states.len() <= place {
            self.states.resize(place + 1, State::Idle);
        }
        if self.states[place] != State::Ready {
            self.states[place] = State::Ready;
            self.ready.push_back(place);
        }
    }

    /// Takes the next tracer that is ready.
    pub fn next(&mut self) -> Option<usize> {
        let place = self.ready.pop_front()?;
        self.states[place] = State::Idle;
        Some(place)
    }

    /// Returns whether no tracer is ready.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty()
    }

    /// Makes a tracer ready at a time, unless something else does so before.
    pub fn sleep(&mut self, place: usize, until_ns: u64) {
        self.states[place] = State::Asleep(until_ns);
        self.sleeping.push(Reverse((until_ns, place)));
    }

    /// Makes the tracers ready whose time has come.
    pub fn wake(&mut self, now_ns: u64) {
        while let Some(Reverse((until_ns, place))) = self.sleeping.peek().copied()
            && until_ns <= now_ns
        {
            self.sleeping.pop();
            // Otherwise it was made ready meanwhile, and may sleep until another time now.
            if self.states[place] == State::Asleep(until_ns) {
                self.enqueue(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_ready_once_and_in_turn() {
        let mut schedule = Schedule::default();
        for place in [2, 0, 2, 1] {
            schedule.enqueue(place);
        }
        let order: Vec<_> = std::iter::from_fn(|| schedule.next()).collect();
        assert_eq!(order, [2, 0, 1]);
    }

    #[test]
    fn sleepers_wake_at_their_last_time_or_when_they_are_made_ready() {
        let mut schedule = Schedule::default();
        schedule.enqueue(0);
        schedule.enqueue(1);
        while schedule.next().is_some() {}
        schedule.sleep(0, 50);
        schedule.sleep(1, 20);
        schedule.enqueue(1);
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
