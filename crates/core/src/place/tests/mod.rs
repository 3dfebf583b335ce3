//! The place as transcripts, and in the model's world.

mod fuzz;
mod model;
mod repairs;
mod script;
mod servers;
mod subscribers;
mod world;
