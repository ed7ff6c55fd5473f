//! What a user may have meant.

/// The candidate that is written most like `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() * 2 / 5).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed || *candidate == word.to_ascii_lowercase())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A hint: the nearest of the candidates, or else all of them after `known`.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, known: &str) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(word, candidates.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if candidates.is_empty() => None,
        None => Some(format!("{known}: {}", quoted(candidates))),
    }
}

/// Words as a list: `` `a`, `b`, `c` ``.
pub fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        for (word, meant) in [
            ("memroy", Some("memory")),
            ("DISK", Some("disk")),
            ("prots", Some("ports")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, ["memory", "disk", "ports"]), meant, "{word}");
        }
    }
}
