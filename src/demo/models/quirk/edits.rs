//! Changes of replies.

use serde_json::{Map, Value};

use crate::demo::models::reply::Reply;

/// Changes the JSON of a reply, or of each of its events.
pub(super) fn edit(mut reply: Reply, change: impl Fn(&mut Map<String, Value>)) -> Reply {
    let edited = |text: &str| match serde_json::from_str(text) {
        Ok(Value::Object(mut object)) => {
            change(&mut object);
            Value::Object(object).to_string()
        }
        _ => text.to_owned(),
    };
    reply.body = if reply.is_stream() {
        let events = reply.body.split_terminator("\n\n");
        let events = events.map(|event| format!("data: {}\n\n", edited(event.trim_start_matches("data: "))));
        events.collect()
    } else {
        edited(&reply.body)
    };
    reply
}

/// Leaves out fields.
pub(super) fn without(reply: Reply, fields: &[&str]) -> Reply {
    edit(reply, |body| fields.iter().for_each(|field| drop(body.remove(*field))))
}

/// Sets a field.
pub(super) fn with(reply: Reply, field: &str, value: &Value) -> Reply {
    edit(reply, |body| _ = body.insert(field.to_owned(), value.clone()))
}

/// Changes the entries of `data`.
pub(super) fn entries(reply: Reply, change: impl Fn(usize, &mut Map<String, Value>)) -> Reply {
    edit(reply, |body| {
        let entries = body.get_mut("data").and_then(Value::as_array_mut);
        for (place, entry) in entries.into_iter().flatten().enumerate() {
            entry.as_object_mut().into_iter().for_each(|entry| change(place, entry));
        }
    })
}

/// Changes the choices.
pub(super) fn choices(reply: Reply, change: impl Fn(&mut Map<String, Value>)) -> Reply {
    edit(reply, |body| {
        let choices = body.get_mut("choices").and_then(Value::as_array_mut);
        for choice in choices.into_iter().flatten() {
            choice.as_object_mut().into_iter().for_each(&change);
        }
    })
}

/// Sets why the model ended, where the reply says that it did.
pub(super) fn finish(reply: Reply, reason: &Value) -> Reply {
    choices(reply, |choice| {
        if choice.get("finish_reason").is_some_and(|reason| !reason.is_null()) {
            choice.insert("finish_reason".to_owned(), reason.clone());
        }
    })
}

/// Changes the text of each message and piece.
pub(super) fn content(reply: Reply, change: impl Fn(&str) -> Value) -> Reply {
    choices(reply, |choice| {
        for key in ["message", "delta"] {
            let content = choice.get_mut(key).and_then(|message| message.get_mut("content"));
            if let Some(content) = content {
                *content = change(content.as_str().unwrap_or_default());
            }
        }
    })
}

/// Puts a text before the answer: in a stream, in pieces that cut words and tags.
pub(super) fn prepend(mut reply: Reply, text: &str) -> Reply {
    if !reply.is_stream() {
        return content(reply, |answer| format!("{text}{answer}").into());
    }
    // The first event has the role and an empty text.
    let Some((first, rest)) = reply.body.split_once("\n\n") else { return reply };
    let characters: Vec<_> = text.chars().collect();
    let mut body = String::new();
    for piece in characters.chunks(5) {
        let piece = Value::from(String::from_iter(piece));
        body.push_str(&first.replacen(r#""content":"""#, &format!(r#""content":{piece}"#), 1));
        body.push_str("\n\n");
    }
    reply.body = body + rest;
    reply
}
