//! Which of many tracers has something to do now, and when the others have.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The places of tracers: those that are ready, and those that wait for a time.
///
/// Those that are ready take turns, in the order in which they became so. A turn is one probe, so
/// no tracer holds back others, however much it has to send.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    ready: VecDeque<usize>,
    sleeping: BinaryHeap<Reverse<(u64, usize)>>,
    waits: Vec<Wait>,
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
    /// Makes a tracer ready, unless it is.
    pub fn enqueue(&mut self, place: usize) {
        if self.waits.len() <= place {
            self.waits.resize(place + 1, Wait::default());
        }
        if self.waits[place] != Wait::Ready {
            self.waits[place] = Wait::Ready;
            self.ready.push_back(place);
        }
    }

    /// Takes the next tracer that is ready.
    pub fn next(&mut self) -> Option<usize> {
        let place = self.ready.pop_front()?;
        self.waits[place] = Wait::Idle;
        Some(place)
    }

    /// Makes a tracer ready at a time, unless something else does so before.
    pub fn sleep(&mut self, place: usize, until_ns: u64) {
        self.waits[place] = Wait::Asleep(until_ns);
        self.sleeping.push(Reverse((until_ns, place)));
    }

    /// Makes the tracers ready whose time has come, the earliest first.
    pub fn wake(&mut self, now_ns: u64) {
        while let Some(Reverse((until_ns, place))) = self.sleeping.peek().copied()
            && until_ns <= now_ns
        {
            self.sleeping.pop();
            // Otherwise it was made ready meanwhile, and may sleep until another time now.
            if self.waits[place] == Wait::Asleep(until_ns) {
                self.enqueue(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracer_that_has_much_to_send_lets_others_take_their_turns() {
        let mut schedule = Schedule::default();
        (0..3).for_each(|place| schedule.enqueue(place));
        let turns = (0..9).map(|_| {
            let place = schedule.next().unwrap();
            schedule.enqueue(place);
            place
        });
        assert_eq!(turns.collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_tracer_that_is_ready_has_one_turn() {
        let mut schedule = Schedule::default();
        for place in [1, 0, 1, 1] {
            schedule.enqueue(place);
        }
        let order: Vec<_> = std::iter::from_fn(|| schedule.next()).collect();
        assert_eq!(order, [1, 0]);
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
