//! What is left of texts with thoughts, in one piece and in many.

use proptest::prelude::*;

use super::*;

/// What is left of a completion that comes in these pieces, and whether it is whole.
fn left(pieces: &[&str], is_held: bool) -> (String, bool) {
    let (mut filter, mut text) = (ThoughtFilter::new(is_held), String::new());
    for piece in pieces {
        let visible = filter.push(piece);
        if visible.is_reset {
            text.clear();
        }
        text.push_str(&visible.text);
    }
    let (rest, is_whole) = filter.finish();
    (text + &rest, is_whole)
}

const TEXTS: [(&str, &str); 22] = [
    ("Yes. [1]", "Yes. [1]"),
    ("<think>It costs 7.</think>Yes.", "Yes."),
    ("<THINK>\nIt costs 7.\n</Think>\n\nYes.", "\n\nYes."),
    ("<thinking>a</thinking>Yes<reasoning>b</reasoning>.", "Yes."),
    ("It costs 7, I think.</think>Yes.", "Yes."),
    ("<think>a</think>Yes.<think>b</think> No.", "Yes. No."),
    ("<think><think>a</think>b</think>Yes.", "Yes."),
    ("[THINK]a[/THINK]Yes.", "Yes."),
    ("◁think▷a◁/think▷Yes.", "Yes."),
    (
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
        "Yes.",
    ),
    ("<|start|>assistant<|channel|>analysis<|message|>a<|channel|>final<|message|>Yes.", "Yes."),
    ("<|channel|>commentary to=x<|message|>a<|call|>Yes.", "Yes."),
    ("<|channel|>final<|message|>Yes.", "Yes."),
    ("<|start|>assistant<|message|>Yes.<|end|>", "Yes."),
    ("analysisThe customer asks.assistantfinalYes.", "Yes."),
    ("Analysis of the lamp: 7 W.", "Analysis of the lamp: 7 W."),
    ("Yes.<|im_end|>", "Yes."),
    ("5 < 7 and <b>bold</b> </p>", "5 < 7 and <b>bold</b> </p>"),
    ("a <th", "a <th"),
    ("<unused94>thought a<unused95>Yes.", "Yes."),
    ("Größe <think>é</think>42 ◁", "Größe 42 ◁"),
    ("", ""),
];

#[test]
fn thoughts_are_no_text() {
    for (text, wanted) in TEXTS {
        assert_eq!(left(&[text], false), (wanted.to_owned(), true), "{text}");
        assert_eq!(left(&[text], true), (wanted.to_owned(), true), "held: {text}");
    }
}

#[test]
fn thoughts_that_never_end_leave_an_incomplete_text() {
    for text in ["<think>It costs 7.", "<|channel|>analysis<|message|>It costs 7.", "analysisIt costs 7."] {
        assert_eq!(left(&[text], false), (String::new(), false), "{text}");
    }
    assert_eq!(left(&["Yes.<think>It costs 7."], false), ("Yes.".to_owned(), false));
}

#[test]
fn a_missing_beginning_is_noticed_and_then_nothing_is_shown_before_the_end_of_thoughts() {
    let mut filter = ThoughtFilter::new(false);
    assert_eq!(filter.push("It costs 7").text, "It costs 7");
    assert_eq!(filter.push(".</think>Yes."), Visible { is_reset: true, text: "Yes.".to_owned() });
    assert!(filter.is_unopened());
    let mut filter = ThoughtFilter::new(true);
    assert_eq!(filter.push("It costs 7"), Visible::default());
    assert_eq!(filter.push(".</think>Yes."), Visible { is_reset: false, text: "Yes.".to_owned() });
    let mut filter = ThoughtFilter::new(false);
    filter.push("<think>a</think>Yes.");
    assert!(!filter.is_unopened() && filter.has_thoughts());
}

/// A text of parts, some of them thoughts, and what is visible of it.
fn composed() -> impl Strategy<Value = (String, String)> {
    let word = prop::sample::select(vec![
        "Yes",
        " no",
        "<",
        "</",
        "<th",
        "[",
        "é",
        "\n",
        "7.50",
        "<|",
        "◁",
        "analysis ",
    ]);
    let part = (0..TAGS.len() + 1, prop::collection::vec(word, 0..4));
    prop::collection::vec(part, 0..6).prop_map(|parts| {
        let (mut text, mut visible) = ("T".to_owned(), "T".to_owned());
        for (tag, words) in parts {
            let words = words.concat();
            if let Some((open, close)) = TAGS.get(tag) {
                text.extend([open, "secret", &words, close]);
            } else {
                // No marker is made by joining.
                text.extend([&words, " "]);
                visible.extend([&words, " "]);
            }
        }
        (text, visible)
    })
}

proptest! {
    #[test]
    fn no_cut_of_a_stream_shows_a_thought((text, visible) in composed(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12), is_held: bool) {
        let mut places: Vec<_> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces: Vec<_> = places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        prop_assert_eq!(left(&pieces, is_held), (visible, true));
        // Nothing is shown that is taken back: each thought has its beginning.
        let mut filter = ThoughtFilter::new(is_held);
        for piece in pieces {
            let shown = filter.push(piece);
            prop_assert!(!shown.is_reset && !shown.text.contains("secret"));
        }
    }
}
