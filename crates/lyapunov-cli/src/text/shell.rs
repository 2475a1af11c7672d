//! Words that a shell reads back as they are.

use std::borrow::Cow;

/// A word for a shell. No shell takes a NUL in a word: it is left out.
pub fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.replace('\0', ""), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("runs/cnn-sgd"), "runs/cnn-sgd");
        assert_eq!(quoted("my runs"), "'my runs'");
        assert_eq!(quoted("$(x)"), "'$(x)'");
        for word in ["it's", "a\"b", "", "new\nline", "~/runs", "a b;c"] {
            assert_eq!(shlex::split(&quoted(word)), Some(vec![word.to_owned()]));
        }
    }
}
