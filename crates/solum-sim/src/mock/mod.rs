//! Devices for tests, one for each type of port, of use without any system.
