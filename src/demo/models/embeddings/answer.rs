//! The answer's body, with the fault of a script in its vectors.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::Question;
use crate::demo::models::vector::{Vector, WIDTH, fill, floats};
use crate::demo::{models::fault::Fault, models::reply::Reply};

impl Question {
    /// Writes the answer, and applies the fault if it concerns vectors. The body is built by hand: numbers and base64
    /// need no escaping, and benchmarks measure everything else against this path.
    pub(crate) fn answer(&self, vectors: Vec<Vector>, tokens: usize, fault: Option<&Fault>) -> Reply {
        let mut rows: Vec<_> = vectors.into_iter().enumerate().collect();
        if let Some(fault) = fault {
            self.damage(&mut rows, fault);
        }
        let row = |(index, vector): &(usize, Vector)| {
            let vector = self.write(vector);
            format!(r#"{{"object":"embedding","index":{index},"embedding":{vector}}}"#)
        };
        let data = rows.iter().map(row).collect::<Vec<_>>().join(",");
        let model = Value::from(self.model.as_str());
        let usage = format!(r#"{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}"#);
        Reply::json(format!(r#"{{"object":"list","data":[{data}],"model":{model},"usage":{usage}}}"#))
    }

    fn damage(&self, rows: &mut Vec<(usize, Vector)>, fault: &Fault) {
        match fault {
            Fault::WrongCount => rows.truncate(rows.len() - 1),
            Fault::WrongOrder => rows.reverse(),
            Fault::WrongDimension => {
                for (_, vector) in rows {
                    vector.truncate(vector.len() - WIDTH);
                }
            }
            Fault::NotFinite => fill(&mut rows[0].1[..WIDTH], f32::NAN),
            Fault::Zeros(text) | Fault::Nan(text) => {
                let number = if matches!(fault, Fault::Nan(_)) { f32::NAN } else { 0.0 };
                for (index, vector) in rows {
                    if self.inputs[*index].contains(text) {
                        fill(vector, number);
                    }
                }
            }
            _ => {}
        }
    }

    fn write(&self, vector: &[u8]) -> String {
        if self.is_base64 {
            return format!("\"{}\"", STANDARD.encode(vector));
        }
        // JSON has no NaN; other servers write `null`.
        let write = |float: f32| if float.is_finite() { float.to_string() } else { "null".to_owned() };
        format!("[{}]", floats(vector).map(write).collect::<Vec<_>>().join(","))
    }
}
