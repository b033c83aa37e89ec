//! Numbers in a text with what they measure.

use super::{
    lexicon::{AND, FOR, JOINS_MEASURES, MONEY, ONE_OR_ARTICLE, STOCK, STOCK_FILLERS, phrases},
    numbers::{ONE, Value, is_ambiguous, is_article_number, number_in_words, numbers, values_of},
    phrases::begins,
    sentences::{Word, words},
    units::{Kind, Unit},
};

/// In how many words a number without a unit looks for one that has.
const MAX_LIST: usize = 10;

/// A number in a text.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    /// Every value that it may have, in its unit.
    pub(super) written: Vec<Value>,
    pub(super) unit: Unit,
    /// Whether the unit is written beside a later number: "40 x 60 cm".
    pub(super) is_inherited: bool,
}

impl Measure {
    pub(super) fn new(written: Vec<Value>, unit: Unit) -> Self {
        Self { written, unit, is_inherited: false }
    }

    /// Returns its values in the smallest unit of its kind.
    pub(super) fn values(&self) -> impl Iterator<Item = Value> {
        self.written.iter().map(|value| self.unit.convert(*value))
    }

    /// Whether both may be the same amount of the same kind.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.unit.kind == other.unit.kind
            && self.values().any(|value| other.values().any(|same| same == value))
    }

    /// Whether both may be written with the same number, whatever they measure.
    pub(super) fn is_written_as(&self, other: &Self) -> bool {
        self.written.iter().any(|value| other.written.contains(value))
    }
}

pub(super) fn has_digit(word: &Word<'_>) -> bool {
    word.text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Whether a word is a number, in digits or in letters.
pub(super) fn is_number(word: &Word<'_>) -> bool {
    has_digit(word) || number_in_words(&word.lower).is_some_and(|_| !is_ambiguous(&word.lower))
}

/// Whether a word marks the number beside it as money.
pub(super) fn is_money(word: &Word<'_>) -> bool {
    unit(word).is_some_and(|unit| unit.kind == Kind::Money)
}

/// Whether a word is the unit of the number before it.
pub(super) fn is_unit(word: &Word<'_>) -> bool {
    unit(word).is_some()
}

fn unit(word: &Word<'_>) -> Option<Unit> {
    let symbol = word.raw.chars().find(|character| "€$£%°″".contains(*character));
    if let Some(symbol) = symbol {
        return Unit::find(&symbol.to_string());
    }
    let letters = word.lower.trim_matches(|character: char| !character.is_alphabetic());
    let head = letters.split(['-', '/']).next().unwrap_or_default();
    // A preposition in most of these languages; an inch only beside its number: `14in`.
    if head == "in" { None } else { Unit::find(head) }
}

/// Finds the numbers of a text that is not an answer; "a year" is a number here.
pub(super) fn measures(text: &str) -> Vec<Measure> {
    let words: Vec<_> = words(text).collect();
    let mut found = Vec::new();
    for place in 0..words.len() {
        found.extend(measures_at(&words, place));
        found.extend(grouped(&words, place).map(|(measure, _)| measure));
        if words[place].is(ONE_OR_ARTICLE)
            && let Some(unit) = words.get(place + 1).and_then(unit)
            && let Kind::Unit(_) = unit.kind
        {
            found.push(Measure::new(vec![ONE], unit));
        }
    }
    found
}

/// Reads the numbers of one word; numbers of an article number measure nothing.
pub(super) fn measures_at(words: &[Word<'_>], place: usize) -> Vec<Measure> {
    let word = &words[place];
    if !has_digit(word) {
        return measure_in_words(words, place).into_iter().collect();
    }
    if is_article_number(word.text) {
        let codes = numbers(word.text).map(|number| Measure::new(values_of(number), Unit::of(Kind::Code)));
        return codes.collect();
    }
    if let Some(time) = time_in_words(words, place) {
        return vec![time];
    }
    let pieces = pieces(word.raw);
    // A unit may follow the last number of the word.
    let open = pieces.last().filter(|last| last.ends_open()).and_then(|_| words.get(place + 1));
    let open = open.filter(|next| !has_digit(next));
    let (mut found, mut rest) = (Vec::<Measure>::new(), pieces.as_slice());
    while let [piece, others @ ..] = rest {
        let next = open.filter(|_| others.is_empty());
        let before = place.checked_sub(1).filter(|_| found.is_empty());
        let unit = || piece.unit().or_else(|| next.and_then(unit)).or_else(|| currency(words, before?));
        let (measure, others) = time_of_day(rest, open)
            .unwrap_or_else(|| (Measure::new(values_of(piece.number), unit().unwrap_or(Unit::BARE)), others));
        found.push(measure);
        rest = others;
    }
    inherit(&mut found, words, place);
    found
}

/// A number inside a word, with what stands around it.
#[derive(Clone, Copy)]
struct Piece<'a> {
    before: &'a str,
    number: &'a str,
    after: &'a str,
}

fn pieces(raw: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::<Piece<'_>>::new(), raw);
    for number in numbers(raw) {
        let Some((before, after)) = rest.split_once(number) else { break };
        if let Some(last) = pieces.last_mut() {
            last.after = before;
        }
        pieces.push(Piece { before, number, after });
        rest = after;
    }
    pieces
}

impl Piece<'_> {
    /// The letters or the sign after the number: `kg`, `person` of `2-person`.
    fn suffix(&self) -> String {
        let letters = self.after.trim_start_matches(['-', '’', '\'']).to_lowercase();
        let end =
            letters.find(|character: char| !character.is_alphabetic() && !"€$£%°″.²³".contains(character));
        letters[..end.unwrap_or(letters.len())].trim_end_matches('.').to_owned()
    }

    fn unit(&self) -> Option<Unit> {
        let is_money = self.before.ends_with(['€', '$', '£'])
            || phrases(MONEY).any(|money| money == self.before.to_lowercase());
        if is_money { Some(Unit::MONEY) } else { Unit::find(&self.suffix()) }
    }

    /// Whether a unit may follow in the next word.
    fn ends_open(&self) -> bool {
        self.suffix().is_empty() && !self.after.contains([',', ';', ':', '.', '!', '?'])
    }
}

/// Reads `10:30`, `1h30`, "6.30 pm" or "18.30 Uhr", and returns what follows it in its word. "10 am" is not among these:
/// "am" is also German, and the hour is the same without it.
fn time_of_day<'a, 'b>(
    pieces: &'b [Piece<'a>],
    open: Option<&Word<'_>>,
) -> Option<(Measure, &'b [Piece<'a>])> {
    let [piece, others @ ..] = pieces else { return None };
    let sign = |last: &Piece<'_>, is_last: bool| {
        let suffix = last.suffix();
        if suffix.is_empty() {
            open.filter(|_| is_last).map_or_else(String::new, |next| next.lower.clone())
        } else {
            suffix
        }
    };
    let is_after_noon = |sign: &str| matches!(sign, "pm" | "p.m");
    if let [minutes, others @ ..] = others
        && matches!(piece.after, ":" | "h")
        && let sign = sign(minutes, others.is_empty())
        && let Some(time) = time(piece.number, minutes.number, is_after_noon(&sign))
    {
        return Some((time, others));
    }
    let sign = sign(piece, others.is_empty());
    let (hours, minutes) = piece.number.split_once('.').unwrap_or((piece.number, "00"));
    let is_time = is_after_noon(&sign) || sign == "uhr";
    Some((is_time.then(|| time(hours, minutes, is_after_noon(&sign))).flatten()?, others))
}

/// Reads a time of day or a duration.
fn time(hours: &str, minutes: &str, is_after_noon: bool) -> Option<Measure> {
    if hours.len() > 2 || minutes.len() != 2 {
        return None;
    }
    let [hours, minutes] = [hours, minutes].map(|number| number.parse::<Value>().ok());
    let hours = hours? + if is_after_noon && hours? < 12 { 12 } else { 0 };
    // Whole hours also stand without a unit: "from 9 to 17".
    Some(match minutes? {
        0 => Measure::new(vec![hours * ONE], Unit::HOUR),
        minutes => Measure::new(vec![(hours * 60 + minutes) * ONE], Unit::MINUTE),
    })
}

/// Reads `18 h 30`, at either number.
fn time_in_words(words: &[Word<'_>], place: usize) -> Option<Measure> {
    let at = |start: usize| {
        let [hours, sign, minutes] = words.get(start..start + 3)? else { return None };
        let is_time =
            matches!(sign.raw, "h" | "Uhr" | "uhr") && hours.text.bytes().all(|byte| byte.is_ascii_digit());
        is_time.then(|| time(hours.text, minutes.text, false)).flatten()
    };
    at(place).or_else(|| at(place.checked_sub(2)?))
}

/// Reads the currency before a number, unless it belongs to another number: "45 €, 7 in stock".
fn currency(words: &[Word<'_>], before: usize) -> Option<Unit> {
    let is_taken = before.checked_sub(1).is_some_and(|other| has_digit(&words[other]));
    let word = words.get(before).filter(|word| !is_taken && !has_digit(word))?;
    unit(word).filter(|unit| unit.kind == Kind::Money)
}

/// Takes units from later numbers: `6-8 cm`, "40 x 60 cm", "two to four days", "25, 50 or 100 €".
fn inherit(found: &mut [Measure], words: &[Word<'_>], place: usize) {
    if let Some(last) = found.last_mut().filter(|last| last.unit == Unit::BARE) {
        let mut take = |other: usize| {
            // Few words, lest a long list be read again for each of its numbers.
            if let Some(other) = measures_at(&words[..(place + MAX_LIST).min(words.len())], other).first() {
                (last.unit, last.is_inherited) = (other.unit, other.unit.is_known());
            }
        };
        if is_in_stock(&words[place + 1..]) {
            last.unit = Unit::of(Kind::Stock);
        } else if let [join, other, ..] = &words[place + 1..]
            && (join.is(JOINS_MEASURES) || join.is(AND) || matches!(join.raw, "-" | "–" | "×"))
            && is_number(other)
        {
            take(place + 2);
        } else if words[place].raw.ends_with(',') && words.get(place + 1).is_some_and(is_number) {
            take(place + 1);
        }
    }
    let Some(unit) = found.last().map(|last| last.unit).filter(|unit| unit.is_known()) else { return };
    for measure in found.iter_mut().filter(|measure| measure.unit == Unit::BARE) {
        (measure.unit, measure.is_inherited) = (unit, true);
    }
}

fn is_in_stock(after: &[Word<'_>]) -> bool {
    let place = after.iter().position(|word| !word.is(STOCK_FILLERS));
    place.is_some_and(|place| begins(&after[place..], STOCK))
}

/// Reads a number in words: "four people", "eight-person".
fn measure_in_words(words: &[Word<'_>], place: usize) -> Option<Measure> {
    let lower = &words[place].lower;
    let (head, tail) = lower.split_once('-').unwrap_or((lower, ""));
    let value = number_in_words(head)?;
    let ends = words[place].raw.ends_with([',', ';', ':', '.', '!', '?']);
    let next = words.get(place + 1).filter(|next| tail.is_empty() && !ends && !has_digit(next));
    let unit = Unit::find(tail).or_else(|| next.and_then(unit)).unwrap_or(Unit::BARE);
    let mut found = [Measure::new(vec![value], unit)];
    if tail.is_empty() {
        inherit(&mut found, words, place);
    }
    let [mut measure] = found;
    let is_counted = place.checked_sub(1).is_some_and(|before| words[before].is(FOR));
    let is_known = measure.unit.is_known();
    if measure.unit == Unit::BARE {
        measure.unit = Unit::of(Kind::Count);
    }
    (is_known || is_counted || !is_ambiguous(head)).then_some(measure)
}

/// Reads the day and the month of `31.10.`, which may also be a decimal number at the end of a sentence.
pub(super) fn date(word: &Word<'_>) -> Option<[Measure; 2]> {
    let (day, month) = word.text.split_once('.').filter(|_| word.raw.ends_with('.'))?;
    let [day, month] = [(day, 31), (month, 12)]
        .map(|(number, most)| number.parse::<Value>().ok().filter(|number| (1..=most).contains(number)));
    let measure = |number| Measure::new(vec![number * ONE], Unit::BARE);
    Some([measure(day?), measure(month?)])
}

/// Reads thousands that are separated by spaces, `1 299,00`, with the place of the last group.
pub(super) fn grouped(words: &[Word<'_>], place: usize) -> Option<(Measure, usize)> {
    let is_group = |word: &Word<'_>| word.text.bytes().take_while(u8::is_ascii_digit).count() == 3;
    let first = words[place].text;
    if !(1..=3).contains(&first.len())
        || first.starts_with('0')
        || !first.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let groups = words[place + 1..].iter().take(2).take_while(|word| is_group(word)).count();
    let last = place + groups;
    let unit = measures_at(words, last).last()?.unit;
    let texts: Vec<_> = words[place..=last].iter().filter_map(|word| numbers(word.text).next()).collect();
    (groups > 0).then(|| (Measure::new(values_of(&texts.join("'")), unit), last))
}
