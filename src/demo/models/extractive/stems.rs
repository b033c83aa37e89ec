//! Stems: what the forms of a word, and words for the same thing, have in common.

use std::collections::BTreeSet;

use super::words::{is_stop_word, words};

pub(super) type Stems = BTreeSet<String>;

/// Returns the stems of a text, without English stop words.
pub(super) fn stems(text: &str) -> Stems {
    words(text).filter(|word| !is_stop_word(word)).map(|word| stem(&word)).collect()
}

/// Words for the same thing, the first of which stands for all; `*` stands for any letters. Shops of many languages are asked
/// in many.
const SYNONYMS: &[&str] = &[
    "price* cost* expensive* cheap* preis* kost* precio* cuesta* prix coût* prezzo* prijs* cena",
    "ship* deliver* dispatch* versand* liefer* envío* livraison* livrer livrez spedizion* verzend* dostaw* wysył*",
    "stock* availab*",
    "warrant* guarant* garant* gwarancj*",
    "return* refund* rückgabe* zurückgeb* zurückschick* devol* retour* renvoy* restitu* zwrot* zwróc*",
    "pay* bezahl* zahlen zahlung* pagar* paiement* betalen betaling* zapłac* płatn*",
    "instalment* installment* raten ratenzahlung* plazos termijnen raty",
    "battery* batteries akku* batterie* batería* accu bateri*",
    "size* größe* tamaño* taille* maat rozmiar* taglia*",
    "colour* color* farbe* couleur* kleur* kolor*",
    "grey* gray*",
    "brand* marke marca marque merk marka",
    "weight* weigh* heavy heavier gewicht* wiegt schwer pesa peso poids pèse weegt zwaar waży",
    "material* fabric*",
    "sofa* couch*",
    "waterproof* watertight wasserdicht* étanche* impermeab* waterdicht wodoodporn*",
];

/// Returns the part that the forms of a lower-case word share; words for the same thing share one stem.
pub(super) fn stem(word: &str) -> String {
    let is_one = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => word.starts_with(start),
        None => word == pattern,
    };
    let synonyms = SYNONYMS.iter().find(|synonyms| synonyms.split(' ').any(is_one));
    let head = synonyms.and_then(|synonyms| synonyms.split(['*', ' ']).next());
    head.map_or_else(|| strip_endings(word), str::to_owned)
}

/// Whether two words are likely forms of one: the same beginning, or one or two typos.
pub(super) fn is_form(one: &str, other: &str) -> bool {
    if [one, other].iter().any(|word| word.chars().any(|letter| letter.is_ascii_digit())) {
        return false;
    }
    let lengths = [one.chars().count(), other.chars().count()];
    let (shorter, longer) = (lengths[0].min(lengths[1]), lengths[0].max(lengths[1]));
    let shared = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let edits = match shorter {
        0..4 => 0,
        4..8 => 1,
        _ => 2,
    };
    shared >= 5 && shared * 3 >= longer * 2 || shorter >= 4 && strsim::osa_distance(one, other) <= edits
}

fn strip_endings(word: &str) -> String {
    if !word.is_ascii() || word.len() < 4 || word.bytes().any(|byte| byte.is_ascii_digit()) {
        return word.to_owned();
    }
    let mut stem = match word {
        _ if let Some(start) = word.strip_suffix("eries") => format!("{start}er"),
        _ if let Some(start) = word.strip_suffix("ery") => format!("{start}er"),
        _ if let Some(start) = word.strip_suffix("ies") => format!("{start}y"),
        _ if let Some(start) = word.strip_suffix("es").filter(|start| start.ends_with(['x', 'h', 's'])) => {
            start.to_owned()
        }
        _ if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") => word.to_owned(),
        _ => word.strip_suffix('s').unwrap_or(word).to_owned(),
    };
    for (ending, rest) in [("able", 4), ("ing", 3), ("ed", 3), ("er", 4)] {
        let length = stem.len();
        if length >= ending.len() + rest && stem.ends_with(ending) {
            stem.truncate(length - ending.len());
            undouble(&mut stem);
            break;
        }
    }
    if stem.len() > 3 && stem.ends_with('e') {
        stem.pop();
    }
    stem
}

/// Makes "ship" of "shipp", but leaves "fall" and "press".
fn undouble(stem: &mut String) {
    let mut last = stem.chars().rev();
    if let (Some(one), Some(two)) = (last.next(), last.next())
        && one == two
        && !"lsz".contains(one)
    {
        stem.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for forms in [
            &["ship", "ships", "shipping", "shipped", "delivery", "deliveries", "deliver"][..],
            &["price", "prices", "priced", "cost", "costs"],
            &["return", "returns", "returned", "refund", "refunds"],
            &["wash", "washing", "washable", "washed", "washes"],
            &["warranty", "warranties", "guarantee"],
            &["box", "boxes"],
            &["available", "availability", "stock"],
            &["weight", "weighs", "heavy", "wiegt", "poids"],
            &["pay", "payment", "bezahlen", "pagar"],
        ] {
            let stems: BTreeSet<_> = forms.iter().map(|form| stem(form)).collect();
            assert_eq!(stems.len(), 1, "{forms:?} have the stems {stems:?}");
        }
        assert_eq!(stem("glass"), "glass");
    }
}
