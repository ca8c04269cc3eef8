//! A wheel of frames that wait until they are due.

use std::mem;

/// The length of a slot of the wheel, in microseconds.
const SLOT_US: u64 = 32;
/// The number of slots. The wheel turns once in 4.2 s; a frame with a longer delay leaves then.
const SLOTS: u64 = 1 << 17;

/// Frames by the time at which they leave. Each slot keeps its frames in one buffer, so that a
/// million waiting frames do not take a million allocations.
pub struct Wheel {
    slots: Vec<Vec<u8>>,
    /// The buffers of past slots. The most recent is used first: it is likely still in the cache.
    spare: Vec<Vec<u8>>,
    /// The first slot that has not left.
    next: u64,
}

/// The bytes in front of each frame in a slot: its port and its length.
const HEAD: usize = 4;

impl Wheel {
    /// Makes a wheel that starts at `now_us`.
    #[must_use]
    pub fn new(now_us: u64) -> Self {
        Self {
            slots: vec![Vec::new(); SLOTS as usize],
            spare: Vec::new(),
            next: now_us / SLOT_US,
        }
    }

    /// Returns when the next frame is due, or `end_us` if none is due before.
    #[must_use]
    pub fn next_us(&self, end_us: u64) -> u64 {
        (self.next..end_us / SLOT_US)
            .take(SLOTS as usize)
            .find(|slot| !self.slots[(slot % SLOTS) as usize].is_empty())
            .map_or(end_us, |slot| slot * SLOT_US)
    }

    /// Adds a frame that leaves by a port at a time. `write` appends its bytes.
    ///
    /// # Panics
    /// If the frame is longer than 65,535 bytes.
    pub fn add(&mut self, at_us: u64, port: u16, write: impl FnOnce(&mut Vec<u8>)) {
        let slot = (at_us / SLOT_US).clamp(self.next, self.next + SLOTS - 1);
        let buffer = &mut self.slots[(slot % SLOTS) as usize];
        if buffer.capacity() == 0 {
            *buffer = self.spare.pop().unwrap_or_default();
        }
        let start = buffer.len();
        buffer.extend(port.to_ne_bytes());
        buffer.extend([0, 0]);
        write(buffer);
        let len = u16::try_from(buffer.len() - start - HEAD).expect("a frame's length");
        buffer[start + 2..start + HEAD].copy_from_slice(&len.to_ne_bytes());
    }

    /// Passes all frames that are due to `send`, with their ports.
    pub fn leave(&mut self, now_us: u64, mut send: impl FnMut(u16, &[u8])) {
        while self.next <= now_us / SLOT_US {
            let mut slot = mem::take(&mut self.slots[(self.next % SLOTS) as usize]);
            let mut rest = &slot[..];
            while let Some((head, frames)) = rest.split_first_chunk::<HEAD>() {
                let port = u16::from_ne_bytes([head[0], head[1]]);
                let len = usize::from(u16::from_ne_bytes([head[2], head[3]]));
                send(port, &frames[..len]);
                rest = &frames[len..];
            }
            if slot.capacity() > 0 {
                slot.clear();
                self.spare.push(slot);
            }
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaving(wheel: &mut Wheel, now_us: u64) -> Vec<(u16, Vec<u8>)> {
        let mut left = Vec::new();
        wheel.leave(now_us, |port, frame| left.push((port, frame.to_vec())));
        left
    }

    #[test]
    fn a_frame_leaves_in_its_time_and_once() {
        let mut wheel = Wheel::new(1_000);
        wheel.add(9_000, 2, |out| out.extend(b"late"));
        wheel.add(2_000, 1, |out| out.extend(b"soon"));
        assert_eq!(leaving(&mut wheel, 1_500), []);
        assert_eq!(leaving(&mut wheel, 2_000), [(1, b"soon".to_vec())]);
        assert_eq!(leaving(&mut wheel, 20_000), [(2, b"late".to_vec())]);
        assert_eq!(leaving(&mut wheel, 30_000), []);
    }

    #[test]
    fn a_frame_leaves_at_the_time_that_is_told_before() {
        let mut wheel = Wheel::new(1_000);
        assert_eq!(wheel.next_us(50_000), 50_000);
        wheel.add(9_000, 2, |out| out.extend(b"late"));
        wheel.add(2_000, 1, |out| out.extend(b"soon"));
        for frame in [b"soon", b"late"] {
            let due_us = wheel.next_us(50_000);
            assert_eq!(leaving(&mut wheel, due_us - 1), []);
            assert_eq!(leaving(&mut wheel, due_us)[0].1, frame);
        }
        wheel.add(90_000, 1, |out| out.extend(b"later"));
        assert_eq!(wheel.next_us(50_000), 50_000);
        assert_eq!(wheel.next_us(u64::MAX), 90_000 / SLOT_US * SLOT_US);
    }

    #[test]
    fn what_is_late_leaves_next_and_what_is_too_far_with_the_last() {
        let mut wheel = Wheel::new(1_000_000);
        wheel.add(0, 0, |out| out.extend(b"past"));
        wheel.add(u64::MAX, 0, |out| out.extend(b"never"));
        assert_eq!(leaving(&mut wheel, 1_000_000).len(), 1);
        assert_eq!(leaving(&mut wheel, 1_000_000 + SLOT_US * SLOTS).len(), 1);
    }
}
