//! Batches within the limits of one request or transaction.

/// The limits of one request or transaction.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// The most items, such as the inputs of a request.
    pub items: usize,
    /// The most weight, such as the tokens of all inputs. A heavier item goes alone, because it cannot be cut.
    pub weight: u64,
}

impl BatchLimits {
    /// The longest prefix within the limits.
    pub fn first<T>(self, items: &[T], weight: impl Fn(&T) -> u64) -> &[T] {
        let mut sum = 0_u64;
        let fit = items.iter().take(self.items).take_while(|item| {
            sum = sum.saturating_add(weight(item));
            sum <= self.weight
        });
        &items[..fit.count().max(1).min(items.len())]
    }

    /// Splits items into as few batches as the limits allow, in their order.
    pub fn parts<T>(self, mut items: &[T], weight: impl Fn(&T) -> u64) -> Vec<&[T]> {
        let mut parts = Vec::new();
        while !items.is_empty() {
            let part = self.first(items, &weight);
            parts.push(part);
            items = &items[part.len()..];
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(weights: &[u64]) -> Vec<&[u64]> {
        BatchLimits { items: 4, weight: 100 }.parts(weights, |weight| *weight)
    }

    #[test]
    fn a_batch_is_parted_into_as_few_as_the_limits_allow() {
        assert_eq!(parts(&[1; 10]), [[1; 4].as_slice(), &[1; 4], &[1; 2]]);
        assert!(parts(&[]).is_empty());
    }

    #[test]
    fn what_is_too_heavy_goes_alone() {
        assert_eq!(parts(&[60, 50, 40, 300, 300, 1]), [[60].as_slice(), &[50, 40], &[300], &[300], &[1]]);
    }
}
