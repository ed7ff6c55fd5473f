//! The place `host`: the bare program as a process of this host.
