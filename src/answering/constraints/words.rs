//! Words of a question and of values, folded so that case, accents and separators do not matter.

/// A word, a number, or a sign between words.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// In lower case without accents; a number as written; a sign as itself.
    pub(super) folded: String,
    /// Its value, if it is a number in digits or a number word.
    pub(super) number: Option<f64>,
    /// Where it starts in the text, in bytes.
    pub(super) start: usize,
    /// Where it ends in the text, in bytes.
    pub(super) end: usize,
    /// Whether it ends a phrase, as punctuation does.
    pub(super) is_break: bool,
    /// Whether it starts with a capital letter.
    pub(super) is_capital: bool,
    /// Whether a hyphen connects it with the word before.
    pub(super) is_hyphenated: bool,
}

/// Signs that are words of their own and end no phrase.
const SIGNS: [char; 8] = ['€', '$', '£', '"', '″', '×', '<', '>'];
/// Characters between the parts of one word.
const JOINTS: [char; 5] = ['-', '‑', '/', '_', '&'];

/// Splits a text into words.
pub(super) fn read_words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let end = at + token_length(&text[at..], character);
        let token = &text[at..end];
        let is_word = character.is_alphanumeric();
        if is_word || !(character.is_whitespace() || JOINTS.contains(&character) || is_apostrophe(character))
        {
            let number = character.is_ascii_digit().then(|| parse_number(token)).flatten();
            let before = text[..at].chars().next_back();
            words.push(Word {
                folded: if number.is_some() { token.to_owned() } else { fold(token) },
                number,
                start: at,
                end,
                is_break: !is_word && !SIGNS.contains(&character),
                is_capital: character.is_uppercase(),
                is_hyphenated: !words.is_empty() && matches!(before, Some('-' | '‑')),
            });
        }
        at = end;
    }
    words
}

/// Splits a question into words. Number words become numbers; codes such as `JKT-8004-RED-L` become a break, since their
/// parts say nothing by themselves.
pub(super) fn read_question(text: &str) -> Vec<Word> {
    let mut words = read_words(text);
    hide_codes(&mut words);
    name_numbers(&mut words);
    words
}

/// Lower case, without the accents of the Latin script.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.chars().flat_map(char::to_lowercase) {
        match character {
            'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ą' => folded.push('a'),
            'ç' | 'ć' | 'č' => folded.push('c'),
            'è' | 'é' | 'ê' | 'ë' | 'ę' | 'ě' => folded.push('e'),
            'ì' | 'í' | 'î' | 'ï' => folded.push('i'),
            'ł' => folded.push('l'),
            'ñ' | 'ń' => folded.push('n'),
            'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' => folded.push('o'),
            'ś' | 'š' => folded.push('s'),
            'ù' | 'ú' | 'û' | 'ü' => folded.push('u'),
            'ý' | 'ÿ' => folded.push('y'),
            'ź' | 'ż' | 'ž' => folded.push('z'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            // Apostrophes, and combining accents, as in decomposed text.
            '\'' | '’' | '\u{300}'..='\u{36f}' => {}
            other => folded.push(other),
        }
    }
    folded
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '’')
}

fn token_length(rest: &str, first: char) -> usize {
    if first.is_ascii_digit() {
        return number_length(rest);
    }
    if !first.is_alphanumeric() {
        return first.len_utf8();
    }
    let is_part =
        |character: char| character.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&character);
    let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
    // `don't` is one word; `l'été` and `shop's` are two.
    let mut tail = rest[end..].chars();
    let is_negation = rest[..end].ends_with(['n', 'N'])
        && tail.next().is_some_and(is_apostrophe)
        && tail.next().is_some_and(|character| matches!(character, 't' | 'T'))
        && !tail.next().is_some_and(char::is_alphanumeric);
    if is_negation { rest[end..].char_indices().nth(2).map_or(rest.len(), |(at, _)| end + at) } else { end }
}

/// The length of a number with its separators: `1,299.00`, `1 299`, `0.75`.
fn number_length(rest: &str) -> usize {
    let digits = |from: usize| rest[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(0);
    let first = end;
    while let Some(separator) = rest[end..].chars().next() {
        let next = end + separator.len_utf8();
        let group = digits(next);
        let is_grouped = first <= 3 && group == 3;
        let is_separator = match separator {
            '.' | ',' => group > 0,
            ' ' | '\u{a0}' | '\u{202f}' | '\'' | '’' => is_grouped,
            _ => false,
        };
        if !is_separator {
            break;
        }
        end = next + group;
    }
    end
}

fn parse_number(token: &str) -> Option<f64> {
    let points: Vec<_> = token.match_indices(['.', ',']).collect();
    let decimal = points.last().filter(|(at, sign)| {
        let is_only_sign = points.iter().all(|(_, other)| other == sign);
        let is_group = token.len() - at == 4 && !token.starts_with('0');
        if is_only_sign { points.len() == 1 && !is_group } else { true }
    });
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    match decimal {
        Some((at, _)) => format!("{}.{}", digits(&token[..*at]), digits(&token[*at..])).parse().ok(),
        None => digits(token).parse().ok(),
    }
}

/// Replaces words of three or more hyphenated parts, one of them a number, by one break.
fn hide_codes(words: &mut Vec<Word>) {
    let mut start = 0;
    while start < words.len() {
        let end = (start + 1..words.len()).find(|at| !words[*at].is_hyphenated).unwrap_or(words.len());
        if end - start >= 3 && words[start..end].iter().any(|word| word.number.is_some()) {
            words[start].end = words[end - 1].end;
            words[start].folded.clear();
            words[start].number = None;
            words[start].is_break = true;
            words.drain(start + 1..end);
            start += 1;
        } else {
            start = end;
        }
    }
}

/// Gives number words their values, and joins `two hundred`.
fn name_numbers(words: &mut Vec<Word>) {
    let mut at = 0;
    while at < words.len() {
        if words[at].number.is_none() {
            words[at].number = number_word(&words[at].folded);
        }
        let before =
            at.checked_sub(1).and_then(|before| words[before].number.filter(|number| *number < 10.0));
        if let (Some(number), "hundred" | "cents" | "hundert") = (before, words[at].folded.as_str()) {
            let word = words.remove(at);
            words[at - 1].end = word.end;
            words[at - 1].number = Some(number * 100.0);
            continue;
        }
        at += 1;
    }
}

/// Number words, smallest first, without those that mean something else in another of the languages.
const NUMBER_WORDS: [(f64, &str); 28] = [
    (2.0, "two zwei dos deux due twee dwa"),
    (3.0, "three drei tres trois tre drie trzy"),
    (4.0, "four vier cuatro quatre quattro cztery"),
    (5.0, "five funf cinco cinq cinque vijf piec"),
    (6.0, "six sechs seis szesc"),
    (7.0, "seven sieben siete sept sette zeven siedem"),
    (8.0, "eight acht ocho huit otto osiem"),
    (9.0, "nine neun nueve nove negen dziewiec"),
    (10.0, "ten zehn diez dix dieci tien dziesiec"),
    (11.0, "eleven elf onze undici"),
    (12.0, "twelve zwolf doce douze dodici twaalf"),
    (15.0, "fifteen funfzehn quince quinze quindici vijftien pietnascie"),
    (20.0, "twenty zwanzig veinte vingt venti twintig dwadziescia"),
    (25.0, "funfundzwanzig veinticinco venticinque vijfentwintig"),
    (30.0, "thirty dreissig treinta trente trenta dertig trzydziesci"),
    (40.0, "forty vierzig cuarenta quarante quaranta veertig czterdziesci"),
    (50.0, "fifty funfzig cincuenta cinquante cinquanta vijftig piecdziesiat"),
    (60.0, "sixty sechzig sesenta soixante sessanta zestig szescdziesiat"),
    (70.0, "seventy siebzig setenta settanta zeventig siedemdziesiat"),
    (80.0, "eighty achtzig ochenta ottanta tachtig osiemdziesiat"),
    (90.0, "ninety neunzig noventa novanta negentig dziewiecdziesiat"),
    (100.0, "hundred hundert einhundert cien cento honderd"),
    (150.0, "hundertfunfzig"),
    (200.0, "zweihundert doscientos duecento tweehonderd dwiescie"),
    (300.0, "dreihundert trescientos trecento driehonderd trzysta"),
    (400.0, "vierhundert cuatrocientos quattrocento vierhonderd czterysta"),
    (500.0, "funfhundert quinientos cinquecento vijfhonderd piecset"),
    (1000.0, "thousand tausend mille duizend tysiac"),
];

fn number_word(folded: &str) -> Option<f64> {
    let found = NUMBER_WORDS.iter().find(|(_, words)| words.split(' ').any(|word| word == folded));
    found.map(|(number, _)| *number)
}
