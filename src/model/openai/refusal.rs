//! A server's refusal, whatever its body looks like.

use reqwest::StatusCode;
use serde_json::Value;

/// The longest part of a server's own words that is shown.
const MAX_WORDS: usize = 300;

/// A response that is an error, or says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.signs())]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub kind: String,
    pub code: String,
    pub param: String,
    /// The server's words. They may quote the request.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let (kind, code, param) = Default::default();
        Self { status, kind, code, param, message: message.into() }
    }

    /// Reads the body of an error.
    pub(super) fn parse(status: StatusCode, body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::read(status, &value),
            // As from a proxy.
            Err(_) if is_page(body) => Self { kind: "HTML page".to_owned(), ..Self::new(status, "") },
            Err(_) => Self::new(status, shorten(&String::from_utf8_lossy(body))),
        }
    }

    /// Reads `{"error": {…}}`, `{"error": "…"}`, `{"message": …}`, `{"detail": …}`, or an array of one of them.
    fn read(status: StatusCode, body: &Value) -> Self {
        let body = body.as_array().and_then(|items| items.first()).unwrap_or(body);
        let error = match body.get("error").or_else(|| body.get("errors")) {
            Some(Value::Array(errors)) => errors.first().unwrap_or(body),
            Some(Value::Null) | None => body,
            Some(error) => error,
        };
        let detail = ["message", "detail", "msg", "error_message", "reason", "title"]
            .into_iter()
            .find_map(|key| error.get(key).or_else(|| body.get(key)).filter(|value| !value.is_null()));
        let detail = detail.unwrap_or(error);
        // `{"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}`
        let first = detail.as_array().and_then(|items| items.first()).unwrap_or(detail);
        let place = first.get("loc").and_then(Value::as_array).and_then(|place| place.last());
        let field = |names: &[&str]| {
            let value = names.iter().find_map(|name| error.get(name).or_else(|| body.get(name)));
            value.map(word).unwrap_or_default()
        };
        let message = match first.get("msg").or_else(|| first.get("message")).unwrap_or(first) {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let param = match field(&["param", "parameter"]) {
            param if param.is_empty() => place.map(word).unwrap_or_default(),
            param => param,
        };
        let (kind, code) = (field(&["type", "error_type", "status"]), field(&["code"]));
        Self { status, kind, code, param, message: shorten(&message) }
    }

    /// Reads a reply with a status of success that is an error all the same.
    pub(super) fn within(status: StatusCode, body: &Value) -> Option<Self> {
        let says_so = body.get("error").is_some_and(|error| match error {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        });
        let is_object = body.get("object").is_some_and(|object| object == "error");
        (says_so || is_object).then(|| Self::read(status, body))
    }

    /// The status and the protocol's own words, which quote nobody.
    pub(super) fn signs(&self) -> String {
        let words = [("type", &self.kind), ("code", &self.code), ("param", &self.param)];
        let said: Vec<_> = words
            .iter()
            .filter(|(_, word)| !word.is_empty())
            .map(|(name, word)| format!("{name} {word}"))
            .collect();
        if said.is_empty() {
            self.status.to_string()
        } else {
            format!("{} ({})", self.status, said.join(", "))
        }
    }

    /// The same with the server's words.
    pub(super) fn words(&self) -> String {
        if self.message.is_empty() { self.signs() } else { format!("{}: {}", self.signs(), self.message) }
    }

    /// Whether it names one of these, as a parameter or at the beginning of a word.
    pub(super) fn names(&self, names: &[&str]) -> bool {
        let (param, message) = (self.param.to_lowercase(), self.message.to_lowercase());
        let has = |text: &str, name: &&str| {
            text.match_indices(*name).any(|(start, _)| !text[..start].ends_with(char::is_alphanumeric))
        };
        names.iter().any(|name| has(&param, name) || has(&message, name))
    }

    /// The limit of inputs that it names, below the number that was sent.
    pub(super) fn most_inputs(&self, sent: usize) -> Option<usize> {
        let message = self.message.to_lowercase();
        let is_about = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if !is_about(&["batch", "inputs", "texts", "array", "requests", "documents"])
            || is_about(&["token", "character", "context", "per minute", "per second"])
        {
            return None;
        }
        let numbers = message.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
        numbers.filter(|number| (1..sent).contains(number)).max()
    }
}

/// Whether a body is an HTML page or XML: no model server sends that.
pub(super) fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

fn word(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if value.is_null() || text.len() > 60 { String::new() } else { text }
}

fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_WORDS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Refusal {
        Refusal::parse(StatusCode::UNPROCESSABLE_ENTITY, body.as_bytes())
    }

    #[test]
    fn a_body_is_read_in_every_shape_that_servers_give_it() {
        for body in [
            r#"{"error": {"message": "Too long", "type": "t", "code": "7", "param": "p"}}"#,
            r#"[{"error": {"message": "Too long", "status": "t", "code": 7, "param": "p"}}]"#,
            r#"{"object": "error", "message": "Too long", "type": "t", "code": 7, "param": "p"}"#,
            r#"{"message": "Too  long\n", "type": "t", "code": 7, "param": "p"}"#,
            r#"{"error": "Too long", "error_type": "t", "code": 7, "parameter": "p"}"#,
            r#"{"detail": [{"loc": ["body", "p"], "msg": "Too long"}], "type": "t", "code": 7}"#,
            r#"{"errors": [{"message": "Too long", "type": "t", "code": 7, "param": "p"}]}"#,
        ] {
            let words = "422 Unprocessable Entity (type t, code 7, param p): Too long";
            assert_eq!(parse(body).words(), words, "{body}");
        }
        assert_eq!(parse(r#"{"detail": "Too long"}"#).message, "Too long");
        assert_eq!(parse("Too long").message, "Too long");
        assert_eq!(parse("").words(), "422 Unprocessable Entity");
        assert_eq!(parse("<html>x</html>").words(), "422 Unprocessable Entity (type HTML page)");
        assert_eq!(parse(&"x".repeat(1000)).message.chars().count(), MAX_WORDS + 1);
    }

    #[test]
    fn a_limit_of_inputs_is_taken_from_words_about_inputs_alone() {
        for (message, most) in [
            ("batch size 300 > maximum allowed batch size 32", Some(32)),
            ("Expected an array with maximum length 256, but got an array with length 300.", Some(256)),
            ("valid number of texts is at most 96", Some(96)),
            ("`inputs` must have less than 512 tokens. Given: 700", None),
            ("input 5 is too long", None),
            ("the batch of 300 is too large", None),
        ] {
            assert_eq!(Refusal::new(StatusCode::BAD_REQUEST, message).most_inputs(300), most, "{message}");
        }
    }

    #[test]
    fn a_parameter_is_named_by_a_word_that_begins_with_it() {
        for (message, names) in [
            ("'stream' is not supported", true),
            ("Streaming is not possible", true),
            ("the upstream server failed", false),
        ] {
            assert_eq!(Refusal::new(StatusCode::BAD_REQUEST, message).names(&["stream"]), names, "{message}");
        }
    }

    #[test]
    fn a_reply_is_an_error_only_if_it_says_so() {
        let within = |body: Value| Refusal::within(StatusCode::OK, &body).map(|refusal| refusal.message);
        assert_eq!(
            within(serde_json::json!({ "error": { "message": "no", "code": 502 } })),
            Some("no".into())
        );
        assert_eq!(within(serde_json::json!({ "error": "no" })), Some("no".into()));
        assert_eq!(within(serde_json::json!({ "object": "error", "message": "no" })), Some("no".into()));
        for fine in [serde_json::json!({ "error": null }), serde_json::json!({ "choices": [], "error": {} })]
        {
            assert_eq!(within(fine), None);
        }
    }
}
