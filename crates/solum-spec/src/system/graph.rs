//! The system as a picture.
