//! Sentences in four languages that may be said of a customer's number, and such that may not.

use proptest::prelude::*;

use crate::answering::{Passage, grounding::Grounding};

fn passage(title: &str, content: &str, metadata: &str) -> Passage {
    Passage {
        title: title.into(),
        content: content.into(),
        metadata: serde_json::from_str(metadata).unwrap(),
        ..Passage::default()
    }
}

fn unsupported(asked: &str, answer: &str) -> Vec<String> {
    let passages = [
        passage("Alva", "Sleeps 2. Weighs 2.5 kg.", r#"{"price": "89.00", "stock": 7}"#),
        passage("Vidda", "A tent for 6 people, 9 kg.", r#"{"price": "349.00", "stock": 12}"#),
        passage("Boot", "Sizes 42 and 43.", r#"{"price": "129.00", "stock": 0}"#),
    ];
    Grounding::check(answer, &passages, &[asked], Vec::new()).unsupported_numbers
}

const MONEY: &str = "A tent under 300 €, or 50 €, or between 200 and 300? Is it 50 € or 400 €?";

#[test]
fn a_limit_that_is_true_or_that_nothing_meets_is_the_customers() {
    for founded in [
        // What there is not.
        "We have no tent under 300 €.",
        "We have nothing under 50 €, the nearest is 89 € [1].",
        "There is none for less than 50 €.",
        "There isn't any under $50.",
        "Sorry, I found no tent between 200 and 300 €; the Vidda costs 349 €.",
        "Leider haben wir kein Zelt unter 50 €.",
        "Unter 50 € haben wir nichts.",
        "Es gibt leider kein Zelt, das weniger als 50 € kostet.",
        "Zwischen 200 und 300 € führen wir keine Zelte.",
        "Bis 50 € gibt es nichts.",
        "Nous n'avons aucune tente à moins de 50 €.",
        "Il n'y a rien en dessous de 50 €.",
        "Nous n'avons pas de tente jusqu'à 50 €.",
        "No tenemos ninguna tienda por debajo de 50 €.",
        "No hay nada por menos de 50 €.",
        // What is true of a price.
        "Yes, the Alva is under 300 € [1].",
        "Yes: the Alva is under 300. [1]",
        "The Alva at 89 € is well within your budget of 300 €.",
        "For your 300 € you get the Alva [1].",
        "With up to 300 € to spend, take the Alva.",
        "The Alva costs 300 € at most.",
        "The Alva (max. 300 €) fits.",
        "It does not cost more than 300 € [1].",
        "It costs no more than 300 € [1].",
        "It is not under 50 € [1].",
        "It doesn't cost less than 300 € [2].",
        "The Vidda is over 300 € [2].",
        "Das Alva kostet höchstens 300 €. [1]",
        "Das Alva kostet nicht mehr als 300 €. [1]",
        "Ja, das Vidda liegt über 300 €.",
        "Oui, l'Alva coûte moins de 300 €.",
        "L'Alva ne coûte pas plus de 300 € [1].",
        "Sí, la Alva cuesta menos de 300 €.",
        "La Vidda cuesta más de 300 € [2].",
        // What it is not.
        "No, it is not 50 €, it is 89 €.",
        "It does not cost 50 €, but 89 €.",
        "Es kostet nicht 50 €, sondern 89 €.",
        "Elle ne coûte pas 50 €.",
        "No cuesta 50 €, cuesta 89 €.",
    ] {
        assert_eq!(unsupported(MONEY, founded), [""; 0], "{founded}");
    }
}

#[test]
fn a_price_that_the_customer_named_needs_its_passage() {
    for (unfounded, told) in [
        ("Yes, 50 €.", "50"),
        ("Yes, it costs 50 €.", "50"),
        ("It is 50 € [1].", "50"),
        ("The Alva costs 50 €, as you said.", "50"),
        ("You get it for 50 €.", "50"),
        ("You get the 50 € that you asked for off.", "50"),
        ("Yes, under 50 €.", "50"),
        ("Yes, it is under 50 € [1].", "50"),
        ("Yes, it is under 50 €, no problem.", "50"),
        ("No problem, it is under 50 €.", "50"),
        ("It is under 50 € with no shipping costs.", "50"),
        ("No, it is under 50 €.", "50"),
        ("Yes, the Vidda is under 300 € [2].", "300"),
        ("It does not cost more than 50 € [1].", "50"),
        ("It costs no more than 50 €.", "50"),
        ("It's not over 50 €.", "50"),
        ("For your 50 € you get it.", "50"),
        ("It fits your budget of 50 €.", "50"),
        ("It is over 400 €.", "400"),
        ("Not only 50 € but 89 €.", "50"),
        ("Why not 50 €?", "50"),
        ("There is no charge and 50 € is the price.", "50"),
        ("We reduced it to 50 €.", "50"),
        ("Ja, 50 €.", "50"),
        ("Ja, es kostet 50 €.", "50"),
        ("Ja, das Alva kostet unter 50 € [1].", "50"),
        ("Das Alva kostet nicht mehr als 50 €.", "50"),
        ("Für Ihre 50 € bekommen Sie es.", "50"),
        ("Kein Problem, das Alva kostet höchstens 50 €.", "50"),
        ("Oui, 50 €.", "50"),
        ("Oui, à moins de 50 € [1].", "50"),
        ("L'Alva ne coûte pas plus de 50 €.", "50"),
        ("Elle est à 50 €.", "50"),
        ("Sí, 50 €.", "50"),
        ("Sí, por menos de 50 €.", "50"),
        ("No cuesta más de 50 €.", "50"),
    ] {
        assert_eq!(unsupported(MONEY, unfounded), [told], "{unfounded}");
    }
    // Each end holds, but not of one price.
    assert_eq!(unsupported(MONEY, "Yes, between 200 and 300 €."), ["200", "300"]);
    assert_eq!(unsupported("For 200-300 €?", "Yes, 200-300 €."), ["200-300"]);
    // What the customer did not say is not the customer's.
    assert_eq!(unsupported("A cheap tent?", "We have nothing under 60 €."), ["60"]);
}

const SIZES: &str =
    "Size 44 for us 4 people, are there 3 in stock? It may weigh 3 kg or 5 kg, I am 190 cm. 20 %?";

#[test]
fn a_size_that_the_customer_wants_may_be_repeated_and_not_promised() {
    for founded in [
        "You asked for size 44; we have 42 and 43.",
        "We do not have the size 44 that you want.",
        "Size 44 is not available.",
        "There is no size 44.",
        "For your 4 people I recommend the Vidda.",
        "For your party of 4 take the Vidda.",
        "The Vidda has room for at least 4 people [2].",
        "The Alva weighs less than 3 kg [1].",
        "We have nothing under 5 kg but the Alva.",
        "With your 190 cm the Vidda is better.",
        "Sie suchen Größe 44: wir haben 42 und 43.",
        "Die Größe 44, die Sie suchen, haben wir nicht.",
        "Für Ihre 4 Personen empfehle ich das Vidda.",
        "Größe 44 ist leider nicht verfügbar.",
        "Das Vidda ist für mindestens 4 Personen [2].",
        "Pour vos 4 personnes je conseille la Vidda.",
        "La taille 44 que vous cherchez manque.",
        "La taille 44 n'est pas disponible.",
        "Para sus 4 personas recomiendo la Vidda.",
        "La talla 44 que busca falta.",
        "No tenemos la talla 44.",
    ] {
        assert_eq!(unsupported(SIZES, founded), [""; 0], "{founded}");
    }
    for (unfounded, told) in [
        ("Size 44 is available.", "44"),
        ("Yes, size 44.", "44"),
        ("Your size 44 is available.", "44"),
        ("The size 44 that you asked for is in stock.", "44"),
        ("It is the size 44 that you want.", "44"),
        ("There are 3 in stock.", "3"),
        ("No problem: there are 3 in stock.", "3"),
        ("Delivery costs no extra and 3 are in stock.", "3"),
        ("It fits your 4 people.", "4"),
        ("It sleeps 4, as you wanted.", "4"),
        ("The Alva has room for at least 4 people [1].", "4"),
        ("It weighs 5 kg.", "5"),
        ("The Vidda weighs less than 5 kg [2].", "5"),
        ("You get up to 20 % off.", "20"),
        ("With 20 % off it is yours.", "20"),
        ("Größe 44 ist verfügbar.", "44"),
        ("Ja, Ihre Größe 44 ist auf Lager.", "44"),
        ("Es passt für Ihre 4 Personen.", "4"),
        ("Es sind 3 vorrätig.", "3"),
        ("Sie wiegen 5 kg.", "5"),
        ("La taille 44 est disponible.", "44"),
        ("Elle convient à vos 4 personnes.", "4"),
        ("La talla 44 está disponible.", "44"),
        ("Hay 3 en stock.", "3"),
    ] {
        assert_eq!(unsupported(SIZES, unfounded), [told], "{unfounded}");
    }
    // An article number is nobody's own.
    assert_eq!(unsupported("Is KTL-99 there?", "We have no KTL-99."), ["KTL-99"]);
}

#[test]
fn what_was_said_in_an_earlier_message_counts_and_a_citation_narrows_what_is_compared() {
    let passages = [passage("Alva", "", r#"{"price": 89}"#), passage("Vidda", "", r#"{"price": 349}"#)];
    let of = |answer: &str, customer: &[&str]| {
        Grounding::check(answer, &passages, customer, Vec::new()).unsupported_numbers
    };
    assert_eq!(of("None is under 50.", &["And cheaper?", "A tent under 50?"]), [""; 0]);
    assert_eq!(of("None is under 50.", &["And cheaper?"]), ["50"]);
    assert_eq!(of("It is under 300 [2].", &["Under 300?"]), ["300"]);
    assert_eq!(of("They are under 300 [1, 2].", &["Under 300?"]), [""; 0]);
    assert_eq!(of("Yes, under 300. The Vidda is a tent [2].", &["Under 300?"]), ["300"]);
    assert_eq!(of("Yes, under 300.", &["Under 300?"]), [""; 0]);
}

proptest! {
    #[test]
    fn any_text_can_be_judged(answer in words(), asked in words()) {
        unsupported(&asked, &answer);
    }
}

/// Words that mean something here, in any order, and any others.
fn words() -> impl Strategy<Value = String> {
    let known = "under between and 200 300 € € no not kein, bis zu 200-300 - your 4 people or less . [1] [ ] \n , 5kg";
    let word = prop_oneof![4 => prop::sample::select(known.split(' ').collect::<Vec<_>>()).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(word, 0..20).prop_map(|words| words.join(" "))
}
