//! The function of the triggers of one table.

use crate::source::postgres::{
    sql::{literal, quote, table},
    triggers::tables::TriggeredTable,
};

/// Sets the search path of the transaction to the installer's schemas, with temporary tables last. `pg_catalog` is not
/// named, so that it comes first.
const PATH: &str = "perform pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', (
    select pg_catalog.string_agg(pg_catalog.quote_ident(schema::pg_catalog.text), ', ' order by position)
    from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality as path (schema, position)
    where not pg_catalog.starts_with(schema::pg_catalog.text, 'pg_temp')
        and schema operator(pg_catalog.<>) 'pg_catalog'::pg_catalog.name
), 'pg_temp'), true);";

/// The text of `noted.key`, a value of a key, by its type's output function, made equal to the listing's `key::text`: the two differ for
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

/// Updated rows that differ. The old and the new rows come in the same order.
const NUMBERED: &str = "select pg_catalog.row_number() over () as \"shopkeeper number\", row_.* from";

/// The text of a key of so many columns, the values of `noted`; and the condition that it has all of them.
fn noted_key(columns: usize) -> (String, String) {
    let names: Vec<_> = (1..=columns).map(|number| format!("noted.key{number}")).collect();
    let condition: Vec<_> = names.iter().map(|name| format!("{name} is not null")).collect();
    let values = names.iter().map(|name| KEY.replace("noted.key", name));
    let key = if columns == 1 {
        values.collect()
    } else {
        let encoded = values
            .map(|value| format!("pg_catalog.replace(pg_catalog.replace({value}, '%', '%25'), '/', '%2F')"));
        encoded.collect::<Vec<_>>().join(" operator(pg_catalog.||) '/' operator(pg_catalog.||) ")
    };
    (key, condition.join(" and "))
}

/// Creates the function of a table's triggers in one statement, so that no other role can ever execute it.
///
/// It notes nothing for other tables than its own, of which a partition or a child fires with its own OID. The table's name
/// counts besides its OID, because a restored dump has other OIDs.
///
/// Whatever fails, such as a column that the shop has renamed, or a lock that it holds, all of the source is noted instead.
pub(super) fn create_function(function: &str, source: &str, triggered: &TriggeredTable) -> String {
    let TriggeredTable { related, hashed, key_columns } = triggered;
    let (key, has_key) = noted_key(*key_columns);
    let names: Vec<_> = (1..=*key_columns).map(|number| format!("key{number}")).collect();
    let names = names.join(", ");
    let (table, source) = (literal(&table(&related.table)), literal(source));
    // Record images, because not every type has an equality.
    let image = |row: &str| {
        let columns = related.columns.iter().map(|column| format!("{row}.{}", quote(column)));
        let columns = if related.columns.is_empty() {
            format!("{row}.*")
        } else {
            columns.collect::<Vec<_>>().join(", ")
        };
        format!("row({columns})")
    };
    let note = |rows: &str, condition: &str| {
        format!(
            "insert into shopkeeper_change.note (source, key)
        select distinct {source}, {key}
        from {rows} as row_ cross join lateral (\n{}\n) as noted ({names}) where {has_key}{condition};",
            related.keys
        )
    };
    let (inserted, deleted) = (note("new_rows", ""), note("old_rows", ""));
    let updated = note(
        &format!("({NUMBERED} old_rows as row_ union all {NUMBERED} new_rows as row_)"),
        " and row_.\"shopkeeper number\" = any (changed)",
    );
    let (old, new) = (image("old_"), image("new_"));
    let unless_equal = hashed.as_ref().map_or_else(String::new, |hashed| {
        let hash = |rows: &str| {
            format!(
                "select pg_catalog.bit_xor(pg_catalog.hash_record_extended(row({}), 0)) from {rows} as row_",
                hashed.join(", ")
            )
        };
        let (old, new) = (hash("old_rows"), hash("new_rows"));
        format!("if ({old})\n            is not distinct from ({new}) then\n            return null;\n        end if;")
    });
    format!(
        "do $shopkeeper_install$ declare
    made_for constant pg_catalog.oid := {table}::pg_catalog.regclass::pg_catalog.oid;
    named constant pg_catalog.text := (
        select pg_catalog.format('%I.%I', nspname, relname) from pg_catalog.pg_class
        join pg_catalog.pg_namespace on pg_namespace.oid operator(pg_catalog.=) relnamespace
        where pg_class.oid operator(pg_catalog.=) made_for
    );
begin
{PATH}
execute pg_catalog.concat($shopkeeper_function$create or replace function {function} returns trigger language plpgsql
security definer set search_path from current set lock_timeout = '10ms'
as $shopkeeper$ declare
    changed pg_catalog.int8[];
begin
    if tg_relid <> $shopkeeper_function$, made_for, $shopkeeper_function$::pg_catalog.oid then
        if not exists (
            with recursive fired (relid) as (
                select tg_relid union select inhparent from pg_catalog.pg_inherits join fired on inhrelid = relid
            )
            select from fired where relid = $shopkeeper_function$, made_for, $shopkeeper_function$::pg_catalog.oid
                or relid = pg_catalog.to_regclass($shopkeeper_function$, pg_catalog.quote_literal(named),
                    $shopkeeper_function$)::pg_catalog.oid
        ) then
            return null;
        end if;
    end if;
    if tg_op = 'INSERT' then
        {inserted}
    elsif tg_op = 'DELETE' then
        {deleted}
    elsif tg_op = 'UPDATE' then
        -- Most updates change nothing that documents are made of, and this costs less than the comparison below.
        {unless_equal}
        changed := array(
            select \"shopkeeper number\" from ({NUMBERED} old_rows as row_) as old_
            full join ({NUMBERED} new_rows as row_) as new_ using (\"shopkeeper number\")
            where pg_catalog.record_image_ne({old}, {new})
        );
        if pg_catalog.cardinality(changed) > 0 then
            {updated}
        end if;
    else
        insert into shopkeeper_change.note (source) values ({source});
    end if;
    return null;
exception when others then
    begin
        insert into shopkeeper_change.note (source) values ({source});
    exception when others then
        null;
    end;
    return null;
end $shopkeeper$$shopkeeper_function$);
revoke all on function {function} from public;
end $shopkeeper_install$;
"
    )
}
