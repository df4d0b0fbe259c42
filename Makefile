# Every entry point of the project. `make help` lists them. Variables given on the command line reach the programs as environment.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

started := $(shell date +%s%3N)
system_path := $(PATH)
# The pinned Node 26 and the project's tools come first, whatever Node the system has.
export PATH := $(CURDIR)/node_modules/.bin:$(system_path):/usr/sbin:/sbin

# Each program in test/bench is a bench of its own.
benches := $(patsubst test/bench/%.ts,bench-%,$(wildcard test/bench/*.ts))

.PHONY: help setup verify generate test deb demo lab lab-down bench $(benches) sim sim-mutants sim-long conformance soak

help: ## list all targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@for name in $(benches); do printf '  make %-12s (part of bench)\n' "$$name"; done

setup: ## install what is missing: npm packages; as root also Debian packages, without starting any service
	@PATH='$(system_path)' test/setup/install.sh

verify: setup ## format, lint, unused code, types, fresh generated code, a start of the program
	@node test/setup/verify.ts

generate: setup ## generate src/gen from proto
	cd proto && buf lint && buf generate

test: setup ## verify, then all tests; without root all that need no namespaces, and the others by name
	@node test/setup/run-tests.ts

deb: setup ## build dist/ollama-ha_VERSION_ARCH.deb: one executable with agent and agentctl
	@node deploy/build/main.ts

demo: setup ## the whole story in a lab, as root: [PRESET=standard] [KEEP=1] [REPORT=FILE]
	@DEMO_STARTED_MS=$(started) node test/lab/demo.ts

lab: setup ## the same lab without the story, left running: [NODES=3] [PRESET=standard] [OLLAMA_BIN=FILE]
	@node test/lab/up.ts

lab-down: setup ## end every lab on this machine
	@node test/lab/down.ts

bench: $(benches) ## every bench, one after the other: [PRESET=] [RUNS=] [REPORT=FILE]

$(benches): bench-%: setup
	@node test/bench/$*.ts

soak: setup ## 64 users stream slow tokens from a lab for five minutes, as root: nothing may move: [SECONDS=300]
	@SECONDS='$(SECONDS)' node test/lab/soak.ts

conformance: setup ## hold the fake Ollama to the recordings of a real one; with OLLAMA=URL [MODEL=NAME] a real server, changing nothing
	@OLLAMA='$(OLLAMA)' MODEL='$(MODEL)' node test/contract/ollama/conformance-main.ts

sim: setup ## simulate clusters over many seeds: [SEEDS=2000] [SEED=1] [PRESET=] [REPORT=FILE]
	@node test/sim/main.ts

sim-mutants: setup ## prove that the simulator's checkers find planted faults
	@node test/sim/mutants-main.ts

sim-long: setup ## simulate for long: [SEEDS=200000] [CORE_EVERY=32]
	@SEEDS=$(or $(SEEDS),200000) CORE_EVERY=$(or $(CORE_EVERY),32) node test/sim/main.ts
