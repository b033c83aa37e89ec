use super::*;

const PASSAGES: &str = r#"
<passage-9f3c n="1" source="product" key="17" title="Aurora Desk Lamp">
sku: AUR-0231
price: 89.00
currency: EUR
stock: 3
colours: black, sea blue
A warm light for reading in bed. The arm turns in every direction. It dims in 5 steps.
</passage-9f3c>
<passage-9f3c n="2" source="product" key="18" title="Aurora Floor Lamp">
price: 149.00
currency: EUR
stock: 0
A tall light for the living room, made of oak.
</passage-9f3c>
<passage-9f3c n="3" source="policy" key="4" title="Returns">
You can send back an unused item within 30 days. Opened food cannot be returned.
</passage-9f3c>
<passage-9f3c n="4" source="policy" key="5" title="Shipping">
Delivery within the EU costs 4.90 EUR and is free above 50.00 EUR. Parcels arrive within 2 to 4 days.
</passage-9f3c>

"#;

fn message(role: Role, text: impl Into<String>) -> Message {
    Message { role, text: text.into() }
}

fn ask(question: &str) -> String {
    complete(&[
        message(Role::System, "Answer from the passages.\nRefusal: I do not know."),
        message(Role::User, format!("{PASSAGES}Question: {question}")),
    ])
}

#[test]
fn a_question_about_the_price_quotes_the_price_of_that_product() {
    let desk = "The price of Aurora Desk Lamp is 89.00 EUR. [1]";
    assert_eq!(ask("How much is the Aurora desk lamp?"), desk);
    assert_eq!(ask("What does the desk lamp cost?"), desk);
    assert_eq!(ask("how much is it?"), desk);
    assert_eq!(ask("Price of the floor lamp?"), "The price of Aurora Floor Lamp is 149.00 EUR. [2]");
}

#[test]
fn a_question_about_stock_quotes_the_stock() {
    assert_eq!(ask("Is the desk lamp available?"), "Aurora Desk Lamp is in stock: 3 available. [1]");
    assert_eq!(ask("Do you have the floor lamp in stock?"), "Aurora Floor Lamp is out of stock. [2]");
}

#[test]
fn other_facts_and_article_numbers_are_found() {
    let colours = "Aurora Desk Lamp: colours black, sea blue. [1]";
    assert_eq!(ask("Which colors does the desk lamp come in?"), colours);
    assert!(ask("What is AUR-0231?").starts_with("Aurora Desk Lamp: sku AUR-0231. [1]"));
    assert!(ask("Do you have the desk lamp in blue?").starts_with(colours));
}

#[test]
fn the_best_sentences_are_quoted_with_citations() {
    assert_eq!(ask("Is the desk lamp good for reading?"), "A warm light for reading in bed. [1]");
    assert_eq!(ask("Can I return opened food?"), "Opened food cannot be returned. [3]");
    assert!(ask("How much does shipping cost?").contains("costs 4.90 EUR and is free above 50.00 EUR. [4]"));
    assert_eq!(ask("Is there a lamp made of oak?"), "A tall light for the living room, made of oak. [2]");
}

#[test]
fn what_the_passages_do_not_hold_is_refused() {
    for question in [
        "What is the price of a helicopter?",
        "How much is the Aurora chandelier?",
        "How much is the Minnow desk lamp?",
        "Xyzzy plugh?",
        "Does the desk lamp have Bluetooth?",
        "Who won the football championship?",
        "Do you have a store in Lisbon?",
        "Hello!",
        "",
    ] {
        assert_eq!(ask(question), "I do not know.", "{question}");
    }
    let alone = complete(&[message(Role::User, "How much is the lamp?")]);
    assert_eq!(alone, REFUSAL);
}

#[test]
fn an_article_number_that_no_passage_has_is_refused() {
    assert_eq!(ask("Is AUR-9999 in stock?"), "I do not know.");
    assert_eq!(ask("AUR-9999"), "I do not know.");
}

#[test]
fn facts_are_stated_in_the_language_of_the_question() {
    assert_eq!(ask("Was kostet die Aurora Desk Lamp?"), "Der Preis von Aurora Desk Lamp: 89.00 EUR. [1]");
    assert_eq!(
        ask("¿Cuánto cuesta la Aurora Floor Lamp?"),
        "El precio de Aurora Floor Lamp: 149.00 EUR. [2]"
    );
    let shipping = ask("Wie lange dauert der Versand und was kostet er?");
    assert!(
        shipping.contains("costs 4.90 EUR") && shipping.contains("within 2 to 4 days. [4]"),
        "{shipping}"
    );
}

#[test]
fn typos_are_understood() {
    assert_eq!(ask("How much is the Aurroa dseks lamp?"), "The price of Aurora Desk Lamp is 89.00 EUR. [1]");
}

#[test]
fn the_sentence_with_the_number_that_is_asked_for_is_quoted() {
    assert!(ask("How long does delivery take?").contains("Parcels arrive within 2 to 4 days. [4]"));
}

#[test]
fn what_is_compared_is_quoted_from_each_product() {
    let prices =
        "The price of Aurora Desk Lamp is 89.00 EUR. [1] The price of Aurora Floor Lamp is 149.00 EUR. [2]";
    assert_eq!(ask("Which is cheaper, the desk lamp or the floor lamp?"), prices);
}

#[test]
fn a_product_within_the_price_limit_is_preferred_and_has_its_price() {
    assert!(ask("Any lamp below 100 euros?").ends_with("The price of Aurora Desk Lamp is 89.00 EUR. [1]"));
}

#[test]
fn no_number_is_stated_that_the_passages_do_not_hold() {
    let words = "lamp,price,stock,days,free,above,steps,available,returns,oak,how much is".split(',');
    for one in words.clone() {
        for two in words.clone() {
            let answer = ask(&format!("{one} {two}"));
            let quoted = answer.split_whitespace().filter(|word| !word.starts_with('['));
            for number in quoted.filter(|word| word.contains(|letter: char| letter.is_ascii_digit())) {
                assert!(PASSAGES.contains(number.trim_end_matches('.')), "{number} in {answer}");
            }
        }
    }
}

#[test]
fn a_question_that_refers_back_gets_the_question_before_it() {
    let condensed = |question: &str| {
        complete(&[
            message(Role::System, "Rewrite the last message as a standalone question."),
            message(Role::User, "What does the lamp cost?"),
            message(Role::Assistant, "The price of Aurora Desk Lamp is 89.00 EUR. [1]"),
            message(Role::User, question),
        ])
    };
    assert_eq!(condensed("Is it in stock?"), "What does the lamp cost? Is it in stock?");
    assert_eq!(condensed("and the blue one?"), "What does the lamp cost? and the blue one?");
    assert_eq!(condensed("How long does shipping take?"), "How long does shipping take?");
    assert_eq!(condensed("Is it like the Lofoten Armchair?"), "Is it like the Lofoten Armchair?");
}
