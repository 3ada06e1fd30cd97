//! Older forms of events, made into the present one on reading (R65).
//!
//! Every event is still in its first form, so there is nothing to do yet. A changed form gets the next version in
//! `event_set!`, an upcaster here, and keeps its golden file of the old form.

use cqrs_es::persist::EventUpcaster;

/// The upcasters of one kind of aggregate, in the order in which they apply.
#[must_use]
pub fn upcasters(_aggregate_type: &str) -> Vec<Box<dyn EventUpcaster>> {
    Vec::new()
}

#[cfg(test)]
mod tests;
