//! Adapters: a shop becomes a [`Catalogue`](crate::catalogue::Catalogue).

pub mod feed;
pub mod postgres;
