//! Programs that reach past their ports: the system's clocks, randomness, threads, and statics.
