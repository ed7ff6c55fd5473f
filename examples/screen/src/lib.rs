//! What the two programs of this example consist of. Nothing here knows a port: the game and the face of the clock are
//! functions of numbers, and a canvas is a picture in memory.

pub mod canvas;
pub mod face;
pub mod lettering;
pub mod snake;
pub mod stage;
