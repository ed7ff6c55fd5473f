//! Judges of histories: what happened, held against what was promised.
