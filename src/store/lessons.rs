//! What model servers taught, for all daemons.

use serde::Serialize;
use sqlx::types::Json;

use super::{Result, Store, budgets::ModelAddress};
use crate::model::learned::Lessons;

/// The lessons of one model at its server.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ModelLessons {
    pub server: String,
    pub model: String,
    pub lessons: Json<Lessons>,
}

impl Store {
    /// Reads what is known of every model.
    pub async fn lessons(&self) -> Result<Vec<ModelLessons>> {
        let lessons = sqlx::query_as!(
            ModelLessons,
            r#"select server, model, lessons as "lessons: Json<Lessons>" from shopkeeper.model_lesson
               order by server, model"#
        );
        Ok(lessons.fetch_all(&self.pool).await?)
    }

    /// Adds to what is known of a model; another daemon may have learnt something else.
    pub async fn keep_lessons(&self, of: &ModelAddress, lessons: &Lessons) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.model_lesson (server, model, lessons) values ($1, $2, $3)
             on conflict (server, model) do update
             set lessons = model_lesson.lessons || excluded.lessons, learned_at = now()",
            of.server,
            of.model,
            Json(lessons) as _,
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }
}
