-- A role that may read our tables, and do nothing else, looks at the index and the queue: these functions read with the
-- rights of whoever calls them.

grant execute on function shopkeeper.find_vectors(integer, text, integer, bytea[]) to public;
grant execute on function shopkeeper.documents_of(jsonb) to public;
grant execute on function shopkeeper.usd_today(text) to public;
grant execute on function shopkeeper.answer_object(shopkeeper.answer) to public;
grant execute on function shopkeeper.filter_condition(text[], jsonb) to public;
grant execute on function shopkeeper.walk_limit(integer, integer, text[], jsonb) to public;
grant execute on function shopkeeper.nearest_within(integer, halfvec, integer, text[], jsonb) to public;
