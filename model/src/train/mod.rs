//! The trainer: from tables of labelled texts to the file of weights and the model card.
//!
//! The modules stand in the order of training. One thread and fixed seeds: the same input gives the same bytes.

pub mod augment;
pub mod calibrate;
pub mod cross;
pub mod data;
pub mod figures;
pub mod learn;
pub mod lexicon;
