//! Reads values that servers write in more than one way.

use serde_json::Value;

/// A whole number, also one that is written as a text or with a fraction.
pub(super) fn number(value: &Value) -> Option<u64> {
    let read = |number: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is checked")]
        (0.0..1e15).contains(&number).then_some(number as u64)
    };
    match value {
        Value::Number(number) => number.as_u64().or_else(|| read(number.as_f64()?)),
        Value::String(text) => read(text.trim().parse().ok()?),
        _ => None,
    }
}

/// A number, also one that is written as a text.
pub(super) fn decimal(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}
