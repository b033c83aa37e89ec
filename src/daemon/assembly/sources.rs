//! The sources of the settings.

use std::sync::Arc;

use crate::{
    catalogue::Catalogue,
    config::{Config, SourceKind},
    source::{feed::FeedSource, mysql::MySqlSource, postgres::PostgresSource},
};

/// All sources, in the order of the settings, and those in PostgreSQL.
#[derive(Default)]
pub(super) struct Sources {
    pub catalogues: Vec<Arc<dyn Catalogue>>,
    pub postgres: Vec<(String, Arc<PostgresSource>)>,
}

pub(super) fn sources(config: &Config, salt: &str) -> anyhow::Result<Sources> {
    let mut sources = Sources::default();
    for source in &config.sources {
        match &source.kind {
            SourceKind::Postgres(connection) => {
                let mut settings = connection.settings.clone();
                // A shop in our own database is read directly, too: a pooler does not keep a cursor's session settings.
                if let Some(direct_url) = &config.database.direct_url
                    && settings.url.expose() == config.database.url.expose()
                {
                    settings.url = direct_url.clone();
                }
                let postgres = Arc::new(PostgresSource::new(settings, salt)?);
                sources.catalogues.push(postgres.clone());
                sources.postgres.push((source.name.clone(), postgres));
            }
            SourceKind::MySql(connection) => {
                sources.catalogues.push(Arc::new(MySqlSource::new(connection.settings.clone(), salt)?));
            }
            SourceKind::Api(api) => {
                sources.catalogues.push(Arc::new(FeedSource::new(api.settings(), salt)?));
            }
            SourceKind::Feed(feed) => sources.catalogues.push(Arc::new(FeedSource::new(feed.clone(), salt)?)),
        }
    }
    Ok(sources)
}
