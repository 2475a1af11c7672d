//! The word that was meant by a word that nobody knows.

/// The candidate closest to `name` by typing errors: a third of its letters at most.
pub fn closest<T: Ord + AsRef<str>>(name: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    closest_by(name, known, AsRef::as_ref)
}

/// The same where only a part of a candidate is compared.
pub fn closest_by<T: Ord + AsRef<str>>(
    name: &str,
    known: impl IntoIterator<Item = T>,
    part: impl Fn(&T) -> &str,
) -> Option<T> {
    let close = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, part(&known)), known));
    close.filter(|(distance, known)| *distance <= known.as_ref().len() / 3).min().map(|(_, known)| known)
}

/// The name that a typing error may have made `name` of, or that it is the beginning of: a third of its letters at
/// most.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let beginning = || known.iter().copied().find(|known| !name.is_empty() && known.starts_with(name));
    closest(name, known.iter().copied()).or_else(beginning)
}
