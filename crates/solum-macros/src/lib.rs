//! The attributes of the SDK: program, interface, Ports.
