//! The two programs of this example, and what they consist of.
//!
//! Only [`game`] and [`clock_face`] know ports: the snake and the face of the clock are functions of numbers, and a canvas is
//! a picture in memory.

pub mod canvas;
pub mod clock_face;
pub mod face;
pub mod game;
pub mod lettering;
pub mod snake;
pub mod stage;
