# demo, test, chaos, check and bench set up all they need; what the others need stands above them.

CARGO ?= cargo

.PHONY: demo test chaos check bench bench-smoke fuzz deb sqlx schema

# A private PostgreSQL with pgvector, offline models, a sample shop and a daemon. ARGS=--once ends after the show.
demo:
	$(CARGO) run --locked --features embedded -- demo $(ARGS)

test:
	$(CARGO) test --locked --features embedded --lib --bins --tests

# The tests that kill, race or draw at random, for minutes instead of seconds and one at a time.
chaos: export SHOPKEEPER_CHAOS_ROUNDS ?= 15
chaos:
	$(CARGO) test --locked --features embedded --test it -- --test-threads 1 --nocapture \
	chaos:: hosts:: filters:: coalescing:: refresh::once_quiet refusals::a_model_that_is_away

# What CI runs besides the tests.
check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --features embedded --all-targets -- -D warnings
	$(CARGO) test --locked --features embedded --doc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --features embedded --no-deps --document-private-items
	$(CARGO) check --locked
	@if command -v cargo-deny >/dev/null; then cargo-deny check licenses bans sources; \
	else echo "not checked: licences, because cargo-deny is not installed (cargo install cargo-deny)"; fi
	$(MAKE) bench-smoke

# All benchmarks, in the profile that users get. ARGS=--json for machines. The peers of the queue need a PostgreSQL with
# its contrib extensions, which the downloaded one does not have, and we need pgvector: the newest installed one that has
# it.
PG_BIN ?= $(patsubst /usr/share/postgresql/%/extension/vector.control,/usr/lib/postgresql/%/bin,\
	$(lastword $(sort $(wildcard /usr/share/postgresql/*/extension/vector.control))))
bench:
	$(CARGO) bench --locked --features bench-peers --bench queue -- $(addprefix --pg-bin ,$(PG_BIN)) $(ARGS)
	$(CARGO) bench --locked --features bench-peers --bench sync --bench answers --bench growth --bench console -- $(ARGS)

# Runs each benchmark for seconds, so that none of them breaks unnoticed. Its figures say nothing.
bench-smoke: BENCH = $(CARGO) bench --locked --profile dev --features embedded --bench
bench-smoke:
	$(BENCH) queue -- --rounds 1 --jobs 100
	$(BENCH) sync -- --rounds 1 --products 100 --rows 1000 --dimensions 64
	$(BENCH) answers -- --chunks 1200 --dimensions 64 --questions 20 --sessions 2
	$(BENCH) growth -- --few 100 --many 1000 --turns 10 --text-bytes 2000
	$(BENCH) console -- --documents 1000 --jobs 1000 --answers 1000 --turns 2

# Fuzzes each reader of other people's bytes for FUZZ_SECONDS. Needs cargo-fuzz (cargo install cargo-fuzz). What covers more
# than the inputs before it is packed into fuzz/corpus, which the tests read.
FUZZ_SECONDS ?= 600
FUZZ = RUSTC_BOOTSTRAP=1 SQLX_OFFLINE=true $(CARGO) fuzz run
fuzz:
	for target in csv json xml html; do \
		python3 -m zipfile -e fuzz/corpus/$$target.zip fuzz/corpus && mkdir -p fuzz/merged/$$target && \
		$(FUZZ) $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 && \
		$(FUZZ) $$target fuzz/merged/$$target fuzz/corpus/$$target -- -set_cover_merge=1 && \
		(cd fuzz/merged && python3 -m zipfile -c ../corpus/$$target.zip $$target/) || exit 1; \
	done

# A Debian package with the units, completions and manual pages, whose path is printed. Needs cargo-deb
# (cargo install cargo-deb) and dpkg-dev.
BUILT = $(or $(CARGO_TARGET_DIR),target)/release
deb:
	$(CARGO) build --locked --release
	mkdir -p $(BUILT)/deb
	$(BUILT)/shopkeeper completions bash >$(BUILT)/deb/shopkeeper.bash
	$(BUILT)/shopkeeper completions zsh >$(BUILT)/deb/_shopkeeper
	$(BUILT)/shopkeeper completions fish >$(BUILT)/deb/shopkeeper.fish
	$(BUILT)/shopkeeper man $(BUILT)/deb/man
	$(CARGO) deb --locked --no-build

# Writes .sqlx anew after a statement or a migration changed. Needs DATABASE_URL: a database with the migrations applied.
sqlx:
	rm -rf .sqlx && mkdir .sqlx
	touch src/lib.rs
	SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$(CURDIR)/.sqlx $(CARGO) check --features embedded

# Writes migrations/schema.sql and migrations/schema.number after a migration, a function, a view or a trigger changed.
schema:
	SHOPKEEPER_WRITE_SCHEMA=1 $(CARGO) test --locked --features embedded --lib -- store::schema
	SHOPKEEPER_WRITE_SCHEMA=1 $(CARGO) test --locked --features embedded --test it -- schema::
