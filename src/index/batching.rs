//! Cuts a list of inputs into requests that the model server accepts.

use std::ops::Range;

/// What one request may hold.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Inputs.
    pub inputs: usize,
    /// Tokens of all inputs together; a single input may be over it, since it cannot be cut.
    pub tokens: u64,
}

/// Cuts inputs with these token counts into as few runs as the limits allow.
pub fn batches(tokens: &[u32], limits: BatchLimits) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut sum = 0;
    for (position, count) in tokens.iter().enumerate() {
        let count = u64::from(*count);
        match batches.last_mut() {
            Some(last) if last.len() < limits.inputs && sum + count <= limits.tokens => {
                last.end += 1;
                sum += count;
            }
            _ => {
                batches.push(position..position + 1);
                sum = count;
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_at_either_limit() {
        let limits = BatchLimits { inputs: 3, tokens: 10 };
        assert_eq!(batches(&[1, 1, 1, 1, 9, 2, 50, 1], limits), [0..3, 3..5, 5..6, 6..7, 7..8]);
        assert!(batches(&[], limits).is_empty());
    }
}
