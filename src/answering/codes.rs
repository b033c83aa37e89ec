//! Article numbers in a question: what is asked for by its SKU is found by it, not by what it is like.

/// The parts of one SKU at most, as in `JKT-8004-RED-L`.
const PARTS: usize = 6;

/// What of a question may be a SKU, in upper case without what stands between the parts: runs of up to six words that have a
/// digit, and either a letter too or six digits, so that a price or a year is none.
pub fn codes(question: &str) -> Vec<String> {
    let mut codes: Vec<_> = code_runs(question).filter(|code| is_code(code)).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// Every run of up to six words, in the spelling of a SKU.
pub(super) fn code_runs(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|character: char| !character.is_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).map(spelled).collect();
    let mut runs = Vec::new();
    for start in 0..words.len() {
        let mut run = String::new();
        for word in words[start..].iter().take(PARTS) {
            run.push_str(word);
            runs.push(run.clone());
        }
    }
    runs.into_iter()
}

/// A SKU without what people leave out or write in another way: `jkt 8004/red-l` is `JKT8004REDL`. The index
/// `document_sku` has the same spelling.
pub(super) fn spelled(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|character| character.to_ascii_uppercase()).collect()
}

fn is_code(code: &str) -> bool {
    let digits = code.bytes().filter(u8::is_ascii_digit).count();
    (3..=64).contains(&code.len()) && digits > 0 && (digits < code.len() || digits >= 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_is_seen_however_it_is_written() {
        for question in
            ["JKT-8004-RED-L", "price for jkt-8004-red-l please", "JKT 8004 RED L?", "(jkt8004/red.l)"]
        {
            assert!(codes(question).contains(&"JKT8004REDL".to_owned()), "{question}");
        }
        assert!(codes("Is LMP-310 there?").contains(&"LMP310".to_owned()));
        assert!(codes("EAN 4006381333931").contains(&"4006381333931".to_owned()));
    }

    #[test]
    fn words_prices_and_years_are_no_skus() {
        assert_eq!(codes("Which tent?"), [""; 0]);
        assert!(!codes("under 100").contains(&"100".to_owned()));
        assert!(!codes("of 2024").contains(&"2024".to_owned()));
        assert_eq!(codes(""), [""; 0]);
    }
}
