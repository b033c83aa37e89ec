//! Recognises questions in another language than the catalogue's.

use std::sync::LazyLock;

use whatlang::{Detector, Lang};

use crate::answering::Passage;

/// Below this, short questions are taken for the wrong language too often.
const LEAST_CONFIDENCE: f64 = 0.5;
/// As much of the passages as tells their language reliably.
const SAMPLE_PASSAGES: usize = 5;

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

/// Whether a question is surely in another language than the passages.
pub fn is_foreign(question: &str, passages: &[Passage]) -> bool {
    let sample: String =
        passages.iter().take(SAMPLE_PASSAGES).flat_map(|passage| [passage.content.as_str(), "\n"]).collect();
    language(question).zip(language(&sample)).is_some_and(|(one, other)| one != other)
}

fn language(text: &str) -> Option<Lang> {
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
        ] {
            assert!(is_foreign(foreign, &english), "{foreign}");
        }
        for known in ["Do you have a tent for two?", "TNT-200?", "tent", ""] {
            assert!(!is_foreign(known, &english), "{known}");
        }
        assert!(!is_foreign("Haben Sie ein Zelt für zwei Personen?", &passage("TNT-200")));
        assert!(!is_foreign("Haben Sie ein Zelt für zwei Personen?", &[]));
    }
}
