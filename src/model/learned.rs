//! What a model server taught: parameters that it refuses by name, or ignores, and the form that it accepts instead.
//!
//! A lesson is tried first and kept only if the server then accepts the request.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// How vectors are sent.
    pub enum EncodingFormat {
        /// A third of the bytes of decimals.
        Base64,
        /// Decimals.
        Float,
        /// As the server likes: the parameter is left out.
        None,
    }
}

words! {
    /// The parameter that limits the tokens of a completion.
    #[expect(missing_docs, reason = "the names say it")]
    pub enum MaxTokensParameter {
        MaxTokens,
        MaxCompletionTokens,
    }
}

words! {
    /// The role of the instructions.
    pub enum SystemRole {
        /// A message of its own.
        System,
        /// A message of its own, as `OpenAI` calls it for models that think.
        Developer,
        /// The beginning of the first message of the user.
        User,
    }
}

/// The lessons of one model at one server. `None`: nothing was learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Lessons {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_format: Option<EncodingFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions_parameter: Option<bool>,
    /// Inputs of one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_inputs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens_parameter: Option<MaxTokensParameter>,
    /// `false`: only the server's default is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_role: Option<SystemRole>,
    /// Tokens are spent on thoughts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinks: Option<bool>,
    /// Thoughts begin without a tag, so that only their end is marked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unopened_thoughts: Option<bool>,
}

impl Lessons {
    /// The lessons that `self` has besides `known`, each with the setting that spares the attempt, or what is done.
    pub fn since(&self, known: &Self) -> BTreeMap<&'static str, String> {
        let mut new = self.describe();
        let old = known.describe();
        new.retain(|name, said| old.get(name) != Some(said));
        new
    }

    /// Each lesson by name, with the setting that spares the attempt, or what is done.
    pub fn describe(&self) -> BTreeMap<&'static str, String> {
        let word = |key: &str, word: &'static str| format!("{key} = {word:?}");
        let mut said = BTreeMap::new();
        let mut add = |name, text: Option<String>| {
            if let Some(text) = text {
                said.insert(name, text);
            }
        };
        add("encoding_format", self.encoding_format.map(|format| word("encoding_format", format.into())));
        let sends = |sends| format!("dimensions_parameter = {sends}");
        add("dimensions_parameter", self.dimensions_parameter.map(sends));
        add("max_inputs", self.max_inputs.map(|most| format!("max_inputs = {most}")));
        let parameter = |parameter: MaxTokensParameter| word("max_tokens_parameter", parameter.into());
        add("max_tokens_parameter", self.max_tokens_parameter.map(parameter));
        let default = self.temperature.filter(|accepts| !accepts);
        add("temperature", default.map(|_| word("temperature", "default")));
        add("stream", self.stream.filter(|streams| !streams).map(|_| "stream = false".to_owned()));
        let options = self.stream_options.filter(|accepts| !accepts);
        add("stream_options", options.map(|_| "stream_options is left out".to_owned()));
        add("system_role", self.system_role.map(|role| word("system_role", role.into())));
        let thinks = self.thinks.filter(|thinks| *thinks);
        add("thinks", thinks.map(|_| "tokens are spent on thoughts".to_owned()));
        let unopened = self.unopened_thoughts.filter(|unopened| *unopened);
        add("unopened_thoughts", unopened.map(|_| "text is held back until thoughts end".to_owned()));
        said
    }
}

/// The lessons of one model, shared by its requests.
#[derive(Debug, Default)]
pub struct Learned(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lessons: Lessons,
    /// What is stored for all daemons.
    stored: Lessons,
}

impl Learned {
    /// Starts with what was stored.
    pub fn new(stored: Lessons) -> Self {
        Self(Mutex::new(State { lessons: stored.clone(), stored }))
    }

    /// The present lessons.
    pub fn lessons(&self) -> Lessons {
        self.state().lessons.clone()
    }

    /// Adds a lesson.
    pub fn learn(&self, lesson: impl FnOnce(&mut Lessons)) {
        lesson(&mut self.state().lessons);
    }

    /// The lessons, if they are not stored, and those that are new. Counts as stored from then on.
    pub fn unstored(&self) -> Option<(Lessons, BTreeMap<&'static str, String>)> {
        let mut state = self.state();
        if state.lessons == state.stored {
            return None;
        }
        let new = state.lessons.since(&state.stored);
        state.stored = state.lessons.clone();
        Some((state.lessons.clone(), new))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lesson_is_told_once_and_with_the_setting_that_spares_the_attempt() {
        let learned = Learned::new(Lessons { stream: Some(false), ..Lessons::default() });
        assert_eq!(learned.unstored(), None);
        learned.learn(|lessons| lessons.encoding_format = Some(EncodingFormat::Float));
        let (all, new) = learned.unstored().unwrap();
        assert_eq!(new, BTreeMap::from([("encoding_format", "encoding_format = \"float\"".to_owned())]));
        assert_eq!((all.stream, learned.unstored()), (Some(false), None));
        let written = serde_json::to_value(&all).unwrap();
        assert_eq!(written, serde_json::json!({ "encoding_format": "float", "stream": false }));
        assert_eq!(serde_json::from_value::<Lessons>(written).unwrap(), all);
    }
}
