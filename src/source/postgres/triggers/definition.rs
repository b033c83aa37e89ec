//! The statements that create the triggers of one table, and of its partitions and the tables that inherit from it.

use crate::source::postgres::{
    sql::{literal, quote, table},
    triggers::{function::create_function, tables::TriggeredTable},
};

/// The events that have a trigger, and what their triggers see of the rows. Triggers with a condition on columns would keep
/// the shop from altering these columns.
pub(super) const EVENTS: [(&str, &str); 4] = [
    ("insert", "referencing new table as new_rows "),
    ("delete", "referencing old table as old_rows "),
    ("update", "referencing old table as old_rows new table as new_rows "),
    ("truncate", ""),
];

/// Creates the function of one table and the triggers that call it, and comments the table's last one with a hash of the
/// definition.
///
/// A statement on a partition or a child fires only its own triggers, so that each of these `descendants` has some.
pub(super) fn create_triggers(
    source: &str,
    name: &str,
    triggered: &TriggeredTable,
    descendants: &[String],
) -> String {
    let function = function(name);
    let mut sql = create_function(&function, source, triggered);
    let table = table(&triggered.related.table);
    sql.push_str(&on_table(name, &table));
    let hash = blake3::hash(sql.as_bytes()).to_hex();
    let last = trigger(name, "truncate");
    sql.extend([format!("comment on trigger {last} on {table} is 'shopkeeper {}';\n", &hash[..16])]);
    sql.extend(descendants.iter().map(|descendant| on_table(name, descendant)));
    sql
}

/// Creates the triggers of one table. They also fire for what replication or a restore writes.
fn on_table(name: &str, table: &str) -> String {
    let create = EVENTS.map(|(event, rows)| {
        let trigger = trigger(name, event);
        format!(
            "drop trigger if exists {trigger} on {table};\n\
             create trigger {trigger} after {event} on {table} {rows}for each statement execute function {};\n\
             alter table {table} enable always trigger {trigger};\n",
            function(name)
        )
    });
    create.concat()
}

/// Drops the function of one table, and the triggers that call it, wherever they are.
pub(super) fn drop_triggers(name: &str) -> String {
    let function = function(name);
    format!(
        "do $shopkeeper_remove$ declare installed pg_catalog.record; begin
    for installed in
        select tgname, tgrelid::pg_catalog.regclass as relation from pg_catalog.pg_trigger
        where tgfoid = pg_catalog.to_regprocedure({}) and not tgisinternal
    loop
        execute pg_catalog.format('drop trigger %I on %s', installed.tgname, installed.relation);
    end loop;
end $shopkeeper_remove$;
drop function if exists {function};\n",
        literal(&function)
    )
}

/// The name of the trigger of an event.
fn trigger(name: &str, event: &str) -> String {
    quote(&format!("shopkeeper_{name}_{event}"))
}

fn function(name: &str) -> String {
    format!("shopkeeper_change.{}()", quote(&format!("note_{name}")))
}
