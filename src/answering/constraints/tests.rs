use proptest::prelude::*;

use super::*;
use crate::catalogue::filter::{Range, Scalar};

fn fields() -> Fields {
    let field = |is_number, values: &[&str]| FieldValues {
        is_number,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let text = |values: &[&str]| field(false, values);
    let fields = [
        ("price", field(true, &["4.90", "19.90", "59", "249.00", "1890"])),
        ("sale_price", field(true, &["3.90"])),
        ("currency", text(&["EUR"])),
        ("stock", field(true, &["0", "3", "80"])),
        ("category", text(&["Tents", "Boots", "Lamps"])),
        ("brand", text(&["Daybird", "Nordlicht", "Hollin & Rook", "Apple"])),
        (
            "colour",
            text(&[
                "red",
                "red check",
                "blue",
                "navy",
                "black",
                "white",
                "grey",
                "green",
                "orange",
                "sand",
                "midnight blue",
                "steel",
            ]),
        ),
        (
            "size",
            text(&[
                "S",
                "M",
                "L",
                "XL",
                "42",
                "44",
                "36–46",
                "one size",
                "M 54–58 cm",
                "20 l",
                "48 l",
                "1.0 l",
                "10 m",
                "regular",
            ]),
        ),
        (
            "capacity",
            text(&["64 GB", "128 GB", "1 TB", "5,000 mAh", "10,000 mAh", "20,000 mAh", "14 inch", "box"]),
        ),
        ("connector", text(&["USB-C", "Micro-USB", "HDMI", "mains"])),
    ];
    Fields(fields.into_iter().map(|(name, values)| (name.to_owned(), values)).collect())
}

/// Writes constraints in short: `price <300; colour =red|red check; size !M`.
fn shown(constraints: &[Constraint]) -> String {
    let text = |scalars: &[Scalar]| {
        let texts = scalars.iter().map(|scalar| match scalar {
            Scalar::Text(text) => text.clone(),
            other => format!("{other:?}"),
        });
        texts.collect::<Vec<_>>().join("|")
    };
    let shown = constraints.iter().map(|Constraint { field, condition, .. }| {
        let condition = match condition {
            Condition::Range(Range { low, high }) => {
                let low = low
                    .iter()
                    .map(|low| format!(">{}{}", if low.is_inclusive { "=" } else { "" }, low.number));
                let high = high
                    .iter()
                    .map(|high| format!("<{}{}", if high.is_inclusive { "=" } else { "" }, high.number));
                low.chain(high).collect::<String>()
            }
            Condition::In(scalars) => format!("={}", text(scalars)),
            Condition::Not(scalars) => format!("!{}", text(scalars)),
            Condition::Exists(exists) => format!("?{exists}"),
        };
        format!("{field} {condition}")
    });
    shown.collect::<Vec<_>>().join("; ")
}

const RED: &str = "colour =red|red check";
const BLUE: &str = "colour =blue|midnight blue|navy";
const IN_STOCK: &str = "stock >0";
const SIZE_44: &str = "size =36–46|44|one size";
const SIZE_M: &str = "size =M|M 54–58 cm|one size";

const CASES: &[(&str, &str)] = &[
    // English: prices.
    ("tent under 300", "price <300"),
    ("a lamp for less than 40 euro", "price <40"),
    ("boots between 20 and 50 €", "price >=20<=50"),
    ("boots from 20 to 50 euros", "price >=20<=50"),
    ("boots for 20-50 €", "price >=20<=50"),
    ("a gift, at most €25.50", "price <=25.5"),
    ("something for my desk, sixty euros at most", "price <=60"),
    ("a tent cheaper than 1,299.00 EUR", "price <1299"),
    ("I don't want to spend more than 80 on a jacket", "price <=80"),
    ("jacket, budget 150", "price <=150"),
    ("My budget is two hundred euros for a tent", "price <=200"),
    ("a watch above 900 euros", "price >900"),
    ("jackets over 50 € but under 100 €", "price >50<100"),
    ("coffee for under 10 euros a bag", "price <10"),
    ("tent under 300 dollars", ""),
    ("a brown tent", ""),
    // English: colours, sizes, brands, stock, others.
    ("rain jacket in red", RED),
    ("how much is the red one?", RED),
    ("tent in midnight blue", "colour =midnight blue"),
    ("a navy shirt", "colour =navy"),
    ("a shirt in navy or red", "colour =navy|red|red check"),
    ("the jacket, but not red", "colour !red|red check"),
    ("anything but black", "colour !black"),
    ("a tent in sand", "colour =sand"),
    ("hiking boots, size 44", SIZE_44),
    ("a fleece, M, in green", "colour =green; size =M|M 54–58 cm|one size"),
    ("I take an XL", "size =XL|one size"),
    ("boots in size 42 or 44", "size =36–46|42|44|one size"),
    ("headphones from Daybird", "brand =Daybird"),
    ("which Daybird lamps do you have?", "brand =Daybird"),
    ("a bag by Hollin & Rook", "brand =Hollin & Rook"),
    ("lamps, but not from Daybird", "brand !Daybird"),
    ("a tent that is in stock", IN_STOCK),
    ("shirt in L, must be available immediately", "stock >0; size =L|one size"),
    ("which lamps do you have in stock?", IN_STOCK),
    ("an enamel cup, not sold out please", IN_STOCK),
    ("a charger with USB-C", "connector =USB-C"),
    ("a reader without Micro-USB", "connector !Micro-USB"),
    ("phone with 128 GB", "capacity =128 GB"),
    ("a power bank with at least 10000 mAh", "capacity =10,000 mAh|20,000 mAh"),
    ("day pack with 20 litres that is in stock right now", "stock >0; size =20 l"),
    (
        "red Daybird jacket in size M under 100 euros",
        "price <100; size =M|M 54–58 cm|one size; brand =Daybird; colour =red|red check",
    ),
    // German.
    ("Zelt unter 50 Euro", "price <50"),
    ("Lampen zwischen 20 und 50 Euro", "price >=20<=50"),
    ("eine Jacke bis 80 €", "price <=80"),
    ("Schlafsack, höchstens 1.299,00 €", "price <=1299"),
    ("Die Stiefel sollen nicht mehr als 150 Euro kosten", "price <=150"),
    ("ein Pulli in Größe M", SIZE_M),
    ("Wanderschuhe in Grösse 44", SIZE_44),
    ("eine rote Jacke", RED),
    ("Regenjacke in Blau", BLUE),
    ("eine Jacke, aber nicht in Rot", "colour !red|red check"),
    ("alles außer schwarz", "colour !black"),
    ("keine rote Jacke bitte", "colour !red|red check"),
    ("Lampen von Daybird", "brand =Daybird"),
    ("Zelte, die auf Lager sind", IN_STOCK),
    ("ein Zelt, sofort lieferbar", IN_STOCK),
    ("Ladegerät mit USB-C", "connector =USB-C"),
    // Spanish.
    ("una lámpara por menos de 40 €", "price <40"),
    ("botas entre 50 y 100 euros", "price >=50<=100"),
    ("una tienda, 200 euros como máximo", "price <=200"),
    ("una chaqueta roja", RED),
    ("botas de la talla 44", SIZE_44),
    ("una camisa que no sea roja", "colour !red|red check"),
    ("una lámpara de Daybird en stock", "stock >0; brand =Daybird"),
    // French.
    ("une lampe à moins de 30 euros", "price <30"),
    ("une tente jusqu'à 250 €", "price <=250"),
    ("Je ne veux pas dépenser plus de 50 euros", "price <=50"),
    ("un pull bleu en taille M", "size =M|M 54–58 cm|one size; colour =blue|midnight blue|navy"),
    ("une veste, pas rouge", "colour !red|red check"),
    ("des bottes noires en stock", "stock >0; colour =black"),
    ("chaussons en 44 ?", "size =36–46|44|one size"),
    // Italian.
    ("una tenda sotto i 100 euro", "price <100"),
    ("una giacca rossa taglia M", "size =M|M 54–58 cm|one size; colour =red|red check"),
    ("una lampada, al massimo 30 €", "price <=30"),
    ("una giacca, ma non rossa", "colour !red|red check"),
    // Dutch.
    ("een tent onder de 100 euro", "price <100"),
    ("een rode jas in maat M", "size =M|M 54–58 cm|one size; colour =red|red check"),
    ("laarzen, maximaal 80 euro, op voorraad", "price <=80; stock >0"),
    ("een jas, maar niet rood", "colour !red|red check"),
    // Polish.
    ("namiot poniżej 300 euro", "price <300"),
    ("kurtka do 100 euro", "price <=100"),
    ("czerwona kurtka w rozmiarze M", "size =M|M 54–58 cm|one size; colour =red|red check"),
    ("kurtka, ale nie czarna", "colour !black"),
    // Questions about a product.
    ("is it in stock?", ""),
    ("Is the red jacket in stock?", RED),
    ("Do you have the shirt in blue?", ""),
    ("Is the jacket available in XL?", ""),
    ("Does the tent cost less than 300 euros?", ""),
    ("Habt ihr die Jacke in Rot?", ""),
    ("¿Está en stock la lámpara?", ""),
    ("La veste est-elle en stock ?", ""),
    ("When will the boots be back in stock?", ""),
    ("What colours and sizes are there?", ""),
    ("Violet lamp, what does it cost and is it in stock?", ""),
    // What a question compares, owns or wants to replace.
    ("Which one is lighter, the red or the blue jacket?", ""),
    ("What is the difference between the red and the navy shirt?", ""),
    ("I have a black bike, which lamp fits?", ""),
    ("a patch for my red jacket", ""),
    ("batteries for a black remote", ""),
    ("I am looking for a red jacket", RED),
    ("The green tent arrived with a hole", ""),
    ("What happens if the order is under 20 euros?", ""),
    ("Jacke, max. 100 €", "price <=100"),
    ("The screen went black after the update", ""),
    ("I want to pay less than 20 euros a month", ""),
    ("Size M is too small, what is next?", ""),
    ("Is there a bigger one than the 20 l pack?", ""),
    ("I like it in blue, is there another colour?", ""),
    ("Do you have the red shirt in blue?", ""),
    ("lamps of another brand than Daybird", "brand !Daybird"),
    ("Gibt es das rote Hemd auch in einer anderen Farbe?", ""),
    ("Größe 44 ist mir zu groß", ""),
    ("What colours are there besides green?", ""),
    ("a jacket for less than 90 euros, red or navy", "price <90; colour =navy|red|red check"),
    ("50 euros or more for a lamp of Daybird, in red", "price >=50; brand =Daybird; colour =red|red check"),
    ("The red shirt is sold out, what now?", ""),
    ("I need one size up from 42", ""),
    ("a bottle in silver", ""),
    // The shop's terms, care, use.
    ("Is shipping free over 50 euros?", ""),
    ("free shipping over 50 euro?", ""),
    ("can I return within 30 days", ""),
    ("Do I get a discount on orders above 100 euros?", ""),
    ("Can I exchange the red boots in size 44?", ""),
    ("Ab 50 Euro versandkostenfrei?", ""),
    ("¿El envío es gratis a partir de 50 euros?", ""),
    ("La livraison est gratuite à partir de 50 euros ?", ""),
    ("La spedizione è gratis sopra i 50 euro?", ""),
    ("Is verzending gratis boven 50 euro?", ""),
    ("Czy wysyłka jest darmowa od 50 euro?", ""),
    ("How long is the guarantee on Daybird lamps?", ""),
    ("How do I wash a white shirt?", ""),
    ("Can I order if I'm under 18?", ""),
    ("Do you sell gift cards up to 100 euros?", ""),
    ("The LED blinks red, what now?", ""),
    // Numbers and words that are something else.
    ("toys for children under 3", ""),
    ("a sleeping bag for below 5 degrees", ""),
    ("a hammock that carries up to 200 kg", ""),
    ("a tent for up to 6", ""),
    ("shoes between 40 and 44", ""),
    ("a headlamp that weighs under 100", ""),
    ("shade on the sand for our baby", ""),
    ("green tea and a red wine", ""),
    ("Does it have a blue light?", ""),
    ("a case for my Daybird phone", ""),
    ("an apple slicer", ""),
    ("a steel bottle", ""),
    ("laptop with 64 GB of memory", ""),
    ("JKT-8004-RED-L", ""),
    ("tell me about JKT-8004-RED-M in detail", ""),
    ("What do twenty cells cost?", ""),
    ("regular boots", ""),
    ("boots in size 51", ""),
    ("a purple tent", ""),
    ("", ""),
];

#[test]
fn questions_state_these_constraints() {
    let fields = fields();
    let wrong: Vec<_> = CASES
        .iter()
        .filter_map(|(question, expected)| {
            let found = shown(&find_constraints(question, &fields));
            (found != *expected)
                .then(|| format!("{question:?}\n  expected {expected:?}\n  found    {found:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn a_constraint_has_the_words_of_the_question() {
    for (question, words) in [
        ("Zelt unter 50 Euro, bitte", "unter 50 Euro"),
        ("tents for SIXTY € at most!", "SIXTY € at most"),
        ("boots between 20 and 50 €", "between 20 and 50 €"),
        ("une veste Rouge", "Rouge"),
        ("a bag by Hollin & Rook", "Hollin & Rook"),
        ("a tent that is in stock", "in stock"),
    ] {
        let found = find_constraints(question, &fields());
        assert_eq!(found.iter().map(|found| found.words.as_str()).collect::<Vec<_>>(), [words], "{question}");
    }
}

#[test]
fn a_catalogue_in_another_language_is_met_by_its_own_values() {
    let values = |values: &[&str]| FieldValues {
        is_number: false,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let fields = Fields(BTreeMap::from([
        ("Farbe".to_owned(), values(&["rot", "dunkelblau", "Blau", "grün"])),
        ("Größe".to_owned(), values(&["M", "L"])),
        ("Verfügbarkeit".to_owned(), values(&["auf Lager", "ausverkauft"])),
        ("Preis".to_owned(), FieldValues { is_number: true, values: BTreeSet::new() }),
    ]));
    for (question, expected) in [
        ("a red jacket", "Farbe =rot"),
        ("une veste bleue", "Farbe =Blau|dunkelblau"),
        ("Jacke in Größe L, sofort lieferbar", "Verfügbarkeit =auf Lager; Größe =L"),
        ("jacket under 90", "Preis <90"),
    ] {
        assert_eq!(shown(&find_constraints(question, &fields)), expected, "{question}");
    }
}

#[test]
fn a_numeric_field_that_names_its_unit_is_compared() {
    let number = FieldValues { is_number: true, values: BTreeSet::new() };
    let fields = Fields(BTreeMap::from([("capacity_mah".to_owned(), number)]));
    let found = find_constraints("a power bank with at least 10 Ah", &fields);
    assert_eq!(shown(&found), "capacity_mah >=10000");
}

#[test]
fn without_such_fields_there_is_no_constraint() {
    assert_eq!(find_constraints("red boots in size 44 under 50 euros in stock", &Fields::default()), []);
}

proptest! {
    #[test]
    fn any_text_is_read(question in "\\PC{0,80}") {
        find_constraints(&question, &fields());
    }

    #[test]
    fn words_of_questions_in_any_order_are_read(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "under", "300", "€", "in", "red", "not", "size", "44", "M", "between", "and", "20", "l", "GB", "with", "USB-C",
                "stock", "the", "is", ",", "?", "-", "’t", "don't", "hundred", "two", "1,2,3.4", "5.", "É", "İ", "×", "from", "Daybird",
            ]),
            0..14,
        ),
    ) {
        let question = words.join(" ");
        for constraint in find_constraints(&question, &fields()) {
            prop_assert!(question.contains(&constraint.words) && !constraint.words.is_empty());
        }
    }
}
