//! Numbers as shops and models write them.

/// Whether a word has letters before a digit, or between digits: `LMP-310`, `M8x40`; not `250kg` or `$45`.
pub(super) fn is_article_number(word: &str) -> bool {
    let mut letters = false;
    for byte in word.bytes() {
        if byte.is_ascii_alphabetic() {
            letters = true;
        } else if byte.is_ascii_digit() && letters {
            return true;
        }
    }
    false
}

/// Finds runs of digits, with the points, commas and apostrophes inside them.
pub(super) fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|character: char| !character.is_ascii_digit() && !".,'’".contains(character));
    parts
        .map(|part| part.trim_matches(|character: char| !character.is_ascii_digit()))
        .filter(|part| !part.is_empty())
}

/// Returns the values that a number may have: its last point or comma may separate decimals or thousands.
pub(super) fn values_of(number: &str) -> Vec<String> {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let value = |whole: &str, decimals: &str| {
        let (whole, decimals) = (digits(whole), decimals.trim_end_matches('0'));
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        if decimals.is_empty() { whole.to_owned() } else { format!("{whole}.{decimals}") }
    };
    let Some((whole, decimals)) = number.rsplit_once(['.', ',']) else { return vec![value(number, "")] };
    let mut values = vec![value(whole, decimals)];
    let groups: Vec<_> = number.split(['.', ',', '\'', '’']).collect();
    if groups[1..].iter().all(|group| group.len() == 3) {
        values.push(value(number, ""));
    }
    values
}
