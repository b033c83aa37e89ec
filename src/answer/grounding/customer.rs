//! The customer's own numbers: "a tent under 300" may be answered with "none under 300".
//!
//! A number that no passage has, but the customer said, may be repeated as the customer's: as a limit, a budget or a
//! wish, or to deny it. The answer's own words around it must mark it as that, in the same clause. As the price, stock
//! or size of a product it needs a passage.
//!
//! - A limit that is asserted ("yes, it is under 50 €") must be true of a number of the same kind in the passages that
//!   the sentence cites; when it cites none, in those that the answer cites, or in any. Money is always held to a limit: who says "for your 50 € you get
//!   it" says that it costs 50 € at most.
//! - A limit that is denied of what there is ("no tent under 300", "wir haben nichts unter 300 €") may be repeated; one that
//!   is denied of a product ("it is not over 50 €") asserts the opposite limit.
//! - A wish ("the size 44 that you asked for", "for your 4 people") may be repeated where the clause does not assert
//!   that a product has or fits it.

use std::collections::BTreeSet;

use super::{
    super::Passage,
    is_article_number,
    lexicon::{
        AFTER_NO, AND, ASSERTS, CUSTOMER, FILLERS, JOINS_RANGE, LOWER, LOWER_AFTER, NO_DENIALS, NONE, NOT,
        OPENS_RANGE, POSSESSIVES, SIZES, THERE_IS, UPPER, UPPER_AFTER, WISHES, WISHES_ALONE, phrases,
    },
    measures::{Kind, Measure, PEOPLE, has_digit, is_money, is_unit, kind, measures, of_passage, sizes},
    numbers,
    sentences::{Sentence, Word},
    values_of,
};

/// How a number limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Most,
    Least,
}

impl Bound {
    fn opposite(self) -> Self {
        if self == Self::Most { Self::Least } else { Self::Most }
    }
}

/// The numbers that a customer said, and the passages that they are compared with.
pub(super) struct Customer {
    said: BTreeSet<String>,
    measures: Vec<Measure>,
    passages: Vec<Vec<Measure>>,
    /// The passages that the answer cites.
    cited: Vec<usize>,
}

impl Customer {
    /// Reads what a customer said, to judge an answer from these passages.
    pub(super) fn new(texts: &[&str], passages: &[Passage], answer: &[Sentence<'_>]) -> Self {
        Self {
            said: texts.iter().flat_map(|text| numbers(text)).flat_map(values_of).collect(),
            measures: texts.iter().flat_map(|text| measures(text)).collect(),
            passages: passages.iter().map(of_passage).collect(),
            cited: answer.iter().flat_map(|sentence| &sentence.cited).copied().collect(),
        }
    }

    /// Whether a number that no passage has may be said as the customer's own.
    pub(super) fn owns(&self, sentence: &Sentence<'_>, clause: &[Word<'_>], place: usize) -> bool {
        let word = clause[place].text;
        let is_said = |number: &str| values_of(number).iter().any(|value| self.said.contains(value));
        if is_article_number(word) || !numbers(word).all(is_said) {
            return false;
        }
        let kind = self.kind(clause, place);
        let denial = Denial::of(clause, place);
        if let Some(bound) = bound(clause, place) {
            return match denial {
                Denial::OfAny => true,
                Denial::OfIt => self.holds(&[(bound.opposite(), place)], kind, sentence, clause),
                Denial::None => self.holds(&limits(clause), kind, sentence, clause),
            };
        }
        if let Some((least, most)) = word.split_once(['-', '–'])
            && numbers(word).count() == 2
        {
            let (least, most) = (sizes(least), sizes(most));
            return denial == Denial::OfAny
                || self.candidates(kind, Bound::Most, sentence).any(|value| {
                    least.iter().any(|least| value >= *least) && most.iter().any(|most| value <= *most)
                });
        }
        let is_wish = is_wished(clause, place);
        match kind {
            Kind::Money if is_wish => self.holds(&[(Bound::Most, place)], kind, sentence, clause),
            Kind::Money => denies(clause, place),
            _ if denial != Denial::None => true,
            _ => is_wish && !asserts(clause),
        }
    }

    /// What a number is of: as the answer says, or as the customer did.
    fn kind(&self, clause: &[Word<'_>], place: usize) -> Kind {
        let own = kind(clause, place);
        if own != Kind::Bare {
            return own;
        }
        // "from 200 to 300 €": the last of them has the unit.
        if range(clause, place) == Some(Bound::Least)
            && let Some(other) = (place + 1..clause.len()).find(|other| has_digit(&clause[*other]))
        {
            return self.kind(clause, other);
        }
        let values: Vec<_> = numbers(clause[place].text).flat_map(sizes).collect();
        let is_same = |measure: &&Measure| measure.values.iter().any(|value| values.contains(value));
        let mut kinds = self.measures.iter().filter(is_same).map(|measure| measure.kind);
        kinds.find(|kind| *kind != Kind::Bare).unwrap_or(Kind::Bare)
    }

    /// Whether one number of the passages is within all these limits.
    fn holds(
        &self,
        limits: &[(Bound, usize)],
        kind: Kind,
        sentence: &Sentence<'_>,
        clause: &[Word<'_>],
    ) -> bool {
        let limits: Vec<_> = limits
            .iter()
            .filter(|(_, place)| self.kind(clause, *place) == kind)
            .map(|(bound, place)| (*bound, numbers(clause[*place].text).flat_map(sizes).collect::<Vec<_>>()))
            .collect();
        let Some((first, _)) = limits.first() else { return false };
        self.candidates(kind, *first, sentence).any(|value| {
            limits.iter().all(|(bound, sizes)| {
                sizes.iter().any(|size| match bound {
                    Bound::Most => value <= *size,
                    Bound::Least => value >= *size,
                })
            })
        })
    }

    /// The numbers of passages that a limit can be true of. One without a unit is most likely that of a price when it is
    /// the most, and the size of something when it is the least.
    fn candidates(&self, kind: Kind, bound: Bound, sentence: &Sentence<'_>) -> impl Iterator<Item = f64> {
        let cited = if sentence.cited.is_empty() { &self.cited } else { &sentence.cited };
        let is_cited = |number: usize| cited.is_empty() || cited.contains(&number);
        let passages = (1..).zip(&self.passages).filter(|(number, _)| is_cited(*number));
        let known: Vec<_> = passages.flat_map(|(_, measures)| measures).collect();
        let has = |kind: Kind| known.iter().any(|measure| measure.kind == kind);
        let kinds = match (kind, bound) {
            (Kind::Bare, Bound::Most) if has(Kind::Money) => [Kind::Money; 2],
            (Kind::Bare, Bound::Least) if !has(Kind::Bare) => [Kind::Money; 2],
            (PEOPLE, _) => [PEOPLE, Kind::Bare],
            (kind, _) => [kind; 2],
        };
        let values = known.into_iter().filter(move |measure| kinds.contains(&measure.kind));
        values.flat_map(|measure| measure.values.iter().copied()).collect::<Vec<_>>().into_iter()
    }
}

/// All numbers of a clause that are limits.
fn limits(clause: &[Word<'_>]) -> Vec<(Bound, usize)> {
    let places = (0..clause.len()).filter(|place| has_digit(&clause[*place]));
    places.filter_map(|place| bound(clause, place).map(|bound| (bound, place))).collect()
}

/// How a number limits, by the words before and after it.
fn bound(clause: &[Word<'_>], place: usize) -> Option<Bound> {
    let before = before(clause, place);
    // `bis` limits alone, and ends a range as well.
    if let Some(bound) = range(clause, place) {
        return Some(bound);
    }
    let after = &clause[after(clause, place)..];
    if ends(before, UPPER) || begins(after, UPPER_AFTER) {
        return Some(Bound::Most);
    }
    (ends(before, LOWER) || begins(after, LOWER_AFTER)).then_some(Bound::Least)
}

/// The end of a range that a number is.
fn range(clause: &[Word<'_>], place: usize) -> Option<Bound> {
    let first = before(clause, place);
    let next = after(clause, place);
    let goes_on = clause.get(next).is_some_and(|word| word.is(JOINS_RANGE))
        && clause[next + 1..].iter().find(|word| !is_money(word)).is_some_and(has_digit);
    if goes_on && ends(first, OPENS_RANGE) {
        return Some(Bound::Least);
    }
    let (join, rest) = first.split_last()?;
    let rest = rest.iter().rposition(|word| !is_unit(word) || has_digit(word)).map(|end| &rest[..=end])?;
    let other = rest.len().checked_sub(1).filter(|_| join.is(JOINS_RANGE))?;
    (has_digit(&rest[other]) && ends(before(rest, other), OPENS_RANGE)).then_some(Bound::Most)
}

/// The words before a number, without those that change nothing.
fn before<'a, 'b>(clause: &'a [Word<'b>], place: usize) -> &'a [Word<'b>] {
    let is_filler = |word: &Word<'_>| !has_digit(word) && (is_money(word) || word.is(FILLERS));
    let end = clause[..place].iter().rposition(|word| !is_filler(word)).map_or(0, |end| end + 1);
    // "maximum of", where `of` belongs to the limit.
    let whole = &clause[..place];
    if ends(whole, UPPER) || ends(whole, LOWER) { whole } else { &clause[..end] }
}

/// The place after a number and its unit.
fn after(clause: &[Word<'_>], place: usize) -> usize {
    let next = clause[place + 1..].iter().position(|word| has_digit(word) || !is_unit(word));
    next.map_or(clause.len(), |next| place + 1 + next)
}

/// Whether words end in one of these phrases.
fn ends(words: &[Word<'_>], list: &str) -> bool {
    phrases(list).any(|phrase| {
        let length = phrase.split(' ').count();
        words.len() >= length && is_phrase(&words[words.len() - length..], phrase)
    })
}

/// Whether words begin with one of these phrases.
fn begins(words: &[Word<'_>], list: &str) -> bool {
    phrases(list).any(|phrase| is_phrase(words, phrase))
}

/// Whether words have one of these phrases in them.
fn has(words: &[Word<'_>], list: &str) -> bool {
    (0..words.len()).any(|start| begins(&words[start..], list))
}

fn is_phrase(words: &[Word<'_>], phrase: &str) -> bool {
    let parts: Vec<_> = phrase.split(' ').collect();
    words.len() >= parts.len() && words.iter().zip(parts).all(|(word, part)| word.lower == part)
}

/// What a clause denies of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    None,
    /// Of a product.
    OfIt,
    /// That there is any.
    OfAny,
}

impl Denial {
    fn of(clause: &[Word<'_>], place: usize) -> Self {
        let denials = (0..clause.len()).filter_map(|at| Some((at, denial(clause, at)?)));
        let mut found = Self::None;
        for (at, denial) in denials {
            let between = if at < place { &clause[at..place] } else { &clause[place..at] };
            // "no charge and 3 are in stock"; "under 50 € with no charge", but "unter 50 € haben wir kein Zelt".
            let is_apart = between.iter().any(|word| word.is(AND)) && range(clause, place).is_none();
            let reaches = at < place || has(between, THERE_IS);
            if is_apart || !(reaches || denial == Self::OfIt) {
                continue;
            }
            found = match denial {
                Self::OfIt if !has(clause, THERE_IS) => Self::OfIt,
                _ => return Self::OfAny,
            };
        }
        found
    }
}

fn denial(clause: &[Word<'_>], at: usize) -> Option<Denial> {
    let word = &clause[at];
    if begins(&clause[at..], NO_DENIALS) || ends(&clause[..=at], NO_DENIALS) {
        return None;
    }
    let is_of_it = word.is(NOT) || word.lower.ends_with("n't");
    if is_of_it || word.lower == "no" && begins(&clause[at + 1..], AFTER_NO) {
        return Some(Denial::OfIt);
    }
    word.is(NONE).then_some(Denial::OfAny)
}

/// Whether a number itself is denied: "it does not cost 50 €".
fn denies(clause: &[Word<'_>], place: usize) -> bool {
    let before = before(clause, place);
    (before.len().saturating_sub(2)..before.len()).any(|at| denial(clause, at) == Some(Denial::OfIt))
}

/// Whether a clause says of a number that the customer wants it, or is it.
fn is_wished(clause: &[Word<'_>], place: usize) -> bool {
    let own = clause[..place].iter().rposition(|word| !word.is(SIZES) && !is_money(word));
    if own.is_some_and(|own| place - own <= 3 && clause[own].is(POSSESSIVES)) {
        return true;
    }
    let says = |at: usize| {
        let near = at.saturating_sub(3)..(at + 4).min(clause.len());
        clause[at].is(WISHES) && clause[near].iter().any(|word| word.is(CUSTOMER))
    };
    (0..clause.len()).any(|at| says(at) || clause[at].is(WISHES_ALONE))
}

/// Whether a clause says that something has, fits or costs what was wished for.
fn asserts(clause: &[Word<'_>]) -> bool {
    has(clause, ASSERTS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Grounding;
    use super::*;

    fn passage(title: &str, content: &str, metadata: &str) -> Passage {
        Passage {
            source: "product".into(),
            key: "1".into(),
            title: title.into(),
            content: content.into(),
            link: None,
            metadata: serde_json::value::RawValue::from_string(metadata.into()).unwrap(),
            distance: 0.1,
            is_named: false,
        }
    }

    fn unsupported(asked: &str, answer: &str) -> Vec<String> {
        let passages = [
            passage("Alva", "Sleeps 2. Weighs 2.5 kg.", r#"{"price": "89.00", "stock": 7}"#),
            passage("Vidda", "A tent for 6 people, 9 kg.", r#"{"price": "349.00", "stock": 12}"#),
            passage("Boot", "Sizes 42 and 43.", r#"{"price": "129.00", "stock": 0}"#),
        ];
        Grounding::of(answer, &passages, &[asked], Vec::new()).unsupported_numbers
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
            Grounding::of(answer, &passages, customer, Vec::new()).unsupported_numbers
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
}
