//! The nearest word, for hints on mistyped words.

use strsim::damerau_levenshtein;

/// Returns the candidate nearest to `word`, if it is near enough to be a typing mistake.
///
/// Up to a third of the letters may differ, or one letter of a short word: `memroy` finds `memory`, `x` finds
/// nothing. Case does not count, and `-` equals `_`.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The cost of a distance is the product of the lengths, and no candidate is near to a very long word.
    const MAX_LEN: usize = 64;
    if word.len() > MAX_LEN {
        return None;
    }
    let normalized = |word: &str| word.to_lowercase().replace('-', "_");
    let word = normalized(word);
    candidates
        .into_iter()
        .map(|candidate| (damerau_levenshtein(&word, &normalized(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (candidate.len().max(word.len()) / 3).max(1) && *distance < candidate.len()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
