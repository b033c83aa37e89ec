use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn document(title: &str, text: &str) -> Document {
    let metadata = RawValue::from_string("{}".to_owned()).unwrap();
    Document {
        key: "1".into(),
        title: title.into(),
        text: text.into(),
        link: None,
        sku: None,
        group: None,
        metadata,
        row_hash: 1,
    }
}

fn chunking(chunk_tokens: usize, overlap: usize, max_input_tokens: usize) -> Chunking {
    let form = InputForm::default();
    Chunking { tokenizer: Tokenizer::Cl100kBase, chunk_tokens, overlap, max_input_tokens, form, reserved: 0 }
}

#[test]
fn a_short_text_is_one_chunk_with_its_title_before_it() {
    let chunks = chunking(300, 50, 8192).chunks(&document("Tent", "Sleeps two."));
    assert_eq!(chunks.len(), 1);
    assert_eq!((chunks[0].content.as_str(), chunks[0].input.as_str()), ("Sleeps two.", "Tent\nSleeps two."));
}

#[test]
fn a_title_that_the_text_begins_with_is_not_said_twice() {
    let chunks = chunking(300, 50, 8192).chunks(&document("Tent", "Tent. Sleeps two."));
    assert_eq!(chunks[0].input, "Tent. Sleeps two.");
}

#[test]
fn a_document_without_text_is_found_by_its_title() {
    assert_eq!(chunking(300, 50, 8192).chunks(&document("Tent", ""))[0].input, "Tent");
}

#[test]
fn long_texts_are_cut_at_sentence_ends_and_neighbours_share_some() {
    let text = (1..=60).map(|n| format!("Sentence number {n} is here.")).collect::<Vec<_>>().join(" ");
    let chunks = chunking(50, 15, 8192).chunks(&document("T", &text));
    assert!(chunks.len() > 5);
    for pair in chunks.windows(2) {
        assert!(pair[0].content.ends_with('.'), "{:?}", pair[0].content);
        let last = pair[0].content.rsplit_terminator('.').next().unwrap();
        assert!(pair[1].content.contains(last.trim()), "{pair:?}");
    }
}

#[test]
fn a_sentence_that_grows_changes_few_chunks() {
    let chunking = chunking(300, 50, 8192);
    let text = |grown: usize| -> String {
        let sentence = |n| {
            let more = if n == grown { "and has grown by quite a few more words than it had" } else { "" };
            format!("Sentence number {n} says something of its own {more} about {}. ", n * n)
        };
        (1..=320).map(sentence).collect()
    };
    let before: Vec<_> =
        chunking.chunks(&document("T", &text(0))).iter().map(|chunk| chunk.hash(&chunking.form)).collect();
    assert!((18..32).contains(&before.len()), "{}", before.len());
    let changed = (20..300).map(|grown| {
        let after = chunking.chunks(&document("T", &text(grown)));
        after.iter().filter(|chunk| !before.contains(&chunk.hash(&chunking.form))).count()
    });
    let mut changed: Vec<_> = changed.collect();
    changed.sort_unstable();
    assert!(changed[changed.len() * 95 / 100] <= 3, "{changed:?}");
}

#[test]
fn the_fingerprint_changes_with_the_text_the_title_the_model_and_the_settings() {
    let of = |chunking: &Chunking, title: &str, text: &str, model: &str| {
        chunking.fingerprint(&document(title, text), model)
    };
    let (a, b) = (chunking(300, 50, 8192), chunking(200, 50, 8192));
    let all = [
        of(&a, "t", "x", "m"),
        of(&a, "tx", "", "m"),
        of(&a, "t", "y", "m"),
        of(&a, "t", "x", "n"),
        of(&b, "t", "x", "m"),
    ];
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), all.len());
    assert_eq!(all[0], of(&a, "t", "x", "m"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_input_is_longer_than_the_model_takes_and_no_word_is_lost(
        title in "[a-zé]{0,8}( [a-zé]{1,8}){0,30}",
        text in "([a-zß]{1,9}[ .,\n]{1,2}){0,120}",
    ) {
        let chunking = chunking(30, 8, 40);
        let chunks = chunking.chunks(&document(&title, &text));
        let mut words = text.split_whitespace().peekable();
        for chunk in &chunks {
            prop_assert!(chunk.tokens <= 40, "{} tokens in {:?}", chunk.tokens, chunk.input);
            for word in chunk.content.split_whitespace() {
                words.next_if(|next| next.contains(word) || word.contains(*next));
            }
        }
        prop_assert_eq!(words.count(), 0);
    }
}

/// Texts without a sentence's end, in many scripts, and one without any border at all.
const SCRIPTS: [&str; 10] = [
    "lorem ipsum dolor sit amet ",
    "茶壶是用陶土做的可以装一升水",
    "ชาร้อนในกาดินเผาหนึ่งลิตร",
    "чайник из глины на один литр ",
    "ابريق شاي من الطين سعة لتر ",
    "चाय की केतली मिट्टी की बनी ",
    "찻주전자는흙으로만들었습니다",
    "👩‍👩‍👧‍👦🇩🇪👍🏽",
    "1.1,1;1-1",
    "a",
];

#[test]
fn long_texts_of_every_script_are_cut_into_full_chunks_and_nothing_is_lost() {
    for script in SCRIPTS {
        let text = script.repeat(20_000 / script.len());
        let chunks = chunking(100, 20, 8192).chunks(&document("", &text));
        let tokens = Tokenizer::Cl100kBase.count(&text);
        let count = chunks.len();
        assert!(
            count * 100 >= tokens && count <= 2 + tokens / 30,
            "{script}: {count} chunks of {tokens} tokens"
        );
        // Tokens of parts that are joined may differ by one at each border.
        assert!(chunks.iter().all(|chunk| chunk.tokens <= 110), "{script}");
        let trimmed = text.trim();
        assert!(
            trimmed.starts_with(&chunks[0].content) && trimmed.ends_with(&chunks[chunks.len() - 1].content)
        );
        let parts = parts(&text, 20, |text| Tokenizer::Cl100kBase.count(text));
        assert!(parts.windows(2).all(|pair| pair[0].0.end == pair[1].0.start), "{script}");
        assert_eq!((parts[0].0.start, parts[parts.len() - 1].0.end), (0, text.len()));
    }
}
