//! Orders candidates by two models, and by the constraints that the question states.
//!
//! Distances of two models have different scales. Each is standardised over the candidates of one question (z-score), and
//! the two are added: a document that either model finds much nearer than the rest comes first. Adding ranks instead
//! (reciprocal rank fusion) finds less, as docs/evaluation.md shows.

use crate::answering::{Passage, constraints::Constraint};

/// What each constraint that a passage breaks costs, in standard deviations of the candidates' scores.
const BROKEN: f64 = 1.5;

/// Whose distances order passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum OrderedBy {
    Both,
    First,
    Second,
}

/// Orders passages by the standardised distances of one model, or by their sum, and sets their scores and their ranks by
/// each model that orders them. One that a model has no vector for counts as the farthest.
pub fn fuse(mut passages: Vec<Passage>, by: OrderedBy) -> Vec<Passage> {
    let first: Vec<_> = passages.iter().map(|passage| Some(passage.distance)).collect();
    let second: Vec<_> = passages.iter().map(|passage| passage.second_distance).collect();
    let scores = nearness(&first).into_iter().zip(nearness(&second)).map(|(first, second)| match by {
        OrderedBy::Both => first + second,
        OrderedBy::First => first,
        OrderedBy::Second => second,
    });
    for (passage, score) in passages.iter_mut().zip(scores) {
        passage.score = score;
    }
    if by != OrderedBy::Second {
        for (passage, rank) in passages.iter_mut().zip(ranks(&first)) {
            passage.rank = rank;
        }
    }
    if by != OrderedBy::First {
        for (passage, rank) in passages.iter_mut().zip(ranks(&second)) {
            passage.second_rank = rank;
        }
    }
    passages.sort_by(|one, other| {
        let by_score = other.score.total_cmp(&one.score);
        by_score
            .then_with(|| one.distance.total_cmp(&other.distance))
            .then_with(|| one.place().cmp(&other.place()))
    });
    passages
}

/// Lowers the scores of passages that break constraints: a constraint may have been misread, and a passage that stands out
/// stays before those that only meet it. Passages that the question names by SKU stay first.
pub fn weigh_constraints(mut passages: Vec<Passage>, constraints: &[Constraint]) -> Vec<Passage> {
    if constraints.is_empty() {
        return passages;
    }
    let broken = |passage: &Passage| {
        let metadata: serde_json::Value = serde_json::from_str(passage.metadata.get()).unwrap_or_default();
        let is_broken = |stated: &&Constraint| !stated.condition.matches(metadata.get(&stated.field));
        constraints.iter().filter(is_broken).map(|_| 1.0).sum::<f64>()
    };
    let scores: Vec<_> = passages.iter().map(|passage| passage.score).collect();
    let (_, spread) = mean_and_spread(&scores);
    for passage in &mut passages {
        passage.score -= BROKEN * spread * broken(passage);
    }
    passages.sort_by(|one, other| {
        other.is_named.cmp(&one.is_named).then_with(|| other.score.total_cmp(&one.score))
    });
    passages
}

/// Standard deviations by which each distance is below the mean; zero if all are equal or unknown.
fn nearness(distances: &[Option<f64>]) -> Vec<f64> {
    let farthest = distances.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    let all: Vec<_> = distances.iter().map(|distance| distance.unwrap_or(farthest)).collect();
    let (mean, spread) = mean_and_spread(&all);
    let score = |distance: f64| if spread > 1e-9 { (mean - distance) / spread } else { 0.0 };
    all.into_iter().map(score).collect()
}

/// The mean and the standard deviation.
fn mean_and_spread(values: &[f64]) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "there are hundreds of candidates")]
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt())
}

/// The rank of each distance, from 1; `None` where there is none.
fn ranks(distances: &[Option<f64>]) -> Vec<Option<u32>> {
    let mut order: Vec<_> = (0..distances.len()).filter(|place| distances[*place].is_some()).collect();
    order.sort_by(|one, other| {
        distances[*one].partial_cmp(&distances[*other]).unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut ranks = vec![None; distances.len()];
    for (rank, place) in (1..).zip(order) {
        ranks[place] = Some(rank);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::filter::{Condition, Scalar};

    fn passage(key: &str, distance: f64, second_distance: Option<f64>) -> Passage {
        Passage { key: key.to_owned(), distance, second_distance, ..Passage::default() }
    }

    fn keys(passages: &[Passage]) -> String {
        passages.iter().map(|passage| passage.key.as_str()).collect()
    }

    #[test]
    fn a_document_that_one_model_finds_far_nearer_than_the_rest_comes_first() {
        let passages = vec![
            passage("a", 0.50, Some(0.200)),
            passage("b", 0.51, Some(0.201)),
            passage("c", 0.52, Some(0.120)),
            passage("d", 0.53, Some(0.202)),
        ];
        let fused = fuse(passages, OrderedBy::Both);
        assert_eq!(keys(&fused), "cabd");
        assert_eq!((fused[0].rank, fused[0].second_rank), (Some(3), Some(1)));
        assert!(fused.windows(2).all(|pair| pair[0].score >= pair[1].score));
    }

    #[test]
    fn a_model_without_vectors_or_with_equal_ones_leaves_the_order_to_the_other() {
        let passages = |second: Option<f64>| {
            vec![passage("b", 0.4, second), passage("a", 0.3, second), passage("c", 0.5, second)]
        };
        for second in [None, Some(0.2)] {
            let fused = fuse(passages(second), OrderedBy::Both);
            assert_eq!(keys(&fused), "abc", "{second:?}");
        }
        assert_eq!(fuse(passages(None), OrderedBy::Both)[0].second_rank, None);
        assert!(fuse(Vec::new(), OrderedBy::Both).is_empty());
    }

    #[test]
    fn a_passage_that_breaks_a_constraint_goes_back_unless_it_stands_out_or_is_named() {
        let condition = Condition::In(vec![Scalar::Text("red".into())]);
        let red = [Constraint { words: "in red".into(), field: "colour".into(), condition }];
        let coloured = |key: &str, score: f64, colour: &str| Passage {
            score,
            metadata: serde_json::value::to_raw_value(&serde_json::json!({ "colour": colour })).unwrap(),
            ..passage(key, 0.5, None)
        };
        let near = vec![
            coloured("a", 3.0, "blue"),
            coloured("b", 2.9, "red"),
            coloured("c", 1.0, "red"),
            coloured("d", 0.9, "blue"),
        ];
        assert_eq!(keys(&weigh_constraints(near.clone(), &red)), "bacd");
        assert_eq!(keys(&weigh_constraints(near.clone(), &[])), "abcd");
        let named = Passage { is_named: true, ..coloured("e", 0.1, "blue") };
        assert_eq!(keys(&weigh_constraints([near, vec![named]].concat(), &red)), "ebacd");
        assert!(weigh_constraints(Vec::new(), &red).is_empty());
    }

    #[test]
    fn one_model_may_order_alone() {
        let passages = || vec![passage("a", 0.30, Some(0.2)), passage("b", 0.31, Some(0.1))];
        assert_eq!(keys(&fuse(passages(), OrderedBy::First)), "ab");
        let by_second = fuse(passages(), OrderedBy::Second);
        assert_eq!(keys(&by_second), "ba");
        assert_eq!((by_second[0].rank, by_second[0].second_rank), (None, Some(1)));
    }

    #[test]
    fn a_document_without_a_vector_of_the_second_model_counts_as_its_farthest() {
        let fused = fuse(
            vec![passage("a", 0.30, None), passage("b", 0.31, Some(0.1)), passage("c", 0.60, Some(0.2))],
            OrderedBy::Both,
        );
        assert_eq!(keys(&fused), "bac");
    }
}
