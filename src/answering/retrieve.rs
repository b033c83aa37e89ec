//! Finds passages for a question.
//!
//! A question is embedded by the models of all versions that are searched, and the candidates of each are ordered together.
//! Documents that the question names by SKU come first. A reranker orders the best again, if there is one. One document
//! fills at most two places while others fit. A second model or a reranker that is away costs quality, never an answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tracing::{Instrument, info_span};

use crate::{
    answering::{
        Passage,
        constraints::{Constraint, find_constraints},
        cost::AnswerCost,
        family::{Families, add_variants, families},
        fuse::{OrderedBy, fuse, weigh_constraints},
        known_fields::KnownFields,
        language::is_foreign,
        live::read_live,
        phrasings::mean,
        rank::Ranker,
        sku::find_skus,
    },
    catalogue::Catalogue,
    indexing::versions::{SearchedVersions, Version, Versions},
    job::JobError,
    model::{InputRole, estimate_tokens, rate_limit::AskError},
    store::{
        Store,
        search::{SearchFilter, View},
    },
};

/// Candidates by each of two models: standardised distances of few say little.
const LEAST_CANDIDATES: u32 = 40;
/// Candidates for each passage: some are of the same document.
const CANDIDATES_PER_PASSAGE: u32 = 4;
/// Candidates by each model if the question states constraints: the nearest may not meet them.
const CONSTRAINED_CANDIDATES: u32 = 200;
/// Places that one document may fill while others fit.
const CHUNKS_PER_DOCUMENT: usize = 2;
/// How long a question waits for its vector by one model when the other has answered.
const SECOND_TIMEOUT: Duration = Duration::from_secs(2);

/// Finds passages for a question.
#[expect(missing_docs, reason = "the names say it")]
pub struct Retriever {
    pub store: Store,
    pub versions: Arc<Versions>,
    /// The sources whose metadata is read live, by name.
    pub live: BTreeMap<String, Arc<dyn Catalogue>>,
    /// The sources that name the column which variants of one product share.
    pub grouped: BTreeSet<String>,
    /// The default number of passages.
    pub top_k: u32,
    /// Whether documents that the question names by SKU come first.
    pub names: bool,
    /// What the catalogue's metadata have, if the constraints that questions state are to be met.
    pub fields: Option<KnownFields>,
    /// Orders the best candidates again.
    pub ranker: Option<Ranker>,
}

/// The vectors of a question, at least one.
#[derive(Clone, Debug, Default)]
pub struct QuestionVectors {
    /// By the active version's model; `None` if that is away.
    pub first: Option<Vec<f32>>,
    /// By the second model; `None` if there is none, or if that is away.
    pub second: Option<Vec<f32>>,
}

/// What is searched for.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Query<'a> {
    pub text: &'a str,
    pub vectors: &'a QuestionVectors,
    pub within: SearchFilter<'a>,
    /// What the text states of what it wants: see [`Retriever::constraints`].
    pub constraints: &'a [Constraint],
    pub top_k: u32,
    /// Whether the reranker is asked, if there is one.
    pub reranks: bool,
}

impl Retriever {
    /// Searches for a text, without an answer.
    pub async fn look_up(
        &self,
        text: &str,
        within: SearchFilter<'_>,
        top_k: u32,
    ) -> Result<Vec<Passage>, JobError> {
        let (searched, cost) = (self.versions.searched().await?, AnswerCost::default());
        let found = self.retrieve(&searched, &[text.to_owned()], within, top_k, &cost).await;
        cost.account(&self.store).await;
        found
    }

    /// Embeds a question, in one or several phrasings of which the first is its own, and [finds](Self::find) its passages.
    pub async fn retrieve(
        &self,
        searched: &SearchedVersions,
        phrasings: &[String],
        within: SearchFilter<'_>,
        top_k: u32,
        cost: &AnswerCost,
    ) -> Result<Vec<Passage>, JobError> {
        let vectors = self.embed(searched, phrasings, cost).await?;
        let text = phrasings.first().map_or("", String::as_str);
        let constraints = self.constraints(text).await;
        let query =
            Query { text, vectors: &vectors, within, constraints: &constraints, top_k, reranks: true };
        self.find(searched, query, cost).await
    }

    /// Embeds a question, in one or several phrasings, by each model that is searched. One model that is away leaves the
    /// search to the other.
    pub async fn embed(
        &self,
        searched: &SearchedVersions,
        phrasings: &[String],
        cost: &AnswerCost,
    ) -> Result<QuestionVectors, JobError> {
        let Some(second) = &searched.second else {
            let first = embed(&searched.first, phrasings, cost).await?;
            return Ok(QuestionVectors { first: Some(first), second: None });
        };
        let first = std::pin::pin!(embed(&searched.first, phrasings, cost));
        let other = std::pin::pin!(embed(second, phrasings, cost));
        let (first, other) = both_in_time(first, other).await;
        let first = match first {
            Some(Err(AskError::Withheld(error))) => return Err(error),
            Some(Err(error)) if other.as_ref().is_none_or(Result::is_err) => return Err(error.into()),
            first => first,
        };
        let usable = |model: &Version, vector: Option<Result<Vec<f32>, AskError>>| match vector {
            Some(Ok(vector)) => Some(vector),
            failed => {
                let reason = match failed {
                    Some(Err(error)) => JobError::from(error).to_string(),
                    _ => "no reply in time".to_owned(),
                };
                tracing::warn!("a question is searched without {}: {reason}", model.model.model.name);
                None
            }
        };
        Ok(QuestionVectors { first: usable(&searched.first, first), second: usable(second, other) })
    }

    /// The constraints that a question states.
    pub async fn constraints(&self, question: &str) -> Vec<Constraint> {
        match &self.fields {
            Some(fields) => find_constraints(question, &*fields.get().await),
            None => Vec::new(),
        }
    }

    /// Finds the passages of a question, the best first.
    pub async fn find(
        &self,
        searched: &SearchedVersions,
        query: Query<'_>,
        cost: &AnswerCost,
    ) -> Result<Vec<Passage>, JobError> {
        let Query { text, constraints, top_k, .. } = query;
        let ranker = self.ranker.as_ref().filter(|_| query.reranks);
        let wanted = top_k.max(ranker.map_or(0, |ranker| ranker.candidates));
        let most = wanted.saturating_mul(CANDIDATES_PER_PASSAGE);
        let most = if constraints.is_empty() { most } else { most.max(CONSTRAINED_CANDIDATES) };
        let passages = self.candidates(searched, query, most).instrument(info_span!("search")).await?;
        let mut passages = weigh_constraints(passages, constraints);
        if let Some(ranker) = ranker {
            let rest = passages.split_off(passages.len().min(wanted as usize));
            passages = ranker.rank(text, passages, cost).await;
            passages.extend(rest);
        }
        let families = if passages.iter().any(|passage| self.grouped.contains(&passage.source)) {
            families(&self.store, &passages).await?
        } else {
            Families::new()
        };
        let mut passages = limit_documents(passages, top_k as usize, &families);
        read_live(&self.live, &mut passages).instrument(info_span!("live_metadata")).await;
        add_variants(&self.store, &families, &mut passages).await?;
        Ok(passages)
    }

    /// The nearest chunks, at most so many by each model, the best first; those of documents that the question names by SKU
    /// before all others.
    async fn candidates(
        &self,
        searched: &SearchedVersions,
        query: Query<'_>,
        most: u32,
    ) -> Result<Vec<Passage>, JobError> {
        let Query { text, vectors, within, .. } = query;
        let (first, second) = (&searched.first.index, searched.second.as_ref().map(|second| &second.index));
        let view = |version, vector| View { version, vector };
        let nearest = match (&vectors.first, second.zip(vectors.second.as_deref())) {
            (Some(vector), Some((second, other))) => {
                let most = most.max(LEAST_CANDIDATES);
                let both =
                    self.store.nearest_by_two(view(first, vector), view(second, other), most, within).await?;
                let by = ordered_by(searched, text, &both);
                fuse(both, by)
            }
            (Some(vector), None) => self.store.nearest(first, vector, most, within).await?,
            (None, Some((second, other))) => {
                let alone = self.store.nearest(second, other, most, within).await?;
                alone.into_iter().map(Passage::by_the_second_model).collect()
            }
            (None, None) => Vec::new(),
        };
        let skus = if self.names { find_skus(text) } else { Vec::new() };
        let mut passages = match (&*skus, &vectors.first) {
            ([], _) | (_, None) => Vec::new(),
            (skus, Some(vector)) => self.store.named(first, vector, skus, within).await?,
        };
        let named: BTreeSet<_> = passages.iter().map(|passage| owned(passage.place())).collect();
        passages.extend(nearest.into_iter().filter(|near| !named.contains(&owned(near.place()))));
        Ok(passages)
    }
}

fn owned((source, key, content): (&str, &str, &str)) -> (String, String, String) {
    (source.to_owned(), key.to_owned(), content.to_owned())
}

/// If one model alone knows many languages, it orders the passages of a question in another language than theirs.
fn ordered_by(searched: &SearchedVersions, question: &str, passages: &[Passage]) -> OrderedBy {
    let second = searched.second.as_ref().is_some_and(|second| second.model.is_multilingual);
    match (searched.first.model.is_multilingual, second) {
        (false, true) if is_foreign(question, passages) => OrderedBy::Second,
        (true, false) if is_foreign(question, passages) => OrderedBy::First,
        _ => OrderedBy::Both,
    }
}

/// Embeds the phrasings of a question by the model of one version.
async fn embed(version: &Version, phrasings: &[String], cost: &AnswerCost) -> Result<Vec<f32>, AskError> {
    let Version { model, .. } = version;
    let tokens = phrasings.iter().map(|text| estimate_tokens(text)).sum();
    let reply =
        model.budget.embed(&*model.embedder, InputRole::Question, phrasings, tokens, cost.jobs()).await?;
    cost.add_embedding(reply.tokens, tokens, model.price);
    // The adapter ensures as many vectors as inputs, and that one of them is usable.
    let mut vectors = reply.vectors.into_iter().filter_map(Result::ok);
    Ok(if phrasings.len() == 1 { vectors.next() } else { mean(vectors) }.unwrap_or_default())
}

/// Awaits both; once one has succeeded, the other has [`SECOND_TIMEOUT`] left.
async fn both_in_time<T, E>(
    one: impl Future<Output = Result<T, E>> + Unpin,
    other: impl Future<Output = Result<T, E>> + Unpin,
) -> (Option<Result<T, E>>, Option<Result<T, E>>) {
    use futures::future::{Either, select};
    let rest = async |succeeded: bool, late| {
        if succeeded { tokio::time::timeout(SECOND_TIMEOUT, late).await.ok() } else { Some(late.await) }
    };
    match select(one, other).await {
        Either::Left((one, other)) => {
            let other = rest(one.is_ok(), Either::Left(other)).await;
            (Some(one), other)
        }
        Either::Right((other, one)) => {
            let one = rest(other.is_ok(), Either::Right(one)).await;
            (one, Some(other))
        }
    }
}

/// The first `top_k` passages. A document fills more than [`CHUNKS_PER_DOCUMENT`] places, and a family has a place for
/// another variant, only if nothing else is left.
fn limit_documents(passages: Vec<Passage>, top_k: usize, families: &Families) -> Vec<Passage> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut variants: BTreeMap<(String, String), String> = BTreeMap::new();
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for passage in passages {
        let id = (passage.source.clone(), passage.key.clone());
        let is_other_variant = families.get(&id).is_some_and(|family| {
            let found = variants.entry((id.0.clone(), family.clone())).or_insert_with(|| id.1.clone());
            *found != id.1
        });
        let count = counts.entry(id).or_default();
        *count += 1;
        if *count <= CHUNKS_PER_DOCUMENT && !is_other_variant {
            first.push(passage);
        } else {
            rest.push(passage);
        }
    }
    first.extend(rest);
    first.truncate(top_k);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_document_fills_two_places_unless_nothing_else_is_left() {
        let passages = |keys: &str| -> Vec<_> {
            keys.chars().map(|key| Passage { key: key.into(), ..Passage::default() }).collect()
        };
        let limited = |keys: &str, top_k, families: &str| -> String {
            let family = |key: char| ((String::new(), key.to_string()), "f".to_owned());
            let families = families.chars().map(family).collect();
            limit_documents(passages(keys), top_k, &families).into_iter().map(|passage| passage.key).collect()
        };
        assert_eq!(limited("aaabcd", 4, ""), "aabc");
        assert_eq!(limited("aaaab", 5, ""), "aabaa");
        assert_eq!(limited("ab", 5, ""), "ab");
        assert_eq!(limited("abcde", 3, "abd"), "ace");
        assert_eq!(limited("aab", 3, "ab"), "aab");
    }
}
