//! The words of a text, hashed and weighted.

/// A cheap approximation of rarity: words of up to three letters are mostly grammar.
const SHORT_WORD_WEIGHT: i32 = 1;
const LONG_WORD_WEIGHT: i32 = 3;

/// Hashes every run of ASCII letters, digits and non-ASCII bytes, ignoring ASCII case and the final `s` of a plural.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = (u64, i32)> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let words = text.split(move |byte| !is_letter(byte)).filter(|word| !word.is_empty());
    words.map(|word| match word {
        [stem @ .., b's' | b'S'] if stem.len() >= 3 => (hash(stem), LONG_WORD_WEIGHT),
        _ if word.len() > 3 => (hash(word), LONG_WORD_WEIGHT),
        _ => (hash(word), SHORT_WORD_WEIGHT),
    })
}

/// FNV-1a (<https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>), then the finalizer of splitmix64 to spread it.
fn hash(word: &[u8]) -> u64 {
    let letters = word.iter().map(|letter| u64::from(letter.to_ascii_lowercase()));
    let hash = letters
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, letter| (hash ^ letter).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
