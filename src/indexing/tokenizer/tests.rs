use proptest::prelude::*;

use super::*;

static AUTOMATON: LazyLock<Tokenizer> = LazyLock::new(|| automaton(&encoder()));

proptest! {
    #[test]
    fn the_automaton_counts_as_the_encoder_does(text in "(\\PC|[a-z]{1,9} |[0-9]|\\s|'[a-z]){0,40}") {
        prop_assert_eq!(AUTOMATON.count(&text), tiktoken_rs::cl100k_base_singleton().count_ordinary(&text));
    }
}

#[test]
fn long_texts_without_breaks_are_counted_before_and_after_the_automaton_is_built() {
    let texts = [" ".repeat(200_000), "a".repeat(200_000), "long ".repeat(40_000), "é\n".repeat(50_000)];
    let counts = || texts.each_ref().map(|text| count(text));
    let expected = texts.each_ref().map(|text| AUTOMATON.count(text));
    for _ in 0..3 {
        assert_eq!(counts(), expected);
    }
    assert!(matches!(&*COUNTER.read().unwrap(), Counter::Automaton(_)));
}
