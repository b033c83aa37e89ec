//! The language of texts, above all of questions in another language than the catalogue's.

use std::{collections::HashMap, sync::LazyLock};

use stop_words::Language;
use unicode_segmentation::UnicodeSegmentation;
use whatlang::{Detector, Lang};

use crate::answering::Passage;

/// Below this, short questions are taken for the wrong language too often.
const LEAST_CONFIDENCE: f64 = 0.5;
/// As much of the passages as tells their language reliably.
const SAMPLE_PASSAGES: usize = 5;
const SAMPLE_CHARS: usize = 300;

/// The fewer languages, the surer is each.
static DETECTOR: LazyLock<Detector> = LazyLock::new(|| {
    use Lang::{
        Ara, Ces, Cmn, Dan, Deu, Ell, Eng, Fin, Fra, Heb, Hin, Hun, Ita, Jpn, Kor, Nld, Nob, Pol, Por, Ron,
        Rus, Spa, Swe, Tur, Ukr,
    };
    Detector::with_allowlist(vec![
        Eng, Deu, Fra, Spa, Ita, Nld, Pol, Por, Swe, Dan, Nob, Fin, Ces, Hun, Ron, Tur, Rus, Ukr, Ell, Ara,
        Heb, Cmn, Jpn, Kor, Hin,
    ])
});

/// The languages whose stop words are known.
const LISTED: [(Lang, Language); 8] = [
    (Lang::Eng, Language::English),
    (Lang::Deu, Language::German),
    (Lang::Fra, Language::French),
    (Lang::Spa, Language::Spanish),
    (Lang::Ita, Language::Italian),
    (Lang::Nld, Language::Dutch),
    (Lang::Pol, Language::Polish),
    (Lang::Por, Language::Portuguese),
];

/// Stop words, and the languages that each belongs to.
static STOP_WORDS: LazyLock<HashMap<&'static str, Vec<Lang>>> = LazyLock::new(|| {
    let mut words: HashMap<_, Vec<_>> = HashMap::new();
    for (lang, list) in LISTED {
        for word in stop_words::get(list) {
            words.entry(*word).or_default().push(lang);
        }
    }
    words
});

/// Whether a word, in lower case, is a stop word of any language that customers write: of a short question, the language
/// is unsure.
pub fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.contains_key(word)
}

/// Whether a question is in another language than the passages: by its letters, or if these are unsure by its words.
pub fn is_foreign(question: &str, passages: &[Passage]) -> bool {
    let passages = passages.iter().take(SAMPLE_PASSAGES).map(|passage| passage.content.as_str());
    let sample: String =
        passages.clone().flat_map(|text| text.chars().take(SAMPLE_CHARS).chain(['\n'])).collect();
    let Some(native) = by_letters(&sample) else { return false };
    by_letters(question)
        .map_or_else(|| is_foreign_by_words(question, native, passages), |asked| asked != native)
}

/// Whether another language has more of a question's stop words: two more, or one more if none of the other words stands
/// in the passages.
fn is_foreign_by_words<'a>(question: &str, native: Lang, passages: impl Iterator<Item = &'a str>) -> bool {
    if LISTED.iter().all(|(lang, _)| *lang != native) {
        return false;
    }
    let (mut counts, mut others) = (HashMap::<Lang, u32>::new(), Vec::new());
    for word in question.unicode_words().map(str::to_lowercase) {
        match STOP_WORDS.get(word.as_str()) {
            Some(languages) => languages.iter().for_each(|lang| *counts.entry(*lang).or_default() += 1),
            None => others.push(word),
        }
    }
    let of_native = counts.get(&native).copied().unwrap_or_default();
    let most = counts.into_values().max().unwrap_or_default();
    most > of_native + 1
        || most > of_native
            && passages
                .flat_map(UnicodeSegmentation::unicode_words)
                .all(|word| !others.contains(&word.to_lowercase()))
}

fn by_letters(text: &str) -> Option<Lang> {
    let detected = DETECTOR.detect(text)?;
    (detected.confidence() > LEAST_CONFIDENCE).then(|| detected.lang())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_foreign_only_if_both_languages_are_sure() {
        let passage = |content: &str| [Passage { content: content.to_owned(), ..Passage::default() }];
        let english = passage(
            "A light tent for two people that packs small. It stands without pegs and weighs 1.9 kg.",
        );
        for foreign in [
            "Haben Sie ein Zelt für zwei Personen, das man schnell aufbaut?",
            "Cherchez-vous une tente légère pour deux personnes ?",
            "2人用のテントはありますか？",
            "Was kostet die Lampe?",
            "¿Puedo pagar a plazos?",
            "Vous livrez en Norvège ?",
        ] {
            assert!(is_foreign(foreign, &english), "{foreign}");
        }
        let known = [
            "Do you have a tent for two?",
            "TNT-200?",
            "tent",
            "",
            "Le Creuset tent in red",
            "solo tent",
            "Was the lamp sold?",
            "Die-cast pegs?",
        ];
        for known in known {
            assert!(!is_foreign(known, &english), "{known}");
        }
        assert!(!is_foreign("Haben Sie ein Zelt für zwei Personen?", &passage("TNT-200")));
        assert!(!is_foreign("Haben Sie ein Zelt für zwei Personen?", &[]));
    }
}
