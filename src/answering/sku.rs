//! Article numbers: a product that a question names by its SKU is found by it, not by similarity.

/// The most parts of one SKU, as in `JKT-8004-RED-L`.
const MAX_PARTS: usize = 6;

/// Finds possible SKUs in a question, normalized: runs of up to six words with a digit, and either a letter or six digits,
/// which excludes prices and years.
pub fn find_skus(question: &str) -> Vec<String> {
    let mut skus: Vec<_> = word_runs(question).filter(|run| is_sku(run)).collect();
    skus.sort_unstable();
    skus.dedup();
    skus
}

/// Returns every run of up to six words, normalized like a SKU.
pub(super) fn word_runs(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|character: char| !character.is_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).map(normalize).collect();
    let mut runs = Vec::new();
    for start in 0..words.len() {
        let mut run = String::new();
        for word in words[start..].iter().take(MAX_PARTS) {
            run.push_str(word);
            runs.push(run.clone());
        }
    }
    runs.into_iter()
}

/// Normalizes a SKU as the index `document_sku` does: `jkt 8004/red-l` becomes `JKT8004REDL`.
pub(super) fn normalize(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|character| character.to_ascii_uppercase()).collect()
}

fn is_sku(run: &str) -> bool {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    (3..=64).contains(&run.len()) && digits > 0 && (digits < run.len() || digits >= 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_is_seen_however_it_is_written() {
        for question in
            ["JKT-8004-RED-L", "price for jkt-8004-red-l please", "JKT 8004 RED L?", "(jkt8004/red.l)"]
        {
            assert!(find_skus(question).contains(&"JKT8004REDL".to_owned()), "{question}");
        }
        assert!(find_skus("Is LMP-310 there?").contains(&"LMP310".to_owned()));
        assert!(find_skus("EAN 4006381333931").contains(&"4006381333931".to_owned()));
    }

    #[test]
    fn words_prices_and_years_are_no_skus() {
        assert_eq!(find_skus("Which tent?"), [""; 0]);
        assert!(!find_skus("under 100").contains(&"100".to_owned()));
        assert!(!find_skus("of 2024").contains(&"2024".to_owned()));
        assert_eq!(find_skus(""), [""; 0]);
    }
}
