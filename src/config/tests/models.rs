//! Keys, time limits and rate limits of model servers.

use std::{collections::BTreeMap, path::PathBuf};

use secrecy::ExposeSecret;

use super::{read, read_with};
use crate::config::{Config, Endpoint};

#[test]
fn the_second_model_may_have_smaller_limits_than_the_chunks_of_the_first() {
    let local =
        "[openai]\nbase_url = \"http://local/v1\"\n[embedding]\nchunk_tokens = 400\nchunk_overlap = 200\n";
    let second = "[embedding.second]\nmodel = \"m\"\ndimensions = 7\nmax_input_tokens = 150\n";
    assert!(read(&format!("{local}{second}")).is_ok());
    let faults = read(&format!("{local}{second}chunk_overlap = 10\n")).unwrap_err();
    assert!(faults[0].starts_with("embedding.second.chunk_overlap: belongs to [embedding]"), "{faults:?}");
}

#[test]
fn a_key_is_never_sent_to_another_server() {
    let keys = |text: &str| {
        let config = read(text).unwrap();
        let key = |endpoint: &Endpoint| endpoint.api_key.as_ref().map(|key| key.expose_secret().to_owned());
        let next = config.embedding.next.as_ref().map(|next| key(&next.endpoint));
        (key(&config.embedding.endpoint), key(&config.answers.endpoint), next.flatten())
    };
    let (one, other) = (Some("sk-one".to_owned()), Some("sk-other".to_owned()));
    assert_eq!(keys(""), (one.clone(), one.clone(), None));
    let local = "[embedding]\nbase_url = \"http://local/v1\"\n";
    assert_eq!(keys(local), (None, one.clone(), None));
    let own = "[answers]\nbase_url = \"http://local/v1\"\napi_key = { env = \"OTHER\" }\n";
    assert_eq!(keys(own), (one.clone(), other, None));
    let next = "[embedding.next]\nmodel = \"m\"\ndimensions = 7\n";
    assert_eq!(keys(next), (one.clone(), one.clone(), one.clone()));
    assert_eq!(keys(&format!("{next}base_url = \"http://local/v1\"")), (one.clone(), one.clone(), None));
    let equal = "[answers]\nbase_url = \"https://api.openai.com/v1\"";
    assert_eq!(keys(equal), (one.clone(), one, None));
    let back = format!(
        "{local}[embedding.next]\nmodel = \"m\"\ndimensions = 7\nbase_url = \"https://api.openai.com/v1\""
    );
    assert!(read(&back).unwrap_err()[0].starts_with("embedding.next.api_key: is required"));
}

#[test]
fn a_key_is_asked_for_only_where_it_would_be_sent() {
    let faults = |text: &str| read_with(text, &[]).err().unwrap_or_default();
    let missing = ["openai.api_key: is required, here or as the environment's OPENAI_API_KEY"];
    let embedding = "[embedding]\nbase_url = \"http://local/v1\"\n";
    let answers = "[answers]\nbase_url = \"http://other/v1\"\n";
    let own = "[answers]\napi_key = { env = \"OTHER\" }\n";
    let next = "[embedding.next]\nmodel = \"m\"\ndimensions = 7\n";
    assert_eq!(faults(""), missing);
    assert_eq!(faults(embedding), missing);
    assert_eq!(faults(answers), missing);
    assert_eq!(faults(own), missing);
    assert_eq!(faults(&format!("{next}{answers}")), missing);
    assert!(faults(&format!("{embedding}{answers}")).is_empty());
    assert!(faults(&format!("{embedding}{next}{answers}")).is_empty());
    assert!(faults(&format!("{embedding}{own}")).is_empty());
    assert!(faults("[openai]\nbase_url = \"http://local/v1\"").is_empty());
    let both = faults("[openai]\ntimeout = 5");
    assert!(both.len() == 2 && both.contains(&missing[0].to_owned()), "{both:?}");
}

#[test]
fn a_request_never_takes_longer_than_the_whole_answer_and_shown_settings_can_be_parsed() {
    let times = |text: &str| {
        let config = read(text).unwrap();
        let shown = toml::to_string(&config).unwrap();
        let shown: toml::Table = shown.parse().unwrap_or_else(|error| panic!("{error}: {shown}"));
        let shown = shown["answers"]["timeout"].as_str().unwrap().to_owned();
        (shown, config.answers.request_timeout.as_secs(), config.embedding.timeout.as_secs())
    };
    assert_eq!(times(""), ("1m".to_owned(), 60, 60));
    assert_eq!(times("[answers]\ntimeout = \"5s\""), ("5s".to_owned(), 5, 60));
    assert_eq!(times("[answers]\ntimeout = \"5m\""), ("5m".to_owned(), 60, 60));
    assert_eq!(times("[openai]\ntimeout = \"7s\""), ("1m".to_owned(), 7, 7));
}

/// The limits of `[embedding]`, `[embedding.next]` and `[answers]` as shown.
fn limits(sections: &str) -> Vec<String> {
    let settings = format!(
        "[database]\nurl = \"postgres://u@h/ours\"\n[embedding.next]\nmodel = \"m\"\ndimensions = 7\n{sections}"
    );
    let environment = BTreeMap::from([("OPENAI_API_KEY".to_owned(), "sk-1".to_owned())]);
    let config = Config::parse(&settings, "jobs.toml", PathBuf::new(), &environment).unwrap();
    let shown: toml::Table = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    let (embedding, answers) = (&shown["embedding"], &shown["answers"]);
    let of = |section: &toml::Value| {
        format!("{} {}", section["requests_per_minute"], section["tokens_per_minute"])
    };
    vec![of(embedding), of(&embedding["next"]), of(answers)]
}

#[test]
fn a_model_server_of_this_host_has_no_limits_unless_they_are_set() {
    const FREE: &str = "\"unlimited\" \"unlimited\"";
    const USUAL: &str = "3000 1000000";
    assert_eq!(limits(""), [USUAL; 3]);
    for host in ["localhost:11434", "127.0.0.1:11434", "127.1.2.3", "[::1]:80", "[::ffff:127.0.0.1]"] {
        assert_eq!(limits(&format!("[openai]\nbase_url = \"http://{host}/v1\"")), [FREE; 3], "{host}");
    }
    for host in ["192.168.0.7:11434", "localhost.example", "10.0.0.1"] {
        assert_eq!(limits(&format!("[openai]\nbase_url = \"http://{host}/v1\"")), [USUAL; 3], "{host}");
    }
    let local = "base_url = \"http://localhost/v1\"";
    assert_eq!(limits(&format!("[answers]\n{local}")), [USUAL, USUAL, FREE]);
    // A written limit applies wherever it was written.
    let inherited = format!("[openai]\nrequests_per_minute = 60\n[answers]\n{local}");
    assert_eq!(limits(&inherited), ["60 1000000", "60 1000000", "60 \"unlimited\""]);
    let own = format!("[openai]\n{local}\n[embedding]\ntokens_per_minute = 3000");
    assert_eq!(limits(&own), ["\"unlimited\" 3000", "\"unlimited\" 3000", FREE]);
}

#[test]
fn what_cannot_work_is_refused_with_the_line_to_write_instead() {
    for (text, says) in [
        (
            "[openai]\nbase_url = \"https://h/v1?api-version=7\"",
            "openai.base_url: must not have a query: write query = { api-version = \"7\" } beside it",
        ),
        (
            "[openai]\nbase_url = \"https://h/v1?subscription-key=s3cret\"",
            "write query = { subscription-key = { env = \"SUBSCRIPTION_KEY\" } }",
        ),
        (
            "[openai]\nheaders = { x-api-key = \"s3cret\" }",
            "openai.headers.x-api-key: may be a secret and must not stand in the file: write x-api-key = { env = \"X_API_KEY\" }",
        ),
        ("[answers]\nquery = { auth = \"s3cret\" }", "answers.query.auth: may be a secret"),
        (
            "[embedding]\nmodel = \"mine\"",
            "embedding.dimensions: is required, because there is no model card of \"mine\"",
        ),
        ("[embedding]\ndocument = { prefx = \"\" }", "embedding.document.prefx: is not a key"),
        ("[embedding]\nencoding_format = \"flot\"", "did you mean \"float\"?"),
        ("[answers]\ntemperature = \"hot\"", "must be a number from 0 to 2, or \"default\""),
        ("[answers]\nstream = \"yes\"", "must be \"auto\" or true or false"),
        ("[rerank]\nmodel = \"m\"", "rerank.base_url: is required: OpenAI has no rerankers"),
        ("[openai]\nextra_body = 7", "openai.extra_body: must be a table"),
    ] {
        let faults = read(text).unwrap_err().join("; ");
        assert!(faults.contains(says) && !faults.contains("s3cret"), "{text}: {faults}");
    }
    // A fault of [openai] is told once, however many sections inherit it.
    assert_eq!(read("[openai]\nbase_url = \"https://h/v1?api-version=7\"").unwrap_err().len(), 1);
}

#[test]
fn a_model_card_supplies_defaults_and_written_keys_go_first() {
    let config = |text: &str| read(text).unwrap();
    let e5 = "[openai]\nbase_url = \"http://127.0.0.1:1/v1\"\n[embedding]\nmodel = \"intfloat/multilingual-e5-large\"";
    let known = config(e5);
    assert_eq!(
        (known.embedding.dimensions.get(), known.embedding.document.prefix.as_str()),
        (1024, "passage: ")
    );
    assert!(known.from_cards.iter().any(|(key, _)| key == "embedding.question"), "{:?}", known.from_cards);
    assert!(!known.embedding.has_own_document);
    let own = config(&format!("{e5}\ndocument = {{ prefix = \"\" }}"));
    assert!(own.embedding.document.is_plain() && own.embedding.has_own_document);
    // A key goes with its server, and so does a header.
    let headers = "[openai]\nbase_url = \"http://127.0.0.1:1/v1\"\nheaders = { x-team = \"shop\" }\n[answers]\nbase_url = \"http://127.0.0.1:2/v1\"";
    let split = config(headers);
    assert_eq!(
        (split.embedding.endpoint.headers.pairs().len(), split.answers.endpoint.headers.pairs().len()),
        (1, 0)
    );
}
