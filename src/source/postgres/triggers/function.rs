//! The function of a trigger.

use crate::source::postgres::sql::literal;

/// Sets the search path of the transaction to the installer's schemas, with temporary tables last. `pg_catalog` is not
/// named, so that it comes first.
const PATH: &str = "perform pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', (
    select pg_catalog.string_agg(pg_catalog.quote_ident(schema::pg_catalog.text), ', ' order by position)
    from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality as path (schema, position)
    where not pg_catalog.starts_with(schema::pg_catalog.text, 'pg_temp')
        and schema operator(pg_catalog.<>) 'pg_catalog'::pg_catalog.name
), 'pg_temp'), true);";

/// Creates a trigger's function in one statement, so that no other role can ever execute it.
///
/// A row trigger of a partitioned table fires with the partition's OID, so the ancestors count. The table's name counts
/// besides its OID, because a restored dump has other OIDs. For any other table the function only warns: an error would
/// fail the shop's writes after a restore and a rename.
pub(super) fn create_function(function: &str, table: &str, body: &str) -> String {
    let table = literal(table);
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
security definer set search_path from current
as $shopkeeper$ begin
    if tg_relid <> $shopkeeper_function$, made_for, $shopkeeper_function$::pg_catalog.oid then
        if not exists (
            select from (
                select tg_relid union all select relid from pg_catalog.pg_partition_ancestors(tg_relid)
            ) as fired (relid)
            where relid = $shopkeeper_function$, made_for, $shopkeeper_function$::pg_catalog.oid
                or relid = pg_catalog.to_regclass($shopkeeper_function$, pg_catalog.quote_literal(named),
                    $shopkeeper_function$)::pg_catalog.oid
        ) then
            raise warning 'shopkeeper notes nothing: this function was made for another table; install the triggers again';
            return null;
        end if;
    end if;
    {body}
    return null;
end $shopkeeper$$shopkeeper_function$);
revoke all on function {function} from public;
end $shopkeeper_install$;
"
    )
}
