//! What makes a run what it is, and the token that it is replayed by.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::choices::{Choice, Choices, Seeds};
use crate::faults::{Envelope, Fault};
use crate::weather::{Strategy, Weather};

/// What a token begins with: its version.
const VERSION: u8 = 1;

/// All that a run depends on, beside the scenario itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// What units draw their randomness from, and the weather.
    pub seed: u64,
    /// Other seeds for the choices, each from a moment on, in nanoseconds.
    pub later_seeds: Seeds,
    /// What is not ordinary. Without it, the seeds choose.
    pub script: Option<Vec<Choice>>,
    /// How long events gather until somebody runs, in nanoseconds; if not said, as the weather of the seed wants it.
    pub window_ns: Option<u64>,
    /// When faults stop, in nanoseconds, if not when the scenario says.
    pub until_ns: Option<u64>,
    /// The kinds of faults, if not all those of the scenario.
    pub kinds: Option<Vec<Fault>>,
    /// How the weather of the seed orders what runs.
    pub strategy: Strategy,
}

impl Recipe {
    /// The run of a seed.
    pub fn seed(seed: u64) -> Self {
        Self {
            seed,
            later_seeds: Vec::new(),
            script: None,
            window_ns: None,
            until_ns: None,
            kinds: None,
            strategy: Strategy::Mixed,
        }
    }

    /// The same with a script.
    pub fn scripted(&self, script: Vec<Choice>, window_ns: u64) -> Self {
        Self { later_seeds: Vec::new(), script: Some(script), window_ns: Some(window_ns), ..self.clone() }
    }

    pub(crate) fn envelope(&self, whole: &Envelope) -> Envelope {
        let kinds = match &self.kinds {
            Some(kinds) => kinds.iter().copied().filter(|kind| whole.has(*kind)).collect(),
            None => whole.kinds.clone(),
        };
        Envelope { kinds, ..whole.clone() }
    }

    pub(crate) fn weather(&self, envelope: &Envelope) -> Weather {
        Weather::of(self.seed, envelope, self.strategy)
    }

    pub(crate) fn choices(&self) -> Choices {
        match &self.script {
            Some(script) => Choices::scripted(script.clone()),
            None => {
                let mut seeds = vec![(0, self.seed)];
                seeds.extend(self.later_seeds.iter().copied());
                Choices::seeded(seeds)
            }
        }
    }
}

impl fmt::Display for Recipe {
    /// A seed as its number, anything else as a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::seed(self.seed) {
            return write!(f, "{}", self.seed);
        }
        // Plain structures into memory: there is no way to fail.
        let mut bytes = vec![VERSION];
        bytes.extend(postcard::to_stdvec(self).unwrap_or_default());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seed) = text.parse() {
            return Ok(Self::seed(seed));
        }
        let unreadable = || format!("`{text}` is neither a seed nor a token that `solum sim` printed");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| unreadable())?;
        match bytes.split_first() {
            Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
                Ok((recipe, [])) => Ok(recipe),
                _ => Err(unreadable()),
            },
            Some((other, _)) => {
                Err(format!("the token is of version {other}, and this Solum reads version {VERSION}"))
            }
            None => Err(unreadable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::About;

    #[test]
    fn a_recipe_is_read_as_it_is_written() {
        let choice = Choice { about: About::DiskFault, index: 2, number: 300, value: 77_777 };
        let whole = Recipe {
            later_seeds: vec![(5, 6)],
            kinds: Some(vec![Fault::BitRot]),
            until_ns: Some(9),
            ..Recipe::seed(3).scripted(vec![choice], 0)
        };
        for recipe in [Recipe::seed(u64::MAX), Recipe::seed(3).scripted(Vec::new(), 4), whole] {
            assert_eq!(recipe.to_string().parse(), Ok(recipe));
        }
        assert_eq!(Recipe::seed(12).to_string(), "12");
    }

    #[test]
    fn what_is_no_token_is_told_from_one_of_another_version() {
        let of = |text: &str| text.parse::<Recipe>().unwrap_err();
        assert!(of("hello world").contains("neither a seed nor a token"));
        assert!(of(&URL_SAFE_NO_PAD.encode([9, 0])).contains("version 9"));
        let mut token = Recipe::seed(3).scripted(Vec::new(), 4).to_string();
        token.pop();
        assert!(of(&token).contains("neither"));
    }
}
