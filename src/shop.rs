//! Adapters: a shop becomes a [`Catalogue`](crate::catalogue::Catalogue).

pub mod postgres;
