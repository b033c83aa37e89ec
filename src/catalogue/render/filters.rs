//! The filters that templates have besides minijinja's own.

use minijinja::{
    Environment, Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};

use crate::catalogue::html;

pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.add_filter("text", |value: &Value| html::text(&written(value)));
    environment.add_filter("truncate", truncate);
    environment
        .add_filter("money", |value: &Value, currency: &Value| money(&written(value), &written(currency)));
    environment.add_filter("join", join);
    environment.add_test("none", |value: &Value| value.is_none() || value.is_undefined());
}

/// A value as a template writes it.
fn written(value: &Value) -> String {
    if value.is_none() { String::new() } else { value.to_string() }
}

/// Shortens a text to this many characters, at the end of a word if possible.
fn truncate(value: &Value, length: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let named: Option<usize> = options.get("length")?;
    let end: Option<String> = options.get("end")?;
    options.assert_all_used()?;
    drop(options);
    let (text, end) = (written(value), end.unwrap_or_else(|| "…".to_owned()));
    let length = length.or(named).unwrap_or(255);
    let place = |characters: usize| text.char_indices().nth(characters).map(|(at, _)| at);
    if place(length).is_none() {
        return Ok(text);
    }
    let full = place(length.saturating_sub(end.chars().count())).unwrap_or(text.len());
    let at_word = text[..full].rfind(char::is_whitespace).filter(|at| 2 * at > full);
    let ends_word = text[full..].starts_with(char::is_whitespace);
    let cut = if ends_word { full } else { at_word.unwrap_or(full) };
    Ok(text[..cut].trim_end().to_owned() + &end)
}

/// Currencies whose amounts do not have two decimals (ISO 4217).
const DECIMALS: &[(usize, &[&str])] = &[
    (
        0,
        &[
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF",
            "XOF", "XPF",
        ],
    ),
    (3, &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]),
];

/// Writes an amount with as many decimals as its currency has, or more if it has more: `89.5` is `89.50 EUR`. Anything
/// but a number stays as it is.
fn money(amount: &str, currency: &str) -> String {
    let amount = amount.trim();
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || !is_number(digits) || !is_number(fraction) {
        return amount.to_owned();
    }
    let decimals =
        DECIMALS.iter().find(|(_, codes)| codes.contains(&currency)).map_or(2, |(decimals, _)| *decimals);
    let fraction = fraction.trim_end_matches('0');
    let amount = match fraction.len().max(decimals) {
        0 => whole.to_owned(),
        length => format!("{whole}.{fraction:0<length$}"),
    };
    if currency.is_empty() { amount } else { format!("{amount} {currency}") }
}

/// Joins the items of a list that are not empty. Anything but a list stays as it is.
fn join(value: &Value, separator: Option<&str>) -> Result<String, Error> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Ok(written(value));
    }
    let items =
        value.try_iter().map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    let items: Vec<_> = items.map(|item| written(&item)).filter(|item| !item.is_empty()).collect();
    Ok(items.join(separator.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str) -> String {
        let mut environment = Environment::new();
        add_to(&mut environment);
        environment.render_str(template, ()).unwrap()
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (template, expected) in [
            ("{{ '89.5'|money('EUR') }}", "89.50 EUR"),
            ("{{ '89.0000'|money('EUR') }}", "89.00 EUR"),
            ("{{ 1200|money('JPY') }}", "1200 JPY"),
            ("{{ '1200.00'|money('JPY') }}", "1200 JPY"),
            ("{{ '0.0125'|money('USD') }}", "0.0125 USD"),
            ("{{ '-5'|money('KWD') }}", "-5.000 KWD"),
            ("{{ 'on request'|money('EUR') }}", "on request"),
            ("{{ ''|money('EUR') }}{{ none|money('EUR') }}", ""),
        ] {
            assert_eq!(render(template), expected, "{template}");
        }
    }

    #[test]
    fn a_text_is_cut_after_a_word() {
        for (template, expected) in [
            ("{{ 'one two three'|truncate(10) }}", "one two…"),
            ("{{ 'one two three'|truncate(8) }}", "one two…"),
            ("{{ 'one two three'|truncate(13) }}", "one two three"),
            ("{{ 'äöüäöüäöü'|truncate(5, end='') }}", "äöüäö"),
            ("{{ 'abc'|truncate(0) }}", "…"),
        ] {
            assert_eq!(render(template), expected, "{template}");
        }
    }

    #[test]
    fn lists_are_joined_and_texts_stay() {
        assert_eq!(
            render("{{ ['a', none, '', 1]|join(', ') }}|{{ 'a, b'|join('; ') }}|{{ none|join }}"),
            "a, 1|a, b|"
        );
    }
}
