//! Functions that run with their owner's rights, seen by roles that want more rights than they have.

use crate::prelude::*;
use shopkeeper::store::schema::CLIENT_GRANTS;

/// A role with its own connection to a database.
struct Caller {
    role: String,
    connection: PgConnection,
}

impl Caller {
    /// Makes a role, a member of these roles, and connects as it.
    async fn new(admin: &str, member_of: &str) -> Self {
        let role = format!("caller_of_{}", database_name(admin));
        execute(admin, &format!("create role {role} login password 'x' {member_of}")).await;
        Self { connection: PgConnection::connect(&as_role(admin, &role)).await.unwrap(), role }
    }

    async fn try_to(&mut self, statements: &str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut self.connection).await.map(drop)
    }

    async fn does(&mut self, statements: &str) {
        let done = self.try_to(statements).await;
        assert!(done.is_ok(), "{statements}: {}", done.unwrap_err());
    }

    /// The message of a refusal for want of a right.
    async fn is_refused(&mut self, statements: &str) -> String {
        let error = self.try_to(statements).await.expect_err(statements);
        let error = error.into_database_error().unwrap();
        assert_eq!(error.code().as_deref(), Some("42501"), "{statements}: {error}");
        error.message().to_owned()
    }

    async fn has_no_more_rights(&mut self) {
        let has_more = "select rolsuper or rolcreaterole from pg_roles where rolname = session_user";
        let has_more = sqlx::query_scalar::<_, bool>(has_more).fetch_one(&mut self.connection).await.unwrap();
        assert!(!has_more, "{} became a superuser", self.role);
    }
}

/// A type whose cast to text makes a role a superuser, if the cast runs with sufficient rights.
fn evil_type(schema: &str, role: &str) -> String {
    format!(
        "create type {schema}.evil as (id integer);
         create function {schema}.seize({schema}.evil) returns text language plpgsql as
             $$ begin execute 'alter role {role} superuser'; return 'seized'; end $$;
         create cast ({schema}.evil as text) with function {schema}.seize({schema}.evil);"
    )
}

/// One column of a database, as text.
async fn column(url: &str, statement: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut connection).await.unwrap()
}

/// Applies the printed grants to our database; returns a role that has them.
async fn client_of(world: &World) -> Caller {
    world.execute(CLIENT_GRANTS).await;
    Caller::new(&world.url(), "in role shopkeeper_client").await
}

/// What a client may execute.
const GRANTED: [&str; 7] =
    ["ask", "cancel_answer", "feedback", "forget_customer", "forget_session", "refresh", "search"];

/// What everybody may execute: it reads with the caller's own rights.
const READING: [&str; 6] =
    ["answer_object", "filter_condition", "find_vectors", "nearest_within", "usd_today", "walk_limit"];

/// Functions with their owner's rights.
const DEFINERS: &str = "from pg_proc join pg_namespace on pg_namespace.oid = pronamespace
     where prosecdef and nspname in ('shopkeeper', 'shopkeeper_change')";

#[tokio::test]
async fn every_function_with_its_owners_rights_is_known_and_closed_to_all_but_the_granted() {
    let world = World::new().await;
    world.install().await;
    world.execute(CLIENT_GRANTS).await;
    let names = format!("select proname::text {DEFINERS} order by 1");
    let mut ours = GRANTED.to_vec();
    ours.extend(["check_asked_names", "settled"]);
    ours.sort_unstable();
    assert_eq!(column(&world.url(), &names).await, ours);
    assert_eq!(column(&world.shop, &names).await, ["note_product_0"]);
    for url in [&world.url(), &world.shop] {
        let not_pinned = format!(
            "select proname::text {DEFINERS} and not exists (
                 select from unnest(proconfig) as setting where setting ~ '^search_path=(.*, )?pg_temp$'
             )"
        );
        assert!(column(url, &not_pinned).await.is_empty(), "search_path must end in pg_temp");
        // What is called for any type, a cast or an operator, may be the caller's.
        let for_any_type = format!(
            "select proname::text {DEFINERS} and exists (
                 select from pg_type where pg_type.oid = any (proargtypes) and typtype = 'p'
             )"
        );
        assert!(column(url, &for_any_type).await.is_empty());
        let open = "select proname::text from pg_proc as p
             cross join aclexplode(coalesce(proacl, acldefault('f', proowner))) as acl
             where pronamespace in (
                 select oid from pg_namespace where nspname in ('shopkeeper', 'shopkeeper_change')
             ) and acl.grantee = 0 order by 1";
        let expected = if url == &world.shop { &[] } else { &READING[..] };
        assert_eq!(column(url, open).await, expected);
        let granted = "select distinct proname::text from pg_proc
             join pg_namespace on pg_namespace.oid = pronamespace
             where nspname in ('shopkeeper', 'shopkeeper_change')
                 and has_function_privilege('shopkeeper_client', pg_proc.oid, 'execute') order by 1";
        let mut expected = [&GRANTED[..], &READING[..]].concat();
        expected.sort_unstable();
        expected.retain(|_| url != &world.shop);
        assert_eq!(column(url, granted).await, expected);
        let schemas = "select nspname::text from pg_namespace where nspname like 'shopkeeper%'
             and (has_schema_privilege('shopkeeper_client', oid, 'usage')
                 or has_schema_privilege('shopkeeper_client', oid, 'create'))";
        let expected: &[&str] = if url == &world.shop { &[] } else { &["shopkeeper"] };
        assert_eq!(column(url, schemas).await, expected);
    }
}

#[tokio::test]
async fn a_client_calls_no_internal_function_reads_no_table_and_creates_nothing() {
    let world = World::synced().await;
    let mut client = client_of(&world).await;
    let calls = "select case when prorettype = 'trigger'::regtype
             then format('create temporary table bait (id int); create trigger bait after insert on bait
                 for each row execute function %s', p.oid::regprocedure)
             else format('select shopkeeper.%I(%s)', proname, (
                 select string_agg('null::' || format_type(type, null), ', ' order by n)
                 from unnest(proargtypes) with ordinality as argument (type, n)
             )) end
         from pg_proc as p where pronamespace = 'shopkeeper'::regnamespace
             and not has_function_privilege('shopkeeper_client', p.oid, 'execute')";
    let calls = column(&world.url(), calls).await;
    assert!(calls.len() > 20, "{calls:?}");
    for call in calls {
        assert!(client.is_refused(&call).await.contains("permission denied for function"), "{call}");
        client.does("drop table if exists pg_temp.bait").await;
    }
    let tables = "select oid::regclass::text from pg_class where relnamespace = 'shopkeeper'::regnamespace
         and relkind in ('r', 'p', 'v', 'm', 'S') and relname not in ('answers', 'chunks')";
    let tables = column(&world.url(), tables).await;
    assert!(tables.len() > 20, "{tables:?}");
    for table in tables {
        client.is_refused(&format!("select * from {table}")).await;
    }
    for statement in [
        "create table shopkeeper.mine (id int)",
        "create view shopkeeper.mine as select 1",
        "create function shopkeeper.mine() returns int return 1",
        "create type shopkeeper.mine as (id int)",
        "create trigger mine after insert on shopkeeper.answer for each row
             execute function suppress_redundant_updates_trigger()",
        "insert into shopkeeper.answers (id) values (gen_random_uuid())",
        "delete from shopkeeper.answers",
        "alter function shopkeeper.ask set search_path = pg_temp",
        "alter function shopkeeper.search(public.vector, integer, text) security invoker",
        "create schema shopkeeper_change",
    ] {
        client.is_refused(statement).await;
    }
    client.has_no_more_rights().await;
}

#[tokio::test]
async fn what_a_client_puts_before_our_names_is_not_run_with_our_rights() {
    let world = World::synced().await;
    let mut client = client_of(&world).await;
    // Each raises an error when it runs as another role.
    let caught = "language plpgsql as $$ begin
             if current_user <> session_user then raise 'it ran as %', current_user; end if; return null; end $$";
    let mut shadows = format!("create function pg_temp.caught() returns boolean {caught};");
    let tables = "select relname::text from pg_class where relnamespace = 'shopkeeper'::regnamespace
         and relkind in ('r', 'p', 'v') and not relispartition";
    for table in column(&world.url(), tables).await {
        let view = "as select pg_temp.caught() as id, pg_temp.caught() as name;";
        shadows += &format!("create temporary view {table} {view}");
    }
    let functions = "select distinct on (proname, pg_get_function_identity_arguments(oid)) format(
             'create function pg_temp.%I(%s) returns %s', proname, (
                 select string_agg(format_type(type, null), ', ' order by n)
                 from unnest(proargtypes) with ordinality as argument (type, n)
             ), 'boolean')
         from pg_proc where pronamespace = 'shopkeeper'::regnamespace and prorettype <> 'trigger'::regtype
             or oid in ('to_jsonb(anyelement)'::regprocedure)";
    for function in column(&world.url(), functions).await {
        // Of the types that a client can name.
        if !function.contains("anyelement") && !function.contains("shopkeeper.") {
            shadows += &format!("{function} {caught};");
        }
    }
    for (name, left, right) in
        [("=", "text", "text"), ("<>", "text", "text"), ("->>", "jsonb", "text"), ("=", "uuid", "uuid")]
    {
        shadows += &format!(
            "create function pg_temp.caught({left}, {right}) returns boolean {caught};
             create operator pg_temp.{name} (function = pg_temp.caught, leftarg = {left}, rightarg = {right});"
        )
        .replace("caught", &format!("caught_{}", shadows.len()));
    }
    client.does(&shadows).await;
    let calls = "set search_path = pg_temp, pg_catalog, public;
         select shopkeeper.ask('Is it waterproof?', session_id => 's', customer_id => 'c', idempotency_key => 'k',
             sources => array['product'], metadata => '{\"a\": 1}', history => '[]', on_busy => 'supersede');
         select shopkeeper.refresh('product', '1');
         select * from shopkeeper.search((select embedding from shopkeeper.chunks limit 1), 2, 'product');
         select shopkeeper.feedback(id, 'up') from shopkeeper.answers;
         select shopkeeper.cancel_answer(id) from shopkeeper.answers;
         select shopkeeper.forget_session('s'); select shopkeeper.forget_customer('c')";
    client.does(calls).await;
    client.has_no_more_rights().await;
}

#[tokio::test]
async fn a_function_of_a_trigger_is_run_by_nobody_for_a_table_of_his_own() {
    let world = World::new().await;
    world.install().await;
    let mut caller = Caller::new(&world.shop, "").await;
    caller.does("create temporary table first (id int)").await;
    caller.does(&evil_type("pg_temp", &caller.role.clone())).await;
    caller.does("create temporary table bait (id pg_temp.evil)").await;
    let attach =
        "create trigger bait after insert on bait referencing new table as new_rows for each statement
         execute function shopkeeper_change.note_product_0()";
    assert!(caller.is_refused(attach).await.contains("schema shopkeeper_change"));
    // If too much is granted, the next check still refuses.
    let role = caller.role.clone();
    world.in_shop(&format!("grant usage on schema shopkeeper_change to {role}")).await;
    let refusal = caller.is_refused(attach).await;
    assert_eq!(refusal, "permission denied for function shopkeeper_change.note_product_0");
    let grant = "grant execute on function shopkeeper_change.note_product_0()";
    world.in_shop(&format!("{grant} to {role}")).await;
    caller.does(attach).await;
    caller.does("insert into bait values (row(1))").await;
    assert_eq!(world.notes().await, 0, "another table's rows are not looked at");
    caller.has_no_more_rights().await;
    world.in_shop("update product set description = 'Noted.'").await;
    let notes = "select key from shopkeeper_change.note order by key";
    assert_eq!(column(&world.shop, notes).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_cast_of_the_tables_owner_is_not_run_as_the_installer() {
    let world = World::new().await;
    world.install().await;
    let mut owner = Caller::new(&world.shop, "").await;
    let role = owner.role.clone();
    world.in_shop(&format!("alter table product owner to {role}")).await;
    world.in_shop(&format!("create schema mine authorization {role}")).await;
    owner.does(&evil_type("mine", &role)).await;
    let change = "alter table product drop constraint product_pkey;
         alter table product alter id type mine.evil using row(id)::mine.evil;
         insert into product values (row(7), 'Lamp', 'Shines.', 9, 1);
         delete from product where (id).id = 2;";
    owner.does(change).await;
    owner.has_no_more_rights().await;
    let notes = "select key from shopkeeper_change.note order by id";
    assert_eq!(column(&world.shop, notes).await, ["(7)", "(2)"]);
}

#[tokio::test]
async fn triggers_are_not_installed_into_what_somebody_else_made() {
    let world = World::new().await;
    let mut squatter = Caller::new(&world.shop, "").await;
    let role = squatter.role.clone();
    world.in_shop(&format!("grant create on database {} to {role}", database_name(&world.shop))).await;
    squatter.does("create schema shopkeeper_change; create table shopkeeper_change.note (id bigint)").await;
    let source = world.source();
    let printed = source.trigger_sql().await.unwrap();
    let is_refused = async || {
        let message = format!("the schema shopkeeper_change belongs to the role {role}, not to postgres");
        assert_contains(source.install_triggers().await.unwrap_err().to_string(), &message);
        let refused = shopkeeper::demo::execute(&world.shop, &printed).await.unwrap_err();
        assert_contains(format!("{refused:#}"), &message);
    };
    is_refused().await;
    // Also where only the table is another's.
    world.in_shop("alter schema shopkeeper_change owner to postgres").await;
    is_refused().await;
    let triggers = "select tgname::text from pg_trigger where not tgisinternal";
    assert!(column(&world.shop, triggers).await.is_empty(), "nothing is installed by halves");
    world.in_shop("drop schema shopkeeper_change cascade").await;
    source.install_triggers().await.unwrap();
    squatter.is_refused("select * from shopkeeper_change.note").await;
}

#[tokio::test]
async fn a_daemons_role_reads_notes_with_the_grants_that_the_manual_names() {
    let shop = shop_database(SHOP).await;
    let reader = Caller::new(&shop, "").await;
    let world = World::on(as_role(&shop, &reader.role), SOURCE).await;
    execute(&shop, &format!("grant select on product to {}", reader.role)).await;
    execute(&shop, &world.source().trigger_sql().await.unwrap()).await;
    world.sync().await;
    execute(&shop, "update product set description = 'Read.' where id = 1").await;
    let manual = include_str!("../../docs/catalogues.md");
    for grant in ["grant usage on schema shopkeeper_change", "grant select, delete on shopkeeper_change.note"]
    {
        assert!(manual.contains(grant));
        execute(&shop, &format!("{grant} to {}", reader.role)).await;
    }
    world.hear().await;
    assert!(world.index().await.concat().contains("Read."));
    assert_eq!(world.notes().await, 0);
}
