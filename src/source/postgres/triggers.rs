//! Triggers in the shop's database that note which documents may have changed.
//!
//! They append to `shopkeeper_change.note` and do nothing else: no queue, no unique key, no network, so that a
//! shop's transaction never waits for us and never fails because of us. An update notes a document only
//! when a column changed that decides its text: a change of price alone costs no more than the comparison.
//!
//! The functions run with the rights of the role that installed them, because a shop's own roles cannot write
//! notes. Whoever else could run one would run what it calls with those rights, so each of them
//! - is in a schema where only its owner may create anything, and no other role may execute it;
//! - does nothing for any table but the one that it was made for;
//! - resolves names in the installer's schemas, temporary tables last: those belong to the session that writes;
//! - casts no value of the table: the table's owner may have defined the cast. A type's output function is safe,
//!   since only a superuser can define one.

use sqlx::AssertSqlSafe;

use crate::{
    catalogue::CatalogueResult,
    source::postgres::{PostgresSource, Relation, literal, quote, table},
};

/// A table whose changes concern documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelatedTable {
    /// `table`, or `schema.table`.
    pub table: String,
    /// The columns that matter; none is all of them.
    pub columns: Vec<String>,
    /// A query for the keys that a changed row, `row_`, concerns.
    pub keys: String,
}

/// Whether a table has its triggers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TriggerStatus {
    /// The source's name.
    pub source: String,
    /// The table in the shop's database.
    pub table: String,
    /// Whether it has them.
    pub state: TriggerState,
    /// Notes that were not read yet.
    pub waiting: i64,
}

/// The states of a table's triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TriggerState {
    /// As the settings say.
    Installed,
    /// The settings have changed since.
    Outdated,
    /// There are none.
    Missing,
}

/// Makes the schema and the table of notes. Refuses those that another role made first: their owner could change
/// what the functions write to, or read it.
const TABLE: &str = "do $shopkeeper_install$ declare
    owner text := (
        select pg_catalog.pg_get_userbyid(nspowner)::pg_catalog.text from pg_catalog.pg_namespace
        where nspname operator(pg_catalog.=) 'shopkeeper_change'::pg_catalog.name
    );
begin
    if owner is null then
        create schema shopkeeper_change;
        owner := current_user;
    end if;
    if owner operator(pg_catalog.=) current_user::pg_catalog.text then
        create table if not exists shopkeeper_change.note (
            id     bigint generated always as identity primary key,
            source text not null,
            key    text,
            at     timestamptz not null default now()
        );
        owner := (
            select pg_catalog.pg_get_userbyid(relowner)::pg_catalog.text from pg_catalog.pg_class
            where oid operator(pg_catalog.=) 'shopkeeper_change.note'::pg_catalog.regclass::pg_catalog.oid
        );
    end if;
    if owner operator(pg_catalog.<>) current_user::pg_catalog.text then
        raise insufficient_privilege using
            message = pg_catalog.format('the schema shopkeeper_change belongs to the role %I, not to %I', owner, current_user),
            hint = 'Install the triggers as its owner, or drop the schema if nothing of yours is in it.';
    end if;
end $shopkeeper_install$;
revoke all on schema shopkeeper_change from public;
create index if not exists note_source on shopkeeper_change.note (source, id);
comment on table shopkeeper_change.note is 'Documents that may have changed; a null key is all of a source.';
";

/// Sets, until the transaction ends, the installer's own schemas with temporary tables last, and the server's own
/// names first: where a schema is not named, it comes first.
const PATH: &str = "perform pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', (
    select pg_catalog.string_agg(pg_catalog.quote_ident(schema::pg_catalog.text), ', ' order by position)
    from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality as path (schema, position)
    where not pg_catalog.starts_with(schema::pg_catalog.text, 'pg_temp')
        and schema operator(pg_catalog.<>) 'pg_catalog'::pg_catalog.name
), 'pg_temp'), true);";

/// The text of `noted.key` as the listing's `key::text` has it, by the type's output function: the two differ where the
/// type is `character` or `boolean`, or a domain over one.
const KEY: &str = "case (
        select coalesce(nullif(typbasetype, 0::pg_catalog.oid), oid)::pg_catalog.regtype from pg_catalog.pg_type
        where oid = pg_catalog.pg_typeof(noted.key)::pg_catalog.oid
    )
        when 'pg_catalog.bpchar'::pg_catalog.regtype then pg_catalog.rtrim(pg_catalog.format('%s', noted.key), ' ')
        when 'pg_catalog.bool'::pg_catalog.regtype then
            case pg_catalog.format('%s', noted.key) when 't' then 'true' else 'false' end
        else pg_catalog.format('%s', noted.key)
    end";

impl PostgresSource {
    /// The tables that get triggers.
    async fn watched(&self) -> CatalogueResult<Vec<RelatedTable>> {
        let mut watched = self.settings.related.clone();
        if let Relation::Table { name, condition } = &self.settings.relation {
            let settings = &self.settings;
            let mut columns = self.templates.columns();
            columns.extend([&settings.rendering.key].into_iter().chain(&settings.rendering.sku).cloned());
            if !settings.live_metadata {
                columns.extend(settings.rendering.metadata.iter().cloned());
            }
            if let Some(condition) = condition {
                columns.extend(self.columns_of(name, condition).await?);
            }
            let keys = format!("select row_.{}", quote(&settings.rendering.key));
            watched.insert(
                0,
                RelatedTable { table: name.clone(), columns: columns.into_iter().collect(), keys },
            );
        }
        if watched.is_empty() {
            let reason = "it reads a query: name the tables that it reads in [[source.related]], each with the keys that a \
                          changed row concerns";
            return Err(self.misfit(reason.to_owned()));
        }
        Ok(watched)
    }

    /// The columns that a condition reads: the server says, of a view that is not kept.
    async fn columns_of(&self, name: &str, condition: &str) -> CatalogueResult<Vec<String>> {
        let mut lent = self.lent().await?;
        let mut transaction = lent.begin_with("begin").await.map_err(self.fail())?;
        let view = format!(
            "create temporary view shopkeeper_condition as select 1 as one from {} where ({condition}\n)",
            table(name)
        );
        sqlx::query(AssertSqlSafe(view)).execute(&mut *transaction).await.map_err(self.fail())?;
        let columns = "select distinct attname::text from pg_depend
             join pg_rewrite on pg_rewrite.oid = pg_depend.objid
             join pg_attribute on attrelid = refobjid and attnum = refobjsubid
             where ev_class = 'pg_temp.shopkeeper_condition'::regclass and refobjid = to_regclass($1) and attnum > 0";
        let columns = sqlx::query_scalar(columns).bind(table(name)).fetch_all(&mut *transaction).await;
        transaction.rollback().await.map_err(self.fail())?;
        columns.map_err(self.fail())
    }

    /// What installs the triggers of this source.
    pub async fn trigger_sql(&self) -> CatalogueResult<String> {
        self.in_time(self.installing()).await
    }

    async fn installing(&self) -> CatalogueResult<String> {
        let mut sql = TABLE.to_owned();
        for (number, watched) in self.watched().await?.iter().enumerate() {
            sql.push_str(&self.triggers(number, watched));
        }
        Ok(sql)
    }

    fn name(&self, number: usize) -> String {
        format!("{}_{number}", self.settings.name)
    }

    fn triggers(&self, number: usize, watched: &RelatedTable) -> String {
        let (name, table, source) = (self.name(number), table(&watched.table), literal(&self.settings.name));
        let function = |event: &str| function(&format!("note_{name}_{event}"));
        let trigger = |event: &str| quote(&format!("shopkeeper_{name}_{event}"));
        // By their images, since not every type has an equality.
        let of = |row: &str| {
            let columns = watched.columns.iter().map(|column| format!("{row}.{}", quote(column)));
            if watched.columns.is_empty() {
                row.to_owned()
            } else {
                format!("row({})", columns.collect::<Vec<_>>().join(", "))
            }
        };
        let condition = format!("pg_catalog.record_image_ne({}, {})", of("old"), of("new"));
        let note = |rows: &str| {
            format!(
                "insert into shopkeeper_change.note (source, key)\n    select distinct {source}, {KEY}\n    \
                 from {rows} as row_ cross join lateral (\n{}\n) as noted (key) where noted.key is not null;",
                watched.keys
            )
        };
        let mut sql = String::new();
        let bodies = [
            ("insert", note("changed")),
            ("delete", note("changed")),
            ("update", note("(select old.* union all select new.*)")),
            ("truncate", format!("insert into shopkeeper_change.note (source) values ({source});")),
        ];
        for (event, body) in bodies {
            let (function, trigger) = (function(event), trigger(event));
            sql.push_str(&installed(&function, &table, &body));
            sql.extend([format!("drop trigger if exists {trigger} on {table};\n")]);
            sql.push_str(&drop_former(&format!("note_{name}_{event}")));
            let how = match event {
                "insert" => "referencing new table as changed for each statement".to_owned(),
                "delete" => "referencing old table as changed for each statement".to_owned(),
                "update" => format!("for each row when ({condition})"),
                _ => "for each statement".to_owned(),
            };
            sql.extend([format!(
                "create trigger {trigger} after {event} on {table} {how} execute function {function};\n"
            )]);
        }
        let hash = blake3::hash(sql.as_bytes()).to_hex();
        sql.extend([format!(
            "comment on trigger {} on {table} is 'shopkeeper {}';\n",
            trigger("truncate"),
            &hash[..16]
        )]);
        sql
    }

    /// Installs the triggers, all or none.
    pub async fn install_triggers(&self) -> CatalogueResult<()> {
        let install = async {
            self.statements().await?;
            self.run(&self.installing().await?).await
        };
        self.in_time(install).await
    }

    /// Removes the triggers and what they noted.
    pub async fn remove_triggers(&self) -> CatalogueResult<()> {
        let remove = async { self.run(&self.removing().await?).await };
        self.in_time(remove).await
    }

    async fn removing(&self) -> CatalogueResult<String> {
        let mut sql = String::new();
        for (number, watched) in self.watched().await?.iter().enumerate() {
            let name = self.name(number);
            for event in ["insert", "delete", "update", "truncate"] {
                let trigger = quote(&format!("shopkeeper_{name}_{event}"));
                let note = format!("note_{name}_{event}");
                sql.extend([format!(
                    "drop trigger if exists {trigger} on {};\ndrop function if exists {};\n",
                    table(&watched.table),
                    function(&note)
                )]);
                sql.push_str(&drop_former(&note));
            }
        }
        let source = literal(&self.settings.name);
        sql.extend([format!(
            "do $$ begin if to_regclass('shopkeeper_change.note') is not null then
                 delete from shopkeeper_change.note where source = {source};
             end if; end $$;\n"
        )]);
        Ok(sql)
    }

    async fn run(&self, sql: &str) -> CatalogueResult<()> {
        let mut lent = self.lent().await?;
        let mut transaction = lent.begin_with("begin").await.map_err(self.fail())?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.map_err(self.fail())?;
        transaction.commit().await.map_err(self.fail())
    }

    /// Whether each table has its triggers.
    pub async fn trigger_status(&self) -> CatalogueResult<Vec<TriggerStatus>> {
        self.in_time(self.looked_up()).await
    }

    async fn looked_up(&self) -> CatalogueResult<Vec<TriggerStatus>> {
        let has_notes: bool = sqlx::query_scalar("select to_regclass('shopkeeper_change.note') is not null")
            .fetch_one(&self.pool)
            .await
            .map_err(self.fail())?;
        let waiting: i64 = if has_notes {
            let count = "select count(*) from shopkeeper_change.note where source = $1";
            sqlx::query_scalar(count)
                .bind(&self.settings.name)
                .fetch_one(&self.pool)
                .await
                .map_err(self.fail())?
        } else {
            0
        };
        let mut status = Vec::new();
        for (number, watched) in self.watched().await?.iter().enumerate() {
            let comment: Option<Option<String>> = sqlx::query_scalar(
                "select obj_description(oid, 'pg_trigger') from pg_trigger
                 where tgrelid = to_regclass($1) and tgname = $2 and tgenabled <> 'D'",
            )
            .bind(table(&watched.table))
            .bind(format!("shopkeeper_{}_truncate", self.name(number)))
            .fetch_optional(&self.pool)
            .await
            .map_err(self.fail())?;
            let state = match comment {
                None => TriggerState::Missing,
                Some(Some(comment)) if self.triggers(number, watched).contains(&comment) => {
                    TriggerState::Installed
                }
                Some(_) => TriggerState::Outdated,
            };
            let (source, table) = (self.settings.name.clone(), watched.table.clone());
            status.push(TriggerStatus { source, table, state, waiting });
        }
        Ok(status)
    }
}

fn function(name: &str) -> String {
    format!("shopkeeper_change.{}()", quote(name))
}

/// Drops a function of the versions that left it executable by every role; there it stood in another schema, on which
/// the installer may have no rights.
fn drop_former(name: &str) -> String {
    format!(
        "do $shopkeeper_install$ begin
    if exists (
        select from pg_catalog.pg_proc join pg_catalog.pg_namespace on pg_namespace.oid = pronamespace
        where nspname = 'shopkeeper' and proname = {}
    ) then
        drop function shopkeeper.{}();
    end if;
end $shopkeeper_install$;\n",
        literal(name),
        quote(name)
    )
}

/// Creates a trigger's function in one statement, so that at no moment another role may execute it.
///
/// A row trigger fires for each partition with the partition's OID, so its ancestors count. The table's name counts as
/// well as its OID, because a database that was restored from a dump has other OIDs. For any other table the function does
/// nothing; it raises no error, which would make the shop's writes fail after a restore and a rename.
fn installed(function: &str, table: &str, body: &str) -> String {
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
