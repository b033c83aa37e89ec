//! `migrations/schema.sql`: what reviewers read is what the migrations make.

use sqlx::{Connection, PgConnection};

use crate::support::database;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/schema.sql");

const HEADER: &str = "\
-- What the migrations make, as PostgreSQL's catalogue describes it. It is for reviewers; nothing executes it. The text of
-- functions and views is in their own files. `make schema` writes this file.
";

#[tokio::test]
async fn the_schema_file_describes_a_migrated_database() {
    let url = database("template_ours").await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("set search_path = pg_catalog").execute(&mut connection).await.unwrap();
    let objects = sqlx::query_scalar(include_str!("schema.sql")).fetch_all(&mut connection);
    let objects: Vec<String> = objects.await.unwrap();
    let described = format!("{HEADER}{}\n", objects.join("\n"));
    if std::env::var_os("SHOPKEEPER_WRITE_SCHEMA").is_some() {
        return std::fs::write(PATH, described).unwrap();
    }
    let written = std::fs::read_to_string(PATH).unwrap();
    let differs = described.lines().zip(written.lines()).find(|(is, was)| is != was);
    assert!(described == written, "migrations/schema.sql is out of date, run `make schema`: {differs:?}");
}
