//! Makes readable text of HTML, as shops keep it in descriptions.

use std::{borrow::Cow, cell::RefCell, collections::BTreeMap};

use html5ever::{
    tendril::StrTendril,
    tokenizer::{
        BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer,
        states::RawKind::{Rawtext, Rcdata, ScriptData},
    },
};

/// Elements whose content nobody reads.
const HIDDEN: &[&str] = &[
    "script", "style", "template", "noscript", "iframe", "object", "svg", "math", "head", "select", "button",
];
/// Elements that stand between paragraphs.
const BLOCKS: &[&str] = &[
    "p",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "section",
    "article",
    "header",
    "footer",
    "main",
    "aside",
    "nav",
    "table",
    "ul",
    "ol",
    "dl",
    "blockquote",
    "pre",
    "figure",
    "hr",
    "form",
    "fieldset",
    "details",
    "address",
];
/// Elements that begin a line.
const LINES: &[&str] = &[
    "br",
    "li",
    "tr",
    "dt",
    "dd",
    "caption",
    "summary",
    "figcaption",
    "option",
    "legend",
    "thead",
    "tbody",
    "tfoot",
];

/// The text of HTML: entities are characters, each block is a paragraph, and each list item or table row is a line. What
/// is not shown (scripts, styles, comments) is left out. A text without tags keeps its lines.
pub fn text(html: &str) -> String {
    if !is_html(html) {
        return if html.contains('&') {
            tokenize(&html.replace('<', "&lt;"), true)
        } else {
            html.trim().to_owned()
        };
    }
    tokenize(html, false)
}

/// Whether a text has tags.
pub fn is_html(text: &str) -> bool {
    let last = text.rfind('>').unwrap_or_default();
    text[..last].match_indices('<').any(|(at, _)| {
        let tag = text[at + 1..].strip_prefix('/').unwrap_or(&text[at + 1..]);
        tag.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!')
    })
}

/// The elements of HTML, each with its number. Those whose content nobody reads count as one, whatever is in them.
pub fn elements(html: &str) -> BTreeMap<String, u32> {
    if is_html(html) { written(html, false).elements } else { BTreeMap::new() }
}

/// Whether nobody reads the content of an element.
pub fn is_hidden(element: &str) -> bool {
    HIDDEN.contains(&element)
}

fn tokenize(html: &str, keeps_lines: bool) -> String {
    written(html, keeps_lines).text.trim().to_owned()
}

fn written(html: &str, keeps_lines: bool) -> Writer {
    let sink = Sink(RefCell::new(Writer { keeps_lines, ..Writer::default() }));
    let tokenizer = Tokenizer::new(sink, html5ever::tokenizer::TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    // The sink never stops it.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.0.take()
}

struct Sink(RefCell<Writer>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let mut writer = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => writer.write(&text),
            Token::TagToken(tag) => {
                writer.tag(&tag);
                if tag.kind == TagKind::StartTag {
                    match &*tag.name {
                        "script" => return TokenSinkResult::RawData(ScriptData),
                        "style" | "iframe" | "noscript" => return TokenSinkResult::RawData(Rawtext),
                        "textarea" | "title" => return TokenSinkResult::RawData(Rcdata),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// Space that is owed before the next word.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Space,
    Line,
    Paragraph,
}

#[derive(Default)]
struct Writer {
    text: String,
    gap: Gap,
    /// A mark that is owed before the next word of a line: of a list item, or between cells.
    mark: &'static str,
    /// The hidden element that is open, and how often.
    hidden: Option<(String, u32)>,
    keeps_lines: bool,
    is_preformatted: bool,
    /// Whether the last element was a term to define.
    follows_term: bool,
    /// The number of each element.
    elements: BTreeMap<String, u32>,
}

impl Writer {
    fn write(&mut self, text: &str) {
        if self.hidden.is_some() {
            return;
        }
        if self.keeps_lines || self.is_preformatted {
            self.owe();
            self.text.push_str(text);
            return;
        }
        for (number, word) in text.split(char::is_whitespace).enumerate() {
            if number > 0 {
                self.gap = self.gap.max(Gap::Space);
            }
            if !word.is_empty() {
                self.owe();
                self.text.push_str(word);
            }
        }
    }

    /// Writes what is owed before a word.
    fn owe(&mut self) {
        if !self.text.is_empty() {
            self.text.push_str(match self.gap {
                // A mark has its own spaces.
                Gap::Space if !self.mark.is_empty() => "",
                Gap::None => "",
                Gap::Space => " ",
                Gap::Line => "\n",
                Gap::Paragraph => "\n\n",
            });
        }
        self.gap = Gap::None;
        self.text.push_str(std::mem::take(&mut self.mark));
    }

    fn part(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
        self.mark = "";
    }

    fn tag(&mut self, tag: &Tag) {
        let (name, is_start) = (&*tag.name, tag.kind == TagKind::StartTag);
        if let Some((hidden, depth)) = &mut self.hidden {
            if hidden == name {
                *depth = if is_start { *depth + u32::from(!tag.self_closing) } else { *depth - 1 };
                if *depth == 0 {
                    self.hidden = None;
                }
            }
            return;
        }
        if is_start {
            *self.elements.entry(name.to_owned()).or_default() += 1;
        }
        if is_start && is_hidden(name) {
            // Others do not close themselves, whatever they say.
            if !tag.self_closing || !matches!(name, "svg" | "math") {
                self.hidden = Some((name.to_owned(), 1));
            }
            return;
        }
        match name {
            "li" if is_start => {
                self.part(Gap::Line);
                self.mark = "- ";
            }
            // Cells of a row, and what a term is defined as, stand on one line.
            "td" | "th" if is_start && self.gap < Gap::Line && !self.text.is_empty() => {
                self.gap = Gap::None;
                self.mark = " | ";
            }
            "dd" if is_start && std::mem::take(&mut self.follows_term) => {
                self.gap = Gap::None;
                self.mark = ": ";
            }
            "td" | "th" => {}
            "p" | "div" if self.mark == "- " => {}
            _ if BLOCKS.contains(&name) => self.part(Gap::Paragraph),
            _ if LINES.contains(&name) => self.part(Gap::Line),
            _ => {}
        }
        match name {
            "pre" => self.is_preformatted = is_start,
            "dt" => self.follows_term = !is_start && !self.text.is_empty(),
            _ => {}
        }
    }
}

/// Characters from which a run without a space is taken for encoded data.
const LONGEST_RUN: usize = 200;

/// Leaves out `data:` URIs and long runs of base64: nobody reads them, and each is many chunks.
pub fn without_data(text: &str) -> Cow<'_, str> {
    if text.len() < LONGEST_RUN && !text.contains("data:") {
        return text.into();
    }
    let is_data = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut kept: Vec<&str> = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(begin) = text[at..].find(is_data) {
        let begin = at + begin;
        let end = text[begin..].find(|c| !is_data(c)).map_or(text.len(), |length| begin + length);
        let run = &text[begin..end];
        at = end;
        let (begin, end) = if run.ends_with("data") && text[end..].starts_with(':') {
            let uri =
                text[end..].find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '<' | '>'));
            let uri_end = uri.map_or(text.len(), |length| end + length);
            if !has_media_type(&text[end + 1..uri_end]) {
                at = uri_end;
                continue;
            }
            (end - "data".len(), uri_end)
        } else if is_encoded(run) {
            (begin, end)
        } else {
            continue;
        };
        kept.push(&text[from..begin]);
        (from, at) = (end, end);
    }
    if kept.is_empty() {
        return text.into();
    }
    kept.push(&text[from..]);
    kept.concat().into()
}

/// Whether what follows `data:` is what such an address has: a media type or parameters, and a comma.
fn has_media_type(rest: &str) -> bool {
    let Some((kind, _)) = rest.split_once(',') else { return false };
    let kind = kind.split(';').next().unwrap_or_default();
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-'))
    };
    match kind.split_once('/') {
        Some((kind, subtype)) => is_word(kind) && is_word(subtype),
        None => kind.is_empty(),
    }
}

/// Whether a run is long and has all of the letters and digits that base64 has.
fn is_encoded(run: &str) -> bool {
    run.len() > LONGEST_RUN
        && run.contains(|c: char| c.is_ascii_uppercase())
        && run.contains(|c: char| c.is_ascii_lowercase())
        && run.contains(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn html_becomes_readable_text() {
        for (html, expected) in [
            ("<p>F&uuml;r Tee</p><ul><li>A</li></ul>&nbsp;", "Für Tee\n\n- A"),
            ("<ul><li><p>One</p></li><li>Two <b>b</b>old</li></ul>After", "- One\n\n- Two bold\n\nAfter"),
            (
                "<table><tr><th>Size</th><td> 38&#160;cm</td></tr><tr><td>B</td><td>2</td></tr></table>",
                "Size | 38 cm\nB | 2",
            ),
            ("<dl><dt>Weight</dt><dd>2 kg</dd><dt>Colour</dt><dd>red</dd></dl>", "Weight: 2 kg\nColour: red"),
            ("One<br>two<BR/>three", "One\ntwo\nthree"),
            ("a<style>p{}</style><script>if (a < b) '</p>'</script>b<!-- c -->", "ab"),
            ("<svg><g><svg/></g><text>x</text></svg>seen", "seen"),
            ("5 < 7 &amp; 8 > 6", "5 < 7 & 8 > 6"),
            ("Line one\nline two &amp; more\n\nPart", "Line one\nline two & more\n\nPart"),
            ("No tags, no entities\n kept", "No tags, no entities\n kept"),
            ("<pre>a\n  b</pre>", "a\n  b"),
            ("<div><p>Deep</p></div><div>er</div>", "Deep\n\ner"),
            ("<p>unclosed <b>bold", "unclosed bold"),
            ("For kids <age 5 & toys &amp; more", "For kids <age 5 & toys & more"),
            ("<iframe src='x'/></iframe><p>Good &amp; new</p>", "Good & new"),
            ("", ""),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn data_is_left_out_and_addresses_stay() {
        let image = "iVBORw0KGgo9".repeat(30);
        assert_eq!(without_data(&format!("a data:image/png;base64,{image} b")), "a  b");
        assert_eq!(without_data(&format!("a {image}== b")), "a  b");
        assert_eq!(without_data("a src=data:image/svg+xml,%3Csvg b"), "a src= b");
        for kept in [
            "Technical data:230V,50Hz",
            "data: one, two",
            "https://shop.example/a/b/c?d=1",
            &"a".repeat(300),
            "the data:",
        ] {
            assert_eq!(without_data(kept), kept);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(html in r#"(<|>|/|&|;|p|li|td|tr|table|script|style|svg|!--|-->| |é|"|=|a){0,60}"#) {
            text(&html);
            without_data(&html);
        }
    }
}
