//! Bytes that went wrong: mutation i of a file is a pure function of i, so that a failure is reproduced from its
//! number.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many mutations are tried: `short`, or as many as `LYAPUNOV_MUTATIONS` says.
pub fn mutations(short: u64) -> u64 {
    std::env::var("LYAPUNOV_MUTATIONS").map_or(short, |count| count.parse().expect("LYAPUNOV_MUTATIONS is a number"))
}

/// Lengths and numbers that programs trip over.
const WORDS: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0x8000, 0xffff, u32::MAX as u64, i64::MAX as u64, u64::MAX, 0x7ff0_0000_0000_0000];

/// A generator by Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, 2014.
pub struct Dice(u64);

impl Dice {
    /// The generator of this number.
    pub fn new(number: u64) -> Self {
        Self(number.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `end`, which is positive.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Where a piece of at most `longest` bytes begins and ends.
    fn piece(&mut self, length: usize, longest: usize) -> (usize, usize) {
        let start = self.below(length + 1);
        (start, (start + self.below(longest) + 1).min(length))
    }
}

/// Mutation `number` of `whole`: one to three faults, some of them words of the format.
pub fn mutant(whole: &[u8], number: u64, words: &[&str]) -> Vec<u8> {
    let mut dice = Dice::new(number);
    let mut bytes = whole.to_vec();
    for _ in 0..=dice.below(3) {
        harm(&mut bytes, &mut dice, words);
    }
    bytes
}

fn harm(bytes: &mut Vec<u8>, dice: &mut Dice, words: &[&str]) {
    let length = bytes.len();
    let at = dice.below(length);
    let (start, end) = dice.piece(length, 64);
    match dice.below(if words.is_empty() { 7 } else { 10 }) {
        _ if length == 0 => bytes.push(dice.next() as u8),
        0 => bytes[at] ^= 1 << dice.below(8),
        1 => bytes[at] = dice.next() as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(start..end)),
        4 => {
            let piece = bytes[start..end].to_vec();
            bytes.splice(at..at, piece);
        }
        5 => {
            let word = WORDS[dice.below(WORDS.len())].to_le_bytes();
            let end = (at + 8).min(length);
            bytes[at..end].copy_from_slice(&word[..end - at]);
        }
        6 => {
            let word = WORDS[dice.below(WORDS.len())].to_be_bytes();
            let end = (at + 4).min(length);
            bytes[at..end].copy_from_slice(&word[4..4 + end - at]);
        }
        7 => drop(bytes.splice(start..end, words[dice.below(words.len())].bytes())),
        _ => drop(bytes.splice(at..at, words[dice.below(words.len())].bytes())),
    }
}

/// Tries mutations of `whole` and then its beginnings, and counts those that are taken. `take` says whether a file is
/// taken; it may refuse, and must not panic.
pub fn endure(whole: &[u8], count: u64, words: &[&str], mut take: impl FnMut(&[u8]) -> bool) -> u64 {
    assert!(take(whole), "the file must be good before it is spoilt");
    let cuts = (count / 20).min(500);
    let cut = |i: u64| whole[..(whole.len() as u64 * i / cuts.max(1)) as usize].to_vec();
    let mutants = (0..count).map(|number| (number, mutant(whole, number, words)));
    let all = mutants.chain((0..cuts).map(|i| (count + i, cut(i))));
    all.map(|(number, bytes)| {
        let taken = catch_unwind(AssertUnwindSafe(|| take(&bytes)));
        u64::from(taken.unwrap_or_else(|_| panic!("mutation {number} of {count} makes a panic")))
    })
    .sum()
}
