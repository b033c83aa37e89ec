//! What a question asks for.

use super::asks::{Ask, is_number};
use super::language::Language;
use super::passages::Passage;
use super::stems::{Stems, stem};
use super::weights::Weights;
use super::words::{is_stop_word, words};

pub(super) struct Question {
    pub(super) text: String,
    pub(super) language: Language,
    pub(super) asks: Vec<Ask>,
    /// The stems of its words with content, in the forms that the passages have.
    pub(super) stems: Stems,
    /// Those words that no passage has in any form.
    unknown: Vec<String>,
    /// The stems together with those of the question that it refers to, if it does.
    pub(super) context: Stems,
    /// Words such as article numbers, in lower case.
    pub(super) codes: Vec<String>,
    /// Whether it has an article number that no passage has.
    has_unknown_code: bool,
    /// Whether it asks how several products differ.
    pub(super) compares: bool,
    /// The most that a product may cost.
    pub(super) limit: Option<f64>,
    pub(super) weights: Weights,
}

/// Words of questions that compare.
const COMPARING: &[&str] = &[
    "als",
    "cheaper",
    "cheapest",
    "compare",
    "compared",
    "differ",
    "difference",
    "differenza",
    "diferencia",
    "différence",
    "distinguishes",
    "heavier",
    "lub",
    "oder",
    "or",
    "ou",
    "różnica",
    "than",
    "unterschied",
    "verschil",
    "versus",
    "vs",
];

/// Phrases that look for a product.
const LOOKING: &[&str] = &[
    "you have",
    "you sell",
    "you stock",
    "which",
    "recommend",
    "looking for",
    "habt ihr",
    "haben sie",
    "gibt",
    "suche",
    "avez vous",
    "vous avez",
    "cherche",
    "tenéis",
    "tienen",
    "hay",
    "busco",
    "avete",
    "cerco",
    "hebben jullie",
    "zoek",
    "macie",
    "szukam",
];

/// Words that a question begins with whose answer is one fact.
const DIRECT: &[&str] = &[
    "are", "can", "could", "did", "do", "does", "has", "have", "how", "is", "may", "should", "was", "what",
    "when", "where", "which", "who", "why", "will", "would",
];

impl Question {
    /// Reads a question; `standalone` has what it refers to.
    pub(super) fn new(text: &str, standalone: &str, passages: &[Passage]) -> Self {
        let weights = Weights::new(passages);
        let language = Language::of(text);
        let asked = content(text, language);
        let forms = |words: &[String]| -> Stems {
            words.iter().flat_map(|word| weights.forms(&stem(word))).collect()
        };
        let mut stems = forms(&asked);
        if ["send", "back"].iter().all(|word| words(text).any(|other| other == *word)) {
            stems.extend(weights.forms("return"));
        }
        let measures = measures(text);
        let mut asks = Ask::find(text);
        if asks.is_empty() {
            asks = Ask::find(standalone);
        }
        let codes: Vec<_> =
            text.split_whitespace().map(trim).filter(|word| is_code(word)).map(str::to_lowercase).collect();
        let is_known = |code: &String| passages.iter().any(|passage| passage.has(code));
        Self {
            text: text.to_owned(),
            language,
            asks,
            stems,
            unknown: asked
                .into_iter()
                .filter(|word| weights.forms(&stem(word)).is_empty() && !measures.contains(word))
                .collect(),
            context: if standalone == text { Stems::new() } else { forms(&content(standalone, language)) },
            compares: compares(text),
            limit: price_limit(text),
            has_unknown_code: !codes.iter().all(is_known),
            codes,
            weights,
        }
    }

    /// Whether it is about something that the passages do not mention, of which `best` fits best. Of a direct question,
    /// few words may be unknown; who tells of a need or asks for a price says more than is needed.
    pub(super) fn is_beyond(&self, best: &Passage) -> bool {
        if self.has_unknown_code || self.language != Language::English {
            return self.has_unknown_code;
        }
        let unknown: Vec<_> = self.unknown.iter().filter(|word| !self.is_explained(word, best)).collect();
        let asked = self.stems.len() + unknown.len();
        if self.stems.is_empty() {
            return self.asks.is_empty() || !unknown.is_empty() && self.context.is_empty();
        }
        // Another product's price is worse than none.
        let asks_price = self.asks.contains(&Ask::Price);
        let is_name =
            |word: &&String| self.text.split_whitespace().skip(1).any(|other| is_named(trim(other), word));
        let held = self.stems.intersection(&best.stems).count();
        if asks_price && (unknown.iter().any(is_name) || held * 3 < asked) {
            return true;
        }
        let is_tolerant = asks_price
            || !self.context.is_empty()
            || words(&self.text).any(|word| ["i", "my", "me", "we", "our"].contains(&word.as_str()));
        self.is_direct() && unknown.len() * (if is_tolerant { 2 } else { 5 }) >= asked
    }

    /// Whether a word asks for a kind of fact that a passage has: "how bright", or "in lumens".
    fn is_explained(&self, word: &str, passage: &Passage) -> bool {
        let asks = self.asks.iter().filter(|ask| passage.answers(**ask));
        asks.into_iter().any(|ask| ask.has_unit(word) || Ask::find(word).contains(ask))
    }

    fn is_direct(&self) -> bool {
        words(&self.text).next().is_some_and(|first| DIRECT.contains(&first.as_str()))
    }

    /// The share of its weight that some of its stems have.
    pub(super) fn share<'stem>(&self, stems: impl IntoIterator<Item = &'stem String>) -> f64 {
        self.weights.sum(stems) / self.weights.sum(&self.stems).max(1.0)
    }

    /// Whether it asks for a number with a unit.
    pub(super) fn asks_for_measure(&self) -> bool {
        self.asks.iter().any(|ask| !matches!(ask, Ask::Price | Ask::Stock))
    }

    /// Whether it looks for a product.
    fn looks(&self) -> bool {
        let text = words(&self.text).collect::<Vec<_>>().join(" ");
        LOOKING.iter().any(|phrase| text.contains(phrase))
    }

    /// Whether the price of the product belongs to the answer though it is not asked for, since the question looks for a
    /// product rather than a fact; `is_stated` if a fact is stated already.
    pub(super) fn wants_price(&self, is_stated: bool) -> bool {
        self.limit.is_some()
            || self.language == Language::English && !self.is_direct()
            || !self.asks_for_measure() && (!self.is_direct() || !is_stated && self.looks())
    }
}

/// The words with content.
fn content(text: &str, language: Language) -> Vec<String> {
    words(text).filter(|word| !is_stop_word(word) && !language.has_stop_word(word)).collect()
}

/// Words that say how much: the unit in "two metres", and the amount of a price limit.
fn measures(text: &str) -> Vec<String> {
    let words: Vec<_> = words(text).collect();
    let pairs = words.windows(2).filter(|pair| is_number(&pair[0]) && Ask::is_any_unit(&pair[1]));
    pairs.flat_map(|pair| if Ask::Price.has_unit(&pair[1]) { pair } else { &pair[1..] }).cloned().collect()
}

fn trim(word: &str) -> &str {
    word.trim_matches(|letter: char| !letter.is_alphanumeric())
}

/// Whether a word is another one, written like a name.
fn is_named(word: &str, lower: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(char::is_uppercase)
        && letters.all(char::is_lowercase)
        && word.to_lowercase() == lower
}

/// Whether a word looks like an article number: groups of capitals or digits, unlike "USB-C".
pub(super) fn is_code(word: &str) -> bool {
    word.contains('-')
        && word.contains(|letter: char| letter.is_ascii_uppercase())
        && word.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '-')
        && (word.contains(|letter: char| letter.is_ascii_digit()) || word.len() > 6)
}

/// Whether a question asks how products differ; "less than 50 euros" and "65 W or more" do not.
fn compares(text: &str) -> bool {
    let words: Vec<_> = words(text).collect();
    words.iter().enumerate().any(|(place, word)| {
        let next = words.get(place + 1).map_or("", String::as_str);
        COMPARING.contains(&word.as_str())
            && !is_number(next)
            && !["more", "less", "mehr", "más", "plus"].contains(&next)
    })
}

/// The amount in "under 100 euros".
fn price_limit(text: &str) -> Option<f64> {
    const FLOORS: &[&str] =
        &["above", "over", "least", "from", "über", "ab", "mindestens", "más", "plus", "oltre", "boven"];
    let tokens: Vec<_> =
        text.split_whitespace().map(|token| token.trim_end_matches(['.', ',', '?', '!'])).collect();
    if tokens.iter().any(|token| FLOORS.contains(&token.to_lowercase().as_str())) {
        return None;
    }
    tokens.iter().enumerate().find_map(|(place, token)| {
        let next = tokens.get(place + 1).copied().unwrap_or_default().to_lowercase();
        let amount = token.trim_matches('€').replace(',', "").parse().ok()?;
        (token.contains('€') || Ask::Price.has_unit(&next)).then_some(amount)
    })
}
