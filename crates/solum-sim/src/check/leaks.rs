//! What was taken and not given back.

use std::collections::BTreeMap;
use std::fmt;

/// How many there are of what: free bytes of a pool, units alive, open calls.
pub type Counts = BTreeMap<String, u64>;

/// Counts that are not what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// What changed: its name, how many there were and how many there are.
    pub changed: Vec<(String, u64, u64)>,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not everything is as it was before:")?;
        for (name, before, after) in &self.changed {
            let (more, difference) =
                if after > before { ("more", after - before) } else { ("fewer", before - after) };
            write!(f, "\n  {name}: {before} before, {after} after, which is {difference} {more}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Leak {}

/// Whether there is as much of everything after as there was before. What is named on one side alone counts as 0 on the other.
///
/// ```
/// use solum_sim::check::leaks;
/// use solum_sim::check::leaks::Counts;
///
/// let counts = |free: u64, units: u64| Counts::from([("pool bytes free".into(), free), ("units alive".into(), units)]);
/// assert!(leaks(&counts(4096, 3), &counts(4096, 3)).is_ok());
/// let leak = leaks(&counts(4096, 3), &counts(3584, 3)).unwrap_err();
/// assert!(leak.to_string().ends_with("pool bytes free: 4096 before, 3584 after, which is 512 fewer"));
/// ```
///
/// # Errors
///
/// [`Leak`] with everything of which there is more or less.
pub fn leaks(before: &Counts, after: &Counts) -> Result<(), Leak> {
    let of = |counts: &Counts, name: &str| counts.get(name).copied().unwrap_or(0);
    let only_after = after.keys().filter(|name| !before.contains_key(*name));
    let names = before.keys().chain(only_after);
    let all = names.map(|name| (name.clone(), of(before, name), of(after, name)));
    let changed: Vec<_> = all.filter(|(_, before, after)| before != after).collect();
    if changed.is_empty() { Ok(()) } else { Err(Leak { changed }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_on_one_side_alone_is_compared_with_none() {
        let counts =
            |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).into(), *count)).collect();
        let (before, after): (Counts, Counts) =
            (counts(&[("a", 1), ("z", 0)]), counts(&[("b", 2), ("y", 0)]));
        let leak = leaks(&before, &after).unwrap_err();
        assert_eq!(leak.changed, [("a".into(), 1, 0), ("b".into(), 0, 2)]);
        assert!(leak.to_string().contains("a: 1 before, 0 after, which is 1 fewer"), "{leak}");
        assert!(leak.to_string().contains("b: 0 before, 2 after, which is 2 more"), "{leak}");
    }
}
