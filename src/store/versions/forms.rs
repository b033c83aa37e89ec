//! What index versions were given with each document.

use sqlx::types::Json;

use crate::{
    model::InputForm,
    store::{Result, Store},
};

/// What a version's model gets with each document.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DocumentForm {
    pub version: i32,
    pub model: String,
    pub dimensions: i32,
    pub form: Json<InputForm>,
    /// Whether no document was indexed yet.
    pub is_unused: bool,
}

impl Store {
    /// Lists what each version was given.
    pub async fn document_forms(&self) -> Result<Vec<DocumentForm>> {
        let forms = sqlx::query_as!(
            DocumentForm,
            r#"select id as version, model, dimensions, document_form as "form: Json<InputForm>",
                   not exists (select from shopkeeper.document_index where version = index_version.id) as "is_unused!"
               from shopkeeper.index_version where state <> 'dropping'"#
        );
        Ok(forms.fetch_all(&self.pool).await?)
    }

    /// Changes what a version is given.
    pub async fn set_document_form(&self, version: i32, form: &InputForm) -> Result<()> {
        let query = sqlx::query!(
            "update shopkeeper.index_version set document_form = $2 where id = $1",
            version,
            Json(form) as _
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }
}
