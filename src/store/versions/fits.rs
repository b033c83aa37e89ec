//! Fitted models of when a human is needed.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::types::Json;

use crate::{
    answering::handover::Fit,
    store::{Result, Store},
};

impl Store {
    /// Reads the newest fit of each index version.
    pub async fn handover_fits(&self) -> Result<BTreeMap<i32, Fit>> {
        let fits = sqlx::query!(
            r#"select distinct on (version) version, fit as "fit: Json<Fit>" from shopkeeper.handover_fit
               order by version, id desc"#
        );
        Ok(fits.fetch_all(&self.pool).await?.into_iter().map(|row| (row.version, row.fit.0)).collect())
    }

    /// Adds a fit to a version: from now on it decides. `figures` says how well it does.
    pub async fn add_handover_fit(&self, version: i32, fit: &Fit, figures: &Value) -> Result<()> {
        let insert = sqlx::query!(
            "insert into shopkeeper.handover_fit (version, fit, figures) values ($1, $2, $3)",
            version,
            Json(fit) as _,
            figures
        );
        insert.execute(&self.pool).await?;
        Ok(())
    }

    /// Removes the newest fit of a version, so that the one before decides again; false if there is none.
    pub async fn remove_handover_fit(&self, version: i32) -> Result<bool> {
        let delete = sqlx::query!(
            "delete from shopkeeper.handover_fit
             where id = (select max(id) from shopkeeper.handover_fit where version = $1)",
            version
        );
        Ok(delete.execute(&self.pool).await?.rows_affected() > 0)
    }
}
