//! The statements that create the triggers of one table and their functions.

use crate::source::postgres::{
    RelatedTable,
    sql::{literal, quote, table},
    triggers::function::create_function,
};

/// The text of `noted.key` by its type's output function, made equal to the listing's `key::text`: the two differ for
/// `character`, `boolean`, and domains over them.
const KEY: &str = "case (
        select coalesce(nullif(typbasetype, 0::pg_catalog.oid), oid)::pg_catalog.regtype from pg_catalog.pg_type
        where oid = pg_catalog.pg_typeof(noted.key)::pg_catalog.oid
    )
        when 'pg_catalog.bpchar'::pg_catalog.regtype then pg_catalog.rtrim(pg_catalog.format('%s', noted.key), ' ')
        when 'pg_catalog.bool'::pg_catalog.regtype then
            case pg_catalog.format('%s', noted.key) when 't' then 'true' else 'false' end
        else pg_catalog.format('%s', noted.key)
    end";

/// The events that have a trigger.
pub(super) const EVENTS: [&str; 4] = ["insert", "delete", "update", "truncate"];

/// Creates the triggers of one table, and comments the last one with a hash of their definition.
pub(super) fn create_triggers(source: &str, name: &str, related: &RelatedTable) -> String {
    let (table, source) = (table(&related.table), literal(source));
    // Record images, because not every type has an equality.
    let image = |row: &str| {
        let columns = related.columns.iter().map(|column| format!("{row}.{}", quote(column)));
        if related.columns.is_empty() {
            row.to_owned()
        } else {
            format!("row({})", columns.collect::<Vec<_>>().join(", "))
        }
    };
    let condition = format!("pg_catalog.record_image_ne({}, {})", image("old"), image("new"));
    let note = |rows: &str| {
        format!(
            "insert into shopkeeper_change.note (source, key)\n    select distinct {source}, {KEY}\n    \
             from {rows} as row_ cross join lateral (\n{}\n) as noted (key) where noted.key is not null;",
            related.keys
        )
    };
    let mut sql = String::new();
    for event in EVENTS {
        let (body, firing) = match event {
            "insert" => (note("changed"), "referencing new table as changed for each statement".to_owned()),
            "delete" => (note("changed"), "referencing old table as changed for each statement".to_owned()),
            "update" => {
                (note("(select old.* union all select new.*)"), format!("for each row when ({condition})"))
            }
            _ => {
                let note = format!("insert into shopkeeper_change.note (source) values ({source});");
                (note, "for each statement".to_owned())
            }
        };
        let (function, trigger) = (function(name, event), trigger(name, event));
        sql.push_str(&create_function(&function, &table, &body));
        sql.extend([format!(
            "drop trigger if exists {trigger} on {table};\n\
             create trigger {trigger} after {event} on {table} {firing} execute function {function};\n"
        )]);
    }
    let hash = blake3::hash(sql.as_bytes()).to_hex();
    let trigger = trigger(name, "truncate");
    sql.extend([format!("comment on trigger {trigger} on {table} is 'shopkeeper {}';\n", &hash[..16])]);
    sql
}

/// Drops the triggers of one table and their functions.
pub(super) fn drop_triggers(name: &str, related: &RelatedTable) -> String {
    let drops = EVENTS.map(|event| {
        format!(
            "drop trigger if exists {} on {};\ndrop function if exists {};\n",
            trigger(name, event),
            table(&related.table),
            function(name, event)
        )
    });
    drops.concat()
}

fn trigger(name: &str, event: &str) -> String {
    quote(&format!("shopkeeper_{name}_{event}"))
}

fn function(name: &str, event: &str) -> String {
    format!("shopkeeper_change.{}()", quote(&format!("note_{name}_{event}")))
}
