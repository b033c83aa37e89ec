//! The metadata that the catalogue has, for the constraints that questions state.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use crate::{
    answering::constraints::{FieldValues, Fields},
    store::Store,
};

/// How long the values are used before they are read again.
const MAX_AGE: Duration = Duration::from_mins(10);
/// How long a question waits for them.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The documents whose metadata are read: a value that they do not have is rare.
const SAMPLE: u32 = 20_000;
/// Longer texts are prose.
const LONGEST_VALUE: u32 = 60;
/// A field with more values names documents instead of describing them.
const MOST_VALUES: usize = 500;

/// The values of the catalogue's metadata, read now and then.
pub struct KnownFields {
    store: Store,
    fields: RwLock<Arc<Fields>>,
    /// The last attempt to read them. Locked while they are read.
    read_at: Mutex<Option<Instant>>,
}

impl KnownFields {
    /// Reads nothing yet.
    pub fn new(store: Store) -> Self {
        Self { store, fields: RwLock::default(), read_at: Mutex::default() }
    }

    /// The values of the last ten minutes. One caller reads newer ones; the others, and all if they cannot be read in time,
    /// use the last ones.
    pub async fn get(&self) -> Arc<Fields> {
        if let Ok(mut read_at) = self.read_at.try_lock()
            && read_at.is_none_or(|read_at| read_at.elapsed() > MAX_AGE)
        {
            let read = tokio::time::timeout(TIMEOUT, self.store.sample_metadata(SAMPLE, LONGEST_VALUE)).await;
            if let Ok(Ok(values)) = read {
                let values = values.into_iter().map(|found| (found.field, found.value));
                *self.fields.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fields(values));
            }
            *read_at = Some(Instant::now());
        }
        self.fields.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn fields(values: impl Iterator<Item = (String, String)>) -> Fields {
    let mut fields: BTreeMap<String, FieldValues> = BTreeMap::new();
    for (field, value) in values {
        fields.entry(field).or_default().values.insert(value);
    }
    for field in fields.values_mut() {
        field.is_number = field.values.iter().all(|value| value.parse::<f64>().is_ok_and(f64::is_finite));
    }
    fields.retain(|_, field| field.is_number || field.values.len() <= MOST_VALUES);
    Fields(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_names_documents_is_left_out_and_numbers_are_recognised() {
        let skus = (0..=MOST_VALUES).map(|n| ("sku".to_owned(), format!("SKU-{n}")));
        let prices = (0..=MOST_VALUES).map(|n| ("price".to_owned(), format!("{n}.50")));
        let others = [("size", "44"), ("size", "XL"), ("colour", "red")];
        let others = others.map(|(field, value)| (field.to_owned(), value.to_owned()));
        let Fields(fields) = fields(skus.chain(prices).chain(others));
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["colour", "price", "size"]);
        assert!(fields["price"].is_number && !fields["size"].is_number);
    }
}
