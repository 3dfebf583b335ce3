//! The place as transcripts, and in the model's world.

mod model;
mod servers;
mod world;
