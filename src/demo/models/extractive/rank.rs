//! How well a passage fits a question.

use super::asks::Ask;
use super::passages::Passage;
use super::question::Question;
use super::stems::Stems;

/// How much retrieval's order counts. It decides alone if no word of the question is in the passages.
const ORDER: f64 = 0.1;
/// How much the words count by which a question names a product.
const NAME: f64 = 0.6;
/// How much it counts that a title has no other words.
const WHOLE_NAME: f64 = 0.4;
/// How much it counts that a passage has the kind of fact that is asked for; twice if it is the product's own.
const KIND: f64 = 0.5;
/// How much the question that a follow-up refers to counts.
const CONTEXT: f64 = 0.6;
/// How much an article number counts: it leaves no doubt.
const CODE: f64 = 2.0;
/// How much it counts against a product that it costs more than the customer wants to pay.
const TOO_DEAR: f64 = 0.8;
/// The same if it is not in stock, and the question asks for that.
const OUT_OF_STOCK: f64 = 0.1;

/// A passage and its score, the best first.
pub(super) type Ranked<'a> = (f64, &'a Passage);

/// Orders passages by how well they fit a question; they come in retrieval's order.
pub(super) fn rank<'a>(passages: &'a [Passage], question: &Question) -> Vec<Ranked<'a>> {
    let score = |(place, passage)| (score(place, passage, question), passage);
    let mut ranked: Vec<_> = passages.iter().enumerate().map(score).collect();
    ranked.sort_by(|(one, _), (two, _)| two.total_cmp(one));
    ranked
}

fn score(place: usize, passage: &Passage, question: &Question) -> f64 {
    let words = |stems: &Stems| {
        let (named, whole) = question.weights.name_fit(stems, &passage.title_stems);
        question.weights.coverage(stems, &passage.stems) + NAME * named + WHOLE_NAME * whole
    };
    let if_so = |is_so: bool, score: f64| if is_so { score } else { 0.0 };
    let asks = &question.asks;
    #[expect(clippy::cast_precision_loss, reason = "there are few passages")]
    let order = ORDER / (1.0 + place as f64);
    order
        + words(&question.stems)
        + CONTEXT * words(&question.context)
        + if_so(asks.iter().any(|ask| passage.answers(*ask)), KIND)
        + if_so(passage.facts.iter().any(|fact| asks.iter().any(|ask| fact.is_of(*ask))), KIND)
        + if_so(passage.facts.iter().any(|fact| fact.has_code(question)), CODE)
        - if_so(
            question.limit.is_some_and(|limit| passage.price().is_some_and(|price| price > limit)),
            TOO_DEAR,
        )
        - if_so(asks.contains(&Ask::Stock) && passage.is_out_of_stock(), OUT_OF_STOCK)
}
