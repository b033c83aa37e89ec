//! Limits of money: "under 300", "zwischen 20 und 50 €", "budget 50 euros".

use super::{
    Constraint, FieldValues, Fields, Rated,
    fields::Role,
    limits::{Limit, interval, limit_of, range},
    question::Question,
    units::is_unit,
};
use crate::catalogue::filter::{Condition, Range};

/// Currencies by their code, and words for them.
const CURRENCIES: [(&str, &str); 7] = [
    ("EUR", "€ eur euro euros eur. euroa"),
    ("USD", "$ usd dollar dollars bucks dolares dolar dollari dolarow"),
    ("GBP", "£ gbp quid"),
    ("CHF", "chf franken francs franchi sfr"),
    ("PLN", "pln zl zlotych zloty zlote"),
    ("SEK", "sek kronor"),
    ("DKK", "dkk kroner"),
];
/// Words that say that a number is money.
const PRICE_WORDS: &[&str] = &[
    "cost",
    "costs",
    "costing",
    "price",
    "priced",
    "prices",
    "budget",
    "spend",
    "pay",
    "cheap",
    "cheaper",
    "expensive",
    "money",
    "kosten",
    "kostet",
    "koste",
    "preis",
    "preise",
    "teuer",
    "gunstig",
    "gunstiger",
    "billig",
    "billiger",
    "ausgeben",
    "precio",
    "precios",
    "cuesta",
    "cueste",
    "cuesten",
    "costar",
    "presupuesto",
    "gastar",
    "gastarme",
    "barato",
    "barata",
    "prix",
    "coute",
    "coutent",
    "coutant",
    "cher",
    "chers",
    "depenser",
    "prezzo",
    "costa",
    "costi",
    "costano",
    "spendere",
    "economico",
    "prijs",
    "kost",
    "uitgeven",
    "goedkoop",
    "goedkoper",
    "cena",
    "cenie",
    "kosztuje",
    "kosztujace",
    "budzet",
    "wydac",
    "tanszy",
    "tansze",
    "taniej",
];
/// Numbers beside these words are ages, temperatures or years, unless a currency says otherwise.
const OTHER_NUMBERS: &[&str] = &[
    "age",
    "aged",
    "old",
    "child",
    "children",
    "kid",
    "kids",
    "baby",
    "babies",
    "toddler",
    "toddlers",
    "infant",
    "boy",
    "girl",
    "people",
    "degrees",
    "temperature",
    "temperatures",
    "kind",
    "kinder",
    "alter",
    "jahre",
    "grad",
    "temperatur",
    "nino",
    "ninos",
    "nina",
    "anos",
    "grados",
    "enfant",
    "enfants",
    "ans",
    "age",
    "degres",
    "bambino",
    "bambini",
    "anni",
    "gradi",
    "kinderen",
    "jaar",
    "graden",
    "dziecko",
    "dzieci",
    "lat",
    "stopni",
    "weigh",
    "weighs",
    "weight",
    "weighing",
    "weight",
    "rating",
    "score",
    "stars",
    "size",
    "sizes",
];
/// Words of offers for large orders, where a lower limit is not a wish.
const ORDERS: &[&str] = &[
    "order",
    "orders",
    "purchase",
    "purchases",
    "buy",
    "bestellung",
    "bestellungen",
    "einkauf",
    "pedido",
    "pedidos",
    "compra",
    "compras",
    "commande",
    "commandes",
    "achat",
    "ordine",
    "ordini",
    "acquisto",
    "bestelling",
    "bestellingen",
    "zamowienie",
    "zamowienia",
    "zakupy",
    "gratis",
    "free",
    "kostenlos",
    "gratuito",
    "gratuit",
];
/// How certain a price is without either.
const BARE: u8 = 58;
/// The smallest number that is a price without a currency or a word for it.
const MIN_BARE: f64 = 20.0;

/// An amount in the question.
struct Amount {
    number: f64,
    from: usize,
    to: usize,
    currency: Option<&'static str>,
}

/// Finds the limits of the price. Two of them, "over 20 but under 50", make one range.
pub(super) fn find_price(question: &Question<'_>, fields: &Fields) -> Option<Rated> {
    let (field, values) = fields.with_role(Role::Price).into_iter().find(|(_, values)| values.is_number)?;
    if question.asks_yes_or_no {
        return None;
    }
    let mut found: Option<(Range, u8, usize, usize)> = None;
    let mut at = 0;
    while at < question.words.len() {
        let Some(limits) = read_limits(question, fields, values, at) else {
            at += 1;
            continue;
        };
        at = limits.3.max(at + 1);
        found = Some(match found {
            None => limits,
            Some((range, certainty, from, to)) => {
                let range = Range { low: range.low.or(limits.0.low), high: range.high.or(limits.0.high) };
                (range, certainty.min(limits.1), from, to.max(limits.3))
            }
        });
    }
    let (range, certainty, from, to) = found.filter(|(range, ..)| is_possible(range))?;
    let is_floor = range.high.is_none() && question.has_word(ORDERS);
    let (words, field, condition) = (question.quote(from, to), field.to_owned(), Condition::Range(range));
    (!is_floor).then_some(Rated { certainty, constraint: Constraint { words, field, condition } })
}

/// Reads the limits whose first number is at a place.
fn read_limits(
    question: &Question<'_>,
    fields: &Fields,
    values: &FieldValues,
    at: usize,
) -> Option<(Range, u8, usize, usize)> {
    let first = read_amount(question, at)?;
    if let Some((is_between, start, second)) = interval(question, first.from, first.to) {
        let second = read_amount(question, second)?;
        let certainty =
            money(question, fields, values, &second).or_else(|| money(question, fields, values, &first))?;
        if certainty == BARE {
            return None;
        }
        let is_ascending = first.number < second.number;
        let range = Range {
            low: range(Limit::AtLeast, first.number)?.low,
            high: range(Limit::AtMost, second.number)?.high,
        };
        let is_clear = is_between || second.currency.is_some();
        return (is_ascending && is_clear).then_some((range, certainty, start, second.to));
    }
    let (limit, from, to) = limit_of(question, first.from, first.to)?;
    let certainty = match limit {
        Limit::Budget if !is_unit(question.at(first.to)) => 90,
        _ => money(question, fields, values, &first)?,
    };
    // "Up to 6", "at least 4" and "over 40" count or measure something else at least as often.
    if certainty == BARE && limit != Limit::Below {
        return None;
    }
    Some((range(limit, first.number)?, certainty, from, to))
}

fn read_amount(question: &Question<'_>, at: usize) -> Option<Amount> {
    let number = question.words.get(at)?.number?;
    let before = at.checked_sub(1).and_then(|before| currency_of(question.at(before)));
    let after = currency_of(question.at(at + 1));
    Some(Amount {
        number,
        from: if before.is_some() && after.is_none() { at - 1 } else { at },
        to: if after.is_some() { at + 2 } else { at + 1 },
        currency: after.or(before),
    })
}

fn currency_of(word: &str) -> Option<&'static str> {
    let found = CURRENCIES.iter().find(|(_, words)| words.split(' ').any(|name| name == word));
    found.map(|(code, _)| *code)
}

/// Returns how certain it is that an amount is money in the catalogue's currency; `None` if it may be something else.
fn money(question: &Question<'_>, fields: &Fields, values: &FieldValues, amount: &Amount) -> Option<u8> {
    if let Some(currency) = amount.currency {
        let known = fields.with_role(Role::Currency);
        let is_ours =
            |values: &FieldValues| values.values.iter().any(|code| code.eq_ignore_ascii_case(currency));
        return known.iter().all(|(_, values)| values.values.is_empty() || is_ours(values)).then_some(95);
    }
    let word = question.at(amount.to);
    let is_percent = matches!(word, "%" | "°");
    if is_percent || is_unit(word) || question.words.get(amount.to).is_some_and(|word| word.is_hyphenated) {
        return None;
    }
    let is_alone = question.is_end(amount.to) || PRICE_WORDS.contains(&word) || ["at", "max"].contains(&word);
    if !is_alone || question.has_word(OTHER_NUMBERS) {
        return None;
    }
    if question.has_word(PRICE_WORDS) {
        return Some(85);
    }
    (amount.number >= MIN_BARE && is_in_reach(values, amount.number)).then_some(BARE)
}

/// Returns whether a number is near the catalogue's prices, as far as they are known.
fn is_in_reach(values: &FieldValues, number: f64) -> bool {
    let prices = values.values.iter().filter_map(|price| price.parse::<f64>().ok());
    let (least, most) =
        prices.fold((f64::MAX, 0.0_f64), |(least, most), price| (least.min(price), most.max(price)));
    least > most || number >= least && number <= most * 2.0
}

fn is_possible(range: &Range) -> bool {
    let number = |bound: &Option<crate::catalogue::filter::Bound>| {
        bound.as_ref().and_then(|bound| bound.number.as_f64())
    };
    match (number(&range.low), number(&range.high)) {
        (Some(low), Some(high)) => low < high,
        _ => true,
    }
}
