//! What the passages say: their numbers, with what they measure, and their article numbers.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::value::RawValue;

use super::{
    lexicon::{APPROXIMATELY, MONTHS, PRICE_WORDS, PRICES, phrases},
    measures::{Measure, date, grouped, has_digit, measures, measures_at},
    numbers::{ONE, Value, is_article_number, last_place},
    sentences::{Word, words},
    units::{Kind, PEOPLE, Unit},
};
use crate::answering::{
    Passage,
    sku::{normalize, word_runs},
};

/// Parts of the names of columns whose numbers count pieces in stock.
const STOCKS: [&str; 9] =
    ["stock", "bestand", "quantity", "qty", "inventory", "existencias", "disponib", "giacenza", "voorraad"];
/// Names of columns, or their last words, whose numbers measure nothing.
const CODES: &str = "sku, ean, gtin, isbn, id";
/// How deep the values of a column are looked for in lists and objects.
const MAX_DEPTH: u8 = 4;

/// The numbers and words of the passages of an answer.
pub(super) struct Facts<'a> {
    pub(super) passages: Vec<PassageFacts>,
    texts: &'a [Passage],
    /// Every run of words, normalized like an article number: costly, and few answers have one.
    codes: OnceCell<BTreeSet<String>>,
}

/// The numbers of one passage.
pub(super) struct PassageFacts {
    pub(super) measures: Vec<Measure>,
    /// Numbers without a currency that may be prices all the same.
    prices: Vec<Measure>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(passages: &'a [Passage]) -> Self {
        let facts = passages.iter().map(PassageFacts::new).collect();
        Self { passages: facts, texts: passages, codes: OnceCell::new() }
    }

    fn codes(&self) -> &BTreeSet<String> {
        let texts = |passage: &'a Passage| [&*passage.title, &*passage.content, passage.metadata.get()];
        self.codes.get_or_init(|| self.texts.iter().flat_map(texts).flat_map(word_runs).collect())
    }

    /// Whether a passage has this word's article number, or all of its numbers.
    pub(super) fn support(&self, clause: &[Word<'_>], place: usize) -> bool {
        let text = clause[place].text;
        // `2.5kg` is not the `25 kg` of a passage.
        let is_code = has_digit(&clause[place])
            && text.bytes().any(|byte| byte.is_ascii_alphabetic())
            && !text.contains(['.', ',']);
        if is_code && self.codes().contains(&normalize(text)) {
            return true;
        }
        if is_article_number(text) {
            return false;
        }
        let is_rounded = clause[place.saturating_sub(2)..place].iter().any(|word| word.is(APPROXIMATELY));
        let has = |measure: &Measure| self.passages.iter().any(|passage| passage.has(measure, is_rounded));
        measures_at(clause, place).iter().all(has)
            || date(&clause[place]).is_some_and(|date| date.iter().all(has))
            || (place.saturating_sub(2)..=place)
                .filter_map(|start| grouped(clause, start))
                .any(|(measure, last)| last >= place && has(&measure))
    }
}

impl PassageFacts {
    fn new(passage: &Passage) -> Self {
        let mut facts = Self { measures: measures(&passage.title), prices: Vec::new() };
        facts.add_content(&passage.content);
        facts.add_columns("", &passage.metadata, 0);
        let has_price = facts.measures.iter().any(|measure| measure.unit.kind == Kind::Money);
        if !has_price {
            facts.prices.clone_from(&facts.measures);
        }
        facts
    }

    fn add_content(&mut self, text: &str) {
        let words: Vec<_> = words(text).collect();
        for place in (0..words.len()).filter(|place| has_digit(&words[*place])) {
            let before = &words[place.saturating_sub(3)..place];
            let has_decimals = words[place].text.contains([',', '.'])
                || [",-", ".-", ",–", ".–"].iter().any(|dash| words[place].raw.contains(dash));
            if has_decimals || before.iter().any(|word| word.is(PRICE_WORDS)) {
                self.prices.extend(measures_at(&words, place));
            }
        }
        // "31 October", "31 de octubre" and "October 31" are also `31.10.`
        for place in (0..words.len()).filter(|place| has_digit(&words[*place])) {
            let near = words[place.saturating_sub(1)..].iter().take(4);
            let names = near.filter_map(|word| MONTHS.iter().position(|names| word.is(names)));
            let months = names.filter_map(|month| Value::try_from(month + 1).ok());
            self.measures.extend(date(&words[place]).into_iter().flatten());
            self.measures.extend(months.map(|month| Measure::new(vec![month * ONE], Unit::BARE)));
        }
        self.measures.extend(measures(text));
    }

    /// Adds the numbers of a column, whose name tells what they measure.
    fn add_columns(&mut self, name: &str, value: &RawValue, depth: u8) {
        let text = value.get();
        if depth < MAX_DEPTH && text.starts_with('{') {
            let columns: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
            for (inner, value) in columns {
                self.add_columns(&format!("{name}_{}", inner.to_lowercase()), value, depth + 1);
            }
        } else if depth < MAX_DEPTH && text.starts_with('[') {
            for value in serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default() {
                self.add_columns(name, value, depth + 1);
            }
        } else {
            self.add_value(name, text);
        }
    }

    fn add_value(&mut self, name: &str, text: &str) {
        let has = |part: &str| name.contains(part);
        let last = name.rsplit(['_', '-', ' ', '.']).next().unwrap_or_default();
        let kind = if phrases(PRICES).any(has) {
            Some(Kind::Money)
        } else if STOCKS.into_iter().any(has) {
            Some(Kind::Stock)
        } else {
            phrases(CODES).any(|code| code == last).then_some(Kind::Code)
        };
        let found = measures(text);
        if kind.is_none() {
            // `weight_g` may be grams; and any column may hold a price.
            let of_unit = |unit| found.iter().map(move |measure| Measure::new(measure.written.clone(), unit));
            self.measures.extend(Unit::find(last).into_iter().flat_map(of_unit));
            self.prices.extend(found.iter().cloned());
        }
        let own = |measure: Measure| match kind {
            Some(kind) if measure.unit == Unit::BARE => Measure { unit: Unit::of(kind), ..measure },
            _ => measure,
        };
        self.measures.extend(found.into_iter().map(own));
    }

    fn has(&self, claim: &Measure, is_rounded: bool) -> bool {
        // `M8x40` is 40 mm long.
        let bare =
            |measure: &&Measure| matches!(measure.unit.kind, Kind::Bare | Kind::Code) || measure.is_inherited;
        let is_same = |measure: &Measure| measure.equals(claim) || is_near(claim, measure, is_rounded);
        match claim.unit.kind {
            _ if self.measures.iter().any(is_same) => true,
            Kind::Bare | Kind::Count => self.measures.iter().any(|measure| measure.is_written_as(claim)),
            Kind::Money => {
                self.prices.iter().any(|price| !price.unit.is_known() && price.is_written_as(claim))
            }
            _ if claim.is_inherited => self.measures.iter().any(|measure| measure.is_written_as(claim)),
            PEOPLE | Kind::Stock => {
                self.measures.iter().any(|measure| !measure.unit.is_known() && measure.is_written_as(claim))
            }
            _ => self.measures.iter().filter(bare).any(|measure| measure.is_written_as(claim)),
        }
    }
}

/// Whether a claim is a measure rounded to the last digit that it has: by 5 % at most when it says so, by 2 % when the unit
/// is another one.
fn is_near(claim: &Measure, measure: &Measure, is_rounded: bool) -> bool {
    let percent: Value = if is_rounded { 5 } else { 2 };
    if claim.unit.kind != measure.unit.kind || !is_rounded && claim.unit == measure.unit {
        return false;
    }
    claim.written.iter().any(|written| {
        let (value, step) = (claim.unit.convert(*written), claim.unit.convert(last_place(*written)));
        measure.values().any(|exact| {
            let difference = value.abs_diff(exact);
            difference.saturating_mul(2) <= step.unsigned_abs()
                && difference.saturating_mul(100) <= exact.saturating_mul(percent).unsigned_abs()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answering::grounding::Grounding;

    fn is_sound(answer: &str) -> bool {
        let passage = |content: &str, metadata: &str| Passage {
            title: "Lamp LMP-310".into(),
            content: content.into(),
            metadata: serde_json::from_str(metadata).unwrap(),
            ..Passage::default()
        };
        let passages = [
            passage(
                "Screws M8x40, 45cmx15cm. Gift cards of 25, 50 or 100 EUR. Orders over 60 ship free. Open 9–17 Uhr.",
                r#"{"price": "89.00", "weight_g": 750, "delivery": {"disponibilidad": "2 a 4 días"}, "sizes": [41, 42]}"#,
            ),
            passage(
                "Sleeps 2. A year of warranty. Until 24.10. or 31 October.",
                r#"{"stock": 12, "width_cm": 33}"#,
            ),
        ];
        Grounding::check(answer, &passages, &[], Vec::new()).is_sound()
    }

    #[test]
    fn a_number_without_a_unit_supports_any_and_a_known_one_only_its_kind() {
        let refused: Vec<_> = [
            "It weighs 0.75 kg.",
            "In 2 to 4 days, or four days.",
            "Sizes 41 and 42.",
            "12 auf Lager; noch zwölf Stück auf Lager.",
            "A gift card of 50 €.",
            "From 60 € we ship free.",
            "Screws of 40 mm, 45 x 15 cm, 45cm x 15cm.",
            "Open from 9 am to 5 pm, 9.00 bis 17.00 Uhr.",
            "For two people.",
            "12 months of warranty.",
            "It is 330 mm wide.",
            "Until 24 October and until 31.10.",
            "About 90 €.",
        ]
        .into_iter()
        .filter(|founded| !is_sound(founded))
        .collect();
        let missed: Vec<_> = [
            "It weighs 89 g.",
            "It costs 12 €.",
            "It costs 15 €.",
            "It costs 310 €.",
            "There are 15 in stock.",
            "It is 12 cm wide.",
            "It sleeps four people.",
            "Open until 6 pm.",
            "36 months of warranty.",
            "About 80 €.",
            "91 €.",
        ]
        .into_iter()
        .filter(|invented| is_sound(invented))
        .collect();
        assert_eq!([refused, missed], [[""; 0]; 2]);
    }
}
