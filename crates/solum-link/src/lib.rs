//! Links between units: rings in shared memory, and the same frames on authenticated streams.
