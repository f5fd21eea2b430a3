# Common tasks. `make` without arguments lists them.
#
# Without Docker:  make run
# With Docker:     make up
# Settings:        .env (see .env.example), or the environment, which takes precedence.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run install up down logs status clean test crash contract slt fuzz soak bench figures replay check deps build images

# The host's own target by name: only then do RUSTFLAGS reach the program and not build scripts,
# and images and tests share one build. On Linux that build is static: one file that runs in
# an image which holds nothing else.
ifndef CARGO_BUILD_TARGET
CARGO_BUILD_TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
endif
ifneq ($(CARGO_BUILD_TARGET),)
export CARGO_BUILD_TARGET
endif
ifneq ($(findstring linux-gnu,$(CARGO_BUILD_TARGET)),)
export RUSTFLAGS := -C target-feature=+crt-static
endif
built = $(or $(CARGO_TARGET_DIR),target)/$(CARGO_BUILD_TARGET)

help: ## List the targets
	@echo "Praetorian DB-Forge: databases over HTTP, on your own machine."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build and run the gateway on this machine; needs Rust and a C compiler
	@. compose/env.sh && exec cargo run --locked --profile quick -- serve

install: ## Install the program `dbforge` into ~/.cargo/bin (ROOT=dir: dir/bin); shares the build of `make run`
	@. compose/env.sh && exec cargo install --locked --path . --profile quick $(if $(ROOT),--root '$(ROOT)')

up: deps images ## Start Traefik and the gateway with Docker, at http://db.localhost
	@compose/stack.sh up

down: ## Stop the stack of `make up`; keeps the data
	@compose/stack.sh down

logs: ## Follow the stack's logs
	@compose/stack.sh logs

status: ## Show the stack, its workers, and its readiness
	@compose/stack.sh status

clean: ## Remove containers, networks AND ALL DATA, after asking (FORCE=1: without asking); keeps images and builds
	@FORCE='$(FORCE)' compose/stack.sh clean

# Everything is linked before the images are built, so that they hold the very program under test.
test: deps check ## Run all tests, including those on real Docker, Compose and Traefik
	@docker/setup.sh strace
	@docker/setup.sh schemathesis
	@docker/setup.sh generators
	@docker/setup.sh postgrest
	cargo test --locked --no-run
	docker/images.sh debug $(built)/debug/dbforge
	@rm -f $(built)/snapshots-used
	INSTA_UPDATE=no INSTA_SNAPSHOT_REFERENCES_FILE=$(abspath $(built))/snapshots-used cargo test --locked --no-fail-fast
	@unused=$$(comm -23 <(find $(CURDIR)/snapshots -name '*.snap' | sort) <(sort -u $(built)/snapshots-used)); \
	  if [[ -n $$unused ]]; then echo "unused snapshots:"; echo "$$unused"; exit 1; fi

crash: ## Kill the gateway at N points of each system call: make crash N=100
	@docker/setup.sh strace
	DBFORGE_CRASHES=$(or $(N),50) cargo test --locked --test forge crash

contract: ## Test the API and generated clients against its description: make contract N=50
	@docker/setup.sh schemathesis
	@docker/setup.sh generators
	DBFORGE_CONTRACT_EXAMPLES=$(or $(N),50) cargo test --locked --test forge -- api_contract generated_clients

slt: ## Run sqllogictest files through the HTTP API: make slt FILES='a.slt b.test'
	@test -n '$(FILES)' || { echo "set FILES: make slt FILES='a.slt b.test'; examples are in tests/fixtures/slt"; exit 2; }
	DBFORGE_SLT_FILES='$(FILES)' cargo test --locked --test forge sql_logic::every_record -- --nocapture

fuzz: ## Fuzz each input parser for some seconds: make fuzz SECONDS=600 [SEED=1]
	DBFORGE_FUZZ_SECONDS=$(or $(SECONDS),60) DBFORGE_FUZZ_SEED=$(or $(SEED),0) \
	  cargo test --locked --test forge fuzz:: -- --nocapture

soak: ## Send large databases in and out, with memory watched: make soak MB=1000
	DBFORGE_SOAK_MB=$(or $(MB),1000) cargo test --locked --test forge -- soak:: --nocapture --test-threads=1

# Only a whole run is worth keeping.
bench: ## Run the benchmarks and update docs/performance.md: make bench [ONLY=sql|data|log|history|memory] [SIZE=small]
	OUT='$(or $(OUT),$(if $(ONLY)$(SIZE),,$(CURDIR)/docs/performance.md))' cargo bench --locked --bench forge
	@echo "make figures puts the figures of docs/performance.md into README.md and docs/OPERATIONS.md"

figures: ## Put the figures of docs/performance.md into README.md and docs/OPERATIONS.md
	DBFORGE_FIGURES=write cargo test --locked --test forge figures_in_the_documents

replay: ## Rebuild the state from an exported history: make replay LOG=events.jsonl [AT=100] [ASSERT=state.txt]
	@test -n '$(LOG)' || { echo "set LOG: make replay LOG=events.jsonl; create one with dbforge log export"; exit 2; }
	@cargo run --locked --quiet --release -- replay '$(LOG)' $(if $(AT),--at '$(AT)') $(if $(ASSERT),--assert '$(ASSERT)')

check: ## Check formatting, lints and dependencies
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check; \
	  else echo "cargo-deny is not installed: tests/dependencies.rs checks licences and duplicates, advisories are not checked"; fi

deps: ## Install and start Docker, Compose, the Traefik image and PostgreSQL if missing
	@docker/setup.sh all

build: ## Build the release program
	cargo build --locked --release

ifneq ($(CARGO_BUILD_TARGET),)
images: build ## Build the images db-gateway, db-worker-base and db-worker-postgres
	@docker/images.sh release $(built)/release/dbforge
else
images:
	@docker/images.sh source
endif
