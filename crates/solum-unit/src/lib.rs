//! Starts units: opens what they are handed, wires their links, shuts them in, keeps their logs.
