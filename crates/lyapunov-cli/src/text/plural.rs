//! Counts with their nouns.

use super::number;

/// `1 run`, `3,000 runs`: a count with a noun that takes an s.
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    if count == 1 { format!("1 {noun}") } else { format!("{} {noun}s", number(count as f64, 0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2000_u64].map(|count| counted(count, "run")), ["0 runs", "1 run", "2,000 runs"]);
    }
}
