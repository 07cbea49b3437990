//! Stories of deliveries.
