//! Disjoint ranges of addresses of one family, and a number for each.

/// The addresses of a family, as numbers.
pub trait Address: Copy + Ord {
    /// The lowest address.
    const LOWEST: Self;

    /// Returns the first 16 bits.
    fn head(self) -> usize;

    /// Returns the next address, or None after the highest one.
    fn next(self) -> Option<Self>;
}

impl Address for u32 {
    const LOWEST: Self = 0;

    fn head(self) -> usize {
        (self >> 16) as usize
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    const LOWEST: Self = 0;

    fn head(self) -> usize {
        (self >> 112) as usize
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// The number of addresses about which nothing is known.
pub const NOTHING: u32 = 0;

const HEADS: usize = 1 << 16;

/// A number for each address: that of the range which holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges<A> {
    /// The first address of each range; the ranges have no gaps between them.
    starts: Vec<A>,
    numbers: Vec<u32>,
    /// For each value of the first 16 bits, how many ranges start at lower ones. So a search looks
    /// at few ranges.
    before: Vec<u32>,
}

impl<A: Address> Ranges<A> {
    /// Makes ranges of prefixes, given as first address, last address and number. Where they
    /// overlap, the longest prefix holds; of equal ones, the first.
    pub fn of_prefixes(mut prefixes: Vec<(A, A, u32)>) -> Self {
        // The sort is stable, so the first of equal prefixes stays the first.
        prefixes.sort_by_key(|(first, last, _)| (*first, std::cmp::Reverse(*last)));
        prefixes.dedup_by_key(|(first, last, _)| (*first, *last));
        let mut draft = Draft::default();
        // The prefixes that hold the current one, the outermost first.
        let mut around: Vec<(A, u32)> = Vec::new();
        for (first, last, number) in prefixes {
            while let Some((end, _)) = around.last().filter(|(end, _)| *end < first) {
                let next = end.next();
                around.pop();
                draft.resume(next, &around);
            }
            draft.start(first, number);
            around.push((last, number));
        }
        while let Some((end, _)) = around.pop() {
            draft.resume(end.next(), &around);
        }
        draft.finish()
    }

    /// Returns the ranges in which each address has the number that `combine` makes of its numbers
    /// in both.
    pub fn combine(&self, other: &Self, mut combine: impl FnMut(u32, u32) -> u32) -> Self {
        let mut draft = Draft::default();
        let (mut own, mut others) = (0, 0);
        let mut start = A::LOWEST;
        loop {
            draft.start(start, combine(self.numbers[own], other.numbers[others]));
            let ends = [self.starts.get(own + 1), other.starts.get(others + 1)];
            let Some(next) = ends.into_iter().flatten().min().copied() else {
                return draft.finish();
            };
            own += usize::from(ends[0] == Some(&next));
            others += usize::from(ends[1] == Some(&next));
            start = next;
        }
    }

    /// Returns the number of an address.
    #[must_use]
    pub fn find(&self, address: A) -> u32 {
        let head = address.head();
        let (low, high) = (self.before[head] as usize, self.before[head + 1] as usize);
        let here = &self.starts[low..high];
        // The first range starts at the lowest address, so one is always before.
        self.numbers[low + here.partition_point(|start| *start <= address) - 1]
    }
}

/// Ranges that are put together from the lowest address on.
pub struct Draft<A> {
    starts: Vec<A>,
    numbers: Vec<u32>,
}

impl<A: Address> Default for Draft<A> {
    fn default() -> Self {
        Self {
            starts: vec![A::LOWEST],
            numbers: vec![NOTHING],
        }
    }
}

impl<A: Address> Draft<A> {
    /// Starts a range, at the start of the last one or behind it.
    pub fn start(&mut self, start: A, number: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.numbers.pop();
        }
        if self.numbers.last() != Some(&number) {
            self.starts.push(start);
            self.numbers.push(number);
        }
    }

    /// Ends the last range before an address.
    pub fn end(&mut self, next: Option<A>) {
        self.resume(next, &[]);
    }

    /// Goes on behind a prefix with the innermost of those around it.
    fn resume(&mut self, next: Option<A>, around: &[(A, u32)]) {
        if let Some(next) = next {
            self.start(next, around.last().map_or(NOTHING, |(_, number)| *number));
        }
    }

    /// Returns how many ranges there are so far.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Returns the ranges.
    pub fn finish(self) -> Ranges<A> {
        let mut before = vec![0; HEADS + 1];
        for start in &self.starts {
            before[start.head() + 1] += 1;
        }
        for head in 0..HEADS {
            before[head + 1] += before[head];
        }
        Ranges {
            starts: self.starts,
            numbers: self.numbers,
            before,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(address: u32, len: u32) -> (u32, u32) {
        let host = u32::MAX.checked_shr(len).unwrap_or(0);
        (address & !host, address | host)
    }

    fn longest(prefixes: &[(u32, u32, u32)], address: u32) -> u32 {
        let holding = prefixes
            .iter()
            .filter(|(first, last, _)| (*first..=*last).contains(&address));
        // Of equal keys, `min_by_key` gives the first.
        holding
            .min_by_key(|(first, last, _)| last - first)
            .map_or(NOTHING, |(_, _, number)| *number)
    }

    prop_compose! {
        /// Prefixes that often hold one another, since few bits differ.
        fn some_prefixes()(
            parts in prop::collection::vec((0_u32..8, 0_u32..4, 0_u32..=32, 1_u32..5), 0..24)
        ) -> Vec<(u32, u32, u32)> {
            parts.into_iter().map(|(high, low, len, number)| {
                let (first, last) = prefix((high << 29) | low, len);
                (first, last, number)
            }).collect()
        }
    }

    proptest! {
        #[test]
        fn the_longest_prefix_holds(prefixes in some_prefixes(), any in any::<u32>()) {
            let ranges = Ranges::of_prefixes(prefixes.clone());
            let ends = prefixes.iter().flat_map(|(first, last, _)| [*first, *last]);
            for end in ends.chain([any]) {
                for address in [end.wrapping_sub(1), end, end.wrapping_add(1)] {
                    prop_assert_eq!(ranges.find(address), longest(&prefixes, address));
                }
            }
        }

        #[test]
        fn combined_ranges_say_what_both_say(one in some_prefixes(), other in some_prefixes()) {
            let (a, b) = (Ranges::of_prefixes(one.clone()), Ranges::of_prefixes(other.clone()));
            let both = a.combine(&b, |own, others| own * 16 + others);
            let ends = one.iter().chain(&other).flat_map(|(first, last, _)| [*first, *last]);
            for end in ends {
                for address in [end.wrapping_sub(1), end, end.wrapping_add(1)] {
                    prop_assert_eq!(both.find(address), a.find(address) * 16 + b.find(address));
                }
            }
        }
    }

    #[test]
    fn neighbours_of_one_number_are_one_range() {
        let ranges = Ranges::of_prefixes(vec![(0_u32, 9, 1), (10, 19, 1), (20, u32::MAX, 2)]);
        assert_eq!(ranges.starts, [0, 20]);
        assert_eq!(
            (ranges.find(0), ranges.find(19), ranges.find(20)),
            (1, 1, 2)
        );
        assert_eq!(ranges.find(u32::MAX), 2);
    }

    #[test]
    fn without_prefixes_nothing_is_known() {
        let ranges = Ranges::<u128>::of_prefixes(Vec::new());
        assert_eq!((ranges.find(0), ranges.find(u128::MAX)), (NOTHING, NOTHING));
    }
}
