//! When each unit starts, stops and starts again. Decisions only.
