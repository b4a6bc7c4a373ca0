# Meshgate. `make` alone lists the targets; each installs or names what it misses.
# Overridable: MESHGATE_ENVOY=/path/to/envoy, CARGO_TARGET_DIR, POLICY (of `make run`, `make check` and `make ab`),
# AB (more arguments of `make ab`, as AB="--env prod"), PORT (of `make run`, 10000), MESHGATE_BRANCH and MESHGATE_BUILD
# (the tag of `make image`), TO and TAGS (of `make push`).

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help wasm cli config envoy run demo test lint bench soak dashboard check ab schema clean compose-test manifests image push test-mesh

target := $(or $(CARGO_TARGET_DIR),target)

# An Envoy ends with the process that started it, so the demo takes the place of the shell.
demo = envoy=$$(scripts/envoy) && export MESHGATE_ENVOY="$$envoy" && exec python3 envoy/demo/demo.py

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

wasm: ## build dist/meshgate.wasm, the filter
	@scripts/wasm

cli: ## build dist/meshgate, the native command line
	@echo "==> building dist/meshgate (cold about two minutes, else seconds)"
	@scripts/cargo build --locked --profile cli --no-default-features --features cli --bin meshgate
	@mkdir -p dist
	@cmp -s "$(target)/cli/meshgate" dist/meshgate || install -m 755 "$(target)/cli/meshgate" dist/meshgate

config: cli ## build dist/envoy.json from envoy/envoy.yaml and envoy/policy.yaml
	@dist/meshgate build envoy/policy.yaml --into envoy/envoy.yaml > dist/envoy.json.new
	@mv dist/envoy.json.new dist/envoy.json
	@echo "==> dist/envoy.json"

manifests: cli ## build the policies of istio/policy into istio/overlays
	@scripts/manifests

image: wasm ## build dist/image, dist/artifact and dist/meshgate-image.tar, which registries and `docker load` take
	@scripts/image

push: image ## push the image: make push TO=registry.example.com/platform/meshgate [TAGS=v0.1.0]
	@test -n "$(TO)" || { echo "error: where to? make push TO=registry.example.com/platform/meshgate" >&2; exit 2; }
	@scripts/push "$(TO)" $(TAGS)

envoy: ## find an Envoy, or install a pinned one under .cache/
	@scripts/envoy

run: wasm cli ## start Envoy with the filter, an auth service and an upstream; Ctrl-C ends it
	@$(demo) run

demo: wasm cli ## the same, send sample requests and compare what comes back
	@$(demo) demo

test: ## every test that needs no cluster; about ten minutes the first time
	@scripts/test

compose-test: ## run envoy/docker-compose.yaml with a Docker engine of its own; as root, two minutes
	@scripts/compose-test

test-mesh: ## the manifests of istio/ in a real Istio; a quarter of an hour the first time
	@scripts/mesh

lint: ## format, clippy, documentation, dependencies, shell scripts
	@scripts/lint

bench: wasm ## benchmark against Envoy's own filters
	@wrk=$$(scripts/tool wrk) && envoy=$$(scripts/envoy) && \
	MESHGATE_WRK="$$wrk" MESHGATE_ENVOY="$$envoy" MESHGATE_WASM="$(CURDIR)/dist/meshgate.wasm" \
	scripts/cargo bench --locked --bench gate --no-default-features --features cli

soak: wasm ## ten million requests, and what memory does meanwhile; a quarter of an hour
	@wrk=$$(scripts/tool wrk) && envoy=$$(scripts/envoy) && \
	MESHGATE_WRK="$$wrk" MESHGATE_ENVOY="$$envoy" MESHGATE_WASM="$(CURDIR)/dist/meshgate.wasm" \
	MESHGATE_BENCH_SOAK=$${MESHGATE_BENCH_SOAK:-10000000} \
	scripts/cargo bench --locked --bench gate --no-default-features --features cli

dashboard: wasm ## draw docs/figures/dashboard.svg anew, from a run of three minutes on a real Prometheus
	@envoy=$$(scripts/envoy) && scripts/tool prometheus >/dev/null && \
	MESHGATE_ENVOY="$$envoy" MESHGATE_WASM="$(CURDIR)/dist/meshgate.wasm" MESHGATE_DASHBOARD="$(CURDIR)/dist/dashboard.json" \
	scripts/cargo test --locked --no-default-features --features cli --test visible -- --exact dashboard::every_panel_shows_something
	@python3 envoy/grafana/draw.py dist/dashboard.json > dist/dashboard.svg
	@mv dist/dashboard.svg docs/figures/dashboard.svg
	@echo "==> docs/figures/dashboard.svg"

check: cli ## check a policy, a file or a folder: make check POLICY=examples/policy
	@test -n "$(POLICY)" || { echo "error: which policy? make check POLICY=examples/policy" >&2; exit 2; }
	@dist/meshgate check "$(POLICY)"

ab: cli ## how the experiments of a policy split callers: make ab POLICY=envoy/policy.yaml
	@test -n "$(POLICY)" || { echo "error: which policy? make ab POLICY=envoy/policy.yaml" >&2; exit 2; }
	@dist/meshgate ab "$(POLICY)" --count $(or $(COUNT),1000000) --svg dist/ab.svg $(AB)
	@echo "==> dist/ab.svg"

schema: cli ## write the schemas of policies for editors to dist/schema/
	@mkdir -p dist/schema
	@for file in policy platform team environment; do \
		dist/meshgate schema --of $$file > dist/schema/$$file.json.new && \
		mv dist/schema/$$file.json.new dist/schema/$$file.json || exit; done
	@echo "==> dist/schema/"

clean: ## remove what was built; what was installed under .cache/ stays
	@scripts/cargo clean
	@rm -rf dist
