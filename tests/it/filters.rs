//! A filtered search finds the nearest chunks that match, however few they are.

use crate::prelude::*;
use serde_json::Map;
use shopkeeper::{catalogue::filter::Filter, store::versions::IndexVersion};

const DIMENSIONS: u16 = 8;
const TOP_K: u32 = 5;

/// Random chunks, a hundred thousand in `make chaos`, of which half, a hundredth and ten are marked, and half point away
/// from where searches begin; ten more are of another source.
async fn shop() -> (World, IndexVersion) {
    let chunks = if chaos_rounds() > 1 { 100_000 } else { 20_000 };
    let rare = chunks / 10;
    let world = World::with_dimensions(DIMENSIONS, SHOP, SOURCE).await;
    let fill = format!(
        "select setseed(0.5);
         insert into shopkeeper.document (source, key, title, metadata)
         select case when n <= {chunks} then 'product' else 'faq' end, n, 'Product ' || n, jsonb_build_object(
             'half', n % 2, 'hundredth', n % 100, 'rare', n % {rare}, 'away', n % 2 = 1,
             'price', n / 7.0, 'name', md5(n::text)
         )
         from generate_series(1, {chunks} + 10) as n;
         insert into shopkeeper.chunk (version, source, key, ordinal, input_hash, content, tokens, embedding)
         select 1, case when n <= {chunks} then 'product' else 'faq' end, n, 1, decode(md5(n::text), 'hex'), 'Product ' || n, 3, (
             select array_agg(case when n <= {chunks} and d = 1 then (1 - 2 * (n % 2)) * (0.5 + random()) else random() - 0.5 end)
             from generate_series(1, {DIMENSIONS}) as d where n > 0
         )::real[]::vector::halfvec
         from generate_series(1, {chunks} + 10) as n;
         analyze shopkeeper.document; analyze shopkeeper.chunk"
    );
    world.execute(&fill).await;
    let version = world.store.index_versions().await.unwrap().remove(0);
    world.store.build_hnsw(&version).await.unwrap();
    (world, version)
}

fn filter(name: &str, value: impl Into<Value>) -> Map<String, Value> {
    [(name.to_owned(), value.into())].into_iter().collect()
}

/// The keys of the nearest by looking at every chunk.
async fn exact(world: &World, vector: &[f32], condition: &str) -> Vec<String> {
    let statement = format!(
        "select key from shopkeeper.chunk join shopkeeper.document using (source, key)
         where {condition} order by (embedding <=> '{vector:?}'::vector::halfvec) + 0, source, key limit {TOP_K}"
    );
    world.values(&statement).await
}

/// Where searches begin.
struct Place<'a> {
    world: &'a World,
    version: &'a IndexVersion,
    vector: &'a [f32],
}

impl Place<'_> {
    async fn find(&self, within: SearchFilter<'_>) -> Vec<String> {
        let found = self.world.store.nearest(self.version, self.vector, TOP_K, within).await.unwrap();
        assert!(found.is_sorted_by(|one, other| one.distance <= other.distance));
        found.into_iter().map(|passage| passage.key).collect()
    }

    async fn find_matching(&self, metadata: &Map<String, Value>) -> Vec<String> {
        let filter = Filter::parse(metadata).unwrap();
        self.find(SearchFilter { sources: None, metadata: Some(&filter) }).await
    }
}

async fn is_selective(world: &World, metadata: &Map<String, Value>) -> bool {
    let filter = json!(metadata);
    world.value(&format!("select shopkeeper.walk_limit(1, {TOP_K}, null, '{filter}', null) is null")).await
}

#[tokio::test]
async fn a_filter_finds_as_many_as_there_are_by_the_plan_that_costs_least() {
    let (world, version) = shop().await;
    let mut vector = vec![0.1; usize::from(DIMENSIONS)];
    vector[0] = 1.0;
    let place = Place { world: &world, version: &version, vector: &vector };

    // Many match: the HNSW index is walked, which may miss one. For a hundredth either plan is good.
    assert!(world.store.is_searched_by_index(&version).await.unwrap());
    for (metadata, condition) in [
        (Map::new(), "true"),
        (filter("half", 0), r#"metadata @> '{"half": 0}'"#),
        (filter("hundredth", 4), r#"metadata @> '{"hundredth": 4}'"#),
    ] {
        let (found, exact) = (place.find_matching(&metadata).await, exact(&world, &vector, condition).await);
        let common = found.iter().collect::<BTreeSet<_>>().intersection(&exact.iter().collect()).count();
        assert!(found.len() == 5 && common >= 4, "{condition}: {found:?}, not {exact:?}");
    }
    assert!(!is_selective(&world, &filter("half", 0)).await);

    // Few match: each of them is looked at.
    let rare = filter("rare", 1711);
    assert!(is_selective(&world, &rare).await);
    let nearest = exact(&world, &vector, r#"metadata @> '{"rare": 1711}'"#).await;
    assert_eq!(place.find_matching(&rare).await, nearest);
    let three = json!({ "rare": 1711, "half": 1 }).as_object().unwrap().clone();
    assert_eq!(place.find_matching(&three).await.len(), 5);
    assert_eq!(place.find_matching(&filter("name", "c81e728d9d4c2f636f067f89cc14862c")).await, ["2"]);
    assert!(place.find_matching(&filter("name", "none")).await.is_empty());

    // By conditions: however few match, the nearest are found.
    for (field, operators, condition) in [
        (
            "price",
            json!({ "gte": 100, "lt": 101 }),
            "(metadata ->> 'price')::numeric >= 100 and (metadata ->> 'price')::numeric < 101",
        ),
        ("hundredth", json!({ "in": [4, "7"] }), "metadata ->> 'hundredth' in ('4', '7')"),
        ("half", json!({ "not": 0 }), "metadata ->> 'half' <> '0'"),
        ("missing", json!({ "exists": true }), "false"),
    ] {
        let (found, exact) =
            (place.find_matching(&filter(field, operators)).await, exact(&world, &vector, condition).await);
        let common = found.iter().collect::<BTreeSet<_>>().intersection(&exact.iter().collect()).count();
        assert!(
            found.len() == exact.len() && common + 1 >= exact.len(),
            "{condition}: {found:?}, not {exact:?}"
        );
    }

    // Many match, and all of them are far away.
    let away = filter("away", true);
    assert!(!is_selective(&world, &away).await);
    let nearest = exact(&world, &vector, r#"metadata @> '{"away": true}'"#).await;
    assert_eq!(place.find_matching(&away).await, nearest);

    // A source of few documents, by SQL as well.
    let faq = ["faq".to_owned()];
    let within = SearchFilter { sources: Some(&faq), metadata: None };
    let expected = exact(&world, &vector, "source = 'faq'").await;
    assert_eq!((place.find(within).await, expected.len()), (expected.clone(), 5));
    let by_sql = format!("select array_agg(key) from shopkeeper.search('{vector:?}', {TOP_K}, 'faq')");
    assert_eq!(world.value::<Vec<String>>(&by_sql).await, expected);
    let half = Filter::parse(&filter("half", 1)).unwrap();
    let both = SearchFilter { sources: Some(&faq), metadata: Some(&half) };
    let nearest = exact(&world, &vector, r#"source = 'faq' and metadata @> '{"half": 1}'"#).await;
    assert_eq!(place.find(both).await, nearest);
    let all = format!("select count(*) from shopkeeper.search('{vector:?}', {TOP_K})");
    assert_eq!(world.value::<i64>(&all).await, 5);
}
