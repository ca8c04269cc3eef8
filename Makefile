# Each target sets itself up. Programs and packages go to build/, .venv/ and the user's
# caches; nothing else on the machine changes but system packages that are missing.

ENGINE := agent-image/engine
CARGO := cargo --quiet
UV := $(or $(shell command -v uv),build/uv/bin/uv)
RUN := .venv/bin/
# Builds a Go program unless it is there, and prints its path.
BINARY := PYTHONPATH=tests $(RUN)python -m devcluster.binaries
# Makes the chart's README of its template, and of the comments in its values.
HELM_DOCS := $$($(BINARY) helm-docs) --chart-search-root charts --sort-values-order file \
    --log-level warning
# Of Go, for tests.
PROGRAMS := apiserver helm kube mlabparse prometheus promtool verdicts versitygw
# What is measured: by scripts, and of the engine's crates by cargo.
BENCHES := targetlist routes prober confined tracing teams connections aliases rounds planning workers rules million clickhouse survey cluster scale restart annotation exchange report retention listing
ENGINE_BENCHES := answer packets draw warts
# What is fuzzed, and how long each.
PARSERS := $(notdir $(wildcard $(ENGINE)/crates/hostile/corpus/*))
fuzz: SECONDS := 60
# What libFuzzer needs to see where bytes lead; stable Rust knows it. It is for what is built
# for a target that is named, so not for build scripts.
HOST = $(shell rustc --print host-tuple)
COVERAGE := $(addprefix -C,passes=sancov-module $(addprefix llvm-args=-sanitizer-coverage-,level=4 \
    inline-8bit-counters pc-table trace-compares))
# Which cluster of this machine, and how many nodes it has.
NUMBER := 0
NODES := 2
# For which machines wheels are made.
ARCHITECTURES := x86_64 aarch64
# How long a soak lasts, and from which seed its faults are drawn: another one by default.
soak: SECONDS := 3600
SEED :=

# Cargo would look for the jobs of make, and warn that it may not have them.
unexport MAKEFLAGS MFLAGS
# Programs start in half the time where their bytecode is kept.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup lint test test-local test-engine test-cluster test-devcluster survival soak soak-connections \
    statistics fuzz demo demo-k8s crds man release site chart wheels wheels-release \
    images cluster-up cluster-down bench bench-setup $(BENCHES:%=bench-%) $(ENGINE_BENCHES:%=bench-%)

setup: $(filter build/%,$(UV))
	@mkdir -p build
	@sh .ci/prerequisites
	@test -d .venv || echo "setting up .venv: packages, and the engine in Rust, some minutes"
	@sh .ci/dependencies restore quick
	$(UV) sync --quiet --locked --all-extras
	@sh .ci/dependencies keep quick

build/uv/bin/uv:
	@sh .ci/prerequisites
	python3 -m venv build/uv
	build/uv/bin/pip install --quiet --disable-pip-version-check uv

lint: setup
	@sh .ci/prerequisites tests
	@test ! -e operator/__init__.py || \
	    { echo "remove operator/__init__.py: it hides the standard library's operator"; exit 1; }
	$(RUN)ruff check
	$(RUN)ruff format --check --quiet
	$(RUN)mypy
	$(RUN)lint-imports > build/lint-imports.log || { cat build/lint-imports.log; exit 1; }
	$(RUN)python tests/circles.py
	$(RUN)python -m mypy.stubtest --concise --allowlist $(ENGINE)/stubtest.allow anabranch_engine
	$(RUN)anabranch crds --check crds
	$(RUN)anabranch crds --check charts/anabranch/files/crds
	$$($(BINARY) helm) lint --quiet charts/anabranch --set policy.contact=lint@example.org
	@$(HELM_DOCS) --dry-run > build/chart.md
	@diff charts/anabranch/README.md build/chart.md || { echo "run make chart"; exit 1; }
	cd $(ENGINE) && cargo fmt --check
	cd $(ENGINE) && $(CARGO) clippy --locked --all-targets -- --deny warnings
	test -z "$$(gofmt -l tests/devcluster/go tests/gitops/go tests/mlab/go)"

# Both at once, since those in a cluster wait for much of their time; what one says comes at its
# end.
test: setup
	@sh .ci/prerequisites tests
	@sh .ci/prerequisites cluster
	$(BINARY) $(PROGRAMS) pause >/dev/null
	$(MAKE) --jobs 2 --output-sync=target test-local test-cluster

# All but what takes a cluster; six files at a time, since the long ones wait for three quarters
# of their time, in the order of tests/conftest.py.
test-local: test-engine
	$(BINARY) $(PROGRAMS) >/dev/null
	$(RUN)pytest --numprocesses 6 --dist loadfile --no-loadscope-reorder --ignore tests/cluster

test-engine: setup
	@sh .ci/prerequisites tests
	@sh .ci/dependencies restore debug
	cd $(ENGINE) && $(CARGO) test --locked
	@sh .ci/dependencies keep debug

test-cluster: images
	$(BINARY) $(PROGRAMS) pause >/dev/null
	$(RUN)pytest --ignore tests/cluster/devcluster tests/cluster

# The cluster for tests itself, which seldom changes, and 45 s of a soak.
test-devcluster: images
	$(BINARY) $(PROGRAMS) pause >/dev/null
	$(RUN)pytest -m "" tests/cluster/devcluster tests/cluster/test_soak.py

statistics: setup
	@sh .ci/prerequisites tests
	$(RUN)pytest -m statistics --log-cli-level=INFO
	cd $(ENGINE) && $(CARGO) test --locked --profile quick -p anabranch-wire -p anabranch-fakeroute \
	    --test forgery --test steadiness -- --ignored --nocapture

# Looks for bytes that break a parser, and takes a C++ compiler. What it finds is in
# build/fuzz/PARSER; make it short, and add it to the corpus, which make test tries.
fuzz: setup
	@sh .ci/prerequisites tests
	cd $(ENGINE) && RUSTFLAGS="$(COVERAGE)" $(CARGO) build --locked --target-dir target/fuzz \
	    --target $(HOST) --profile fuzz -p anabranch-hostile --features fuzz --bin fuzz
	@for parser in $(PARSERS); do \
	    mkdir -p build/fuzz/$$parser/corpus && \
	    PARSER=$$parser $(ENGINE)/target/fuzz/$(HOST)/fuzz/fuzz build/fuzz/$$parser/corpus \
	        $(ENGINE)/crates/hostile/corpus/$$parser -max_total_time=$(SECONDS) -timeout=20 \
	        -rss_limit_mb=1024 -max_len=65536 -artifact_prefix=build/fuzz/$$parser/ \
	        >build/fuzz/$$parser/log 2>&1 && echo "$$parser: nothing" || \
	        { tail -20 build/fuzz/$$parser/log; exit 1; }; \
	done

# Each takes a minute or two, or more; the first one is among the tests.
survival: images
	$(BINARY) $(PROGRAMS) pause >/dev/null
	$(RUN)pytest -m "" tests/cluster/test_survival.py tests/cluster/test_drain.py \
	    tests/cluster/test_farewell.py tests/cluster/test_privileges.py tests/cluster/test_release.py \
	    tests/cluster/test_operations.py tests/apiserver/test_troubles.py \
	    tests/apiserver/test_sharing.py

# A cluster of its own at work, with a fault every few seconds.
soak: images
	$(BINARY) $(PROGRAMS) pause >/dev/null
	PYTHONPATH=tests $(RUN)python -m soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

# Ten thousand real connections of three thousand clients within a minute, by each source.
soak-connections: setup
	@sh .ci/prerequisites tests
	$(RUN)pytest -m statistics tests/simulated/test_bursts.py

demo: setup
	@rm -rf build/demo
	$(RUN)anabranch validate examples/survey.yaml
	$(RUN)anabranch simulate --vantage-points 2 -- \
	    $(RUN)anabranch run examples/survey.yaml --data build/demo
	$(RUN)anabranch score examples/survey.yaml --data build/demo --vantage-points 2 \
	    --expected examples/survey.expected.json
	$(RUN)anabranch plot demo --data build/demo --output build/demo/demo.svg
	$(RUN)anabranch plot demo --data build/demo --target largest --output build/demo/paths.svg
	$(RUN)anabranch results demo --data build/demo --table links --output build/demo/links.csv
	$(RUN)anabranch report demo --data build/demo --output build/demo/report.html
	$(RUN)anabranch simulate --vantage-points 2 -- \
	    $(RUN)anabranch run examples/trace.yaml --data build/demo
	$(RUN)anabranch report traces --data build/demo --output build/demo/routers.html

# The same survey by the operator, in a cluster that stays: make cluster-down ends it.
demo-k8s: demo cluster-up
	$(BINARY) helm >/dev/null
	PYTHONPATH=tests $(RUN)python -m devcluster.demo --number $(NUMBER)

# Each by its name, such as make bench-prober; the figures are in docs/benchmarks.md.
bench: $(BENCHES:%=bench-%) $(ENGINE_BENCHES:%=bench-%)

$(BENCHES:%=bench-%): bench-%: bench-setup
	$(RUN)python tests/bench/$*.py

$(ENGINE_BENCHES:%=bench-%): bench-%: bench-setup
	cd $(ENGINE) && $(CARGO) bench --locked --bench $*

bench-cluster: images

bench-setup: setup
	@sh .ci/prerequisites tests
	$(UV) sync --quiet --locked --all-extras --group bench

EXPORT := $(UV) export --quiet --locked --no-dev
EXTRAS_operator := --extra engine --extra operator --extra warehouse
EXTRAS_agent := --extra agent
SBOM := --preview-features sbom-export --format cyclonedx1.5

# The wheels, the same for the same sources, the packages that they need by hash, and the
# bill of materials of each image.
wheels: export SOURCE_DATE_EPOCH := 315532800
wheels: setup
	@rm -rf build/image
	@echo "building wheels; the engine's takes minutes, where its sources are new"
	$(UV) build --quiet --wheel --out-dir build/image .
	$(UV) build --quiet --wheel --out-dir build/image --config-setting build-args="--profile release" \
	    $(ENGINE)/crates/python
	$(EXPORT) $(EXTRAS_operator) --no-emit-project --no-emit-package anabranch-engine \
	    --output-file build/image/requirements.txt
	$(EXPORT) $(EXTRAS_agent) --no-emit-project --no-emit-package anabranch-engine \
	    --output-file build/image/requirements-agent.txt
	$(EXPORT) $(EXTRAS_operator) $(SBOM) --output-file build/image/operator.cdx.json
	$(EXPORT) $(EXTRAS_agent) $(SBOM) --output-file build/image/agent.cdx.json

# Wheels that pip installs without Rust, for Linux on x86-64 and arm64, by Python 3.11 or later. Zig
# links them for glibc 2.28; rustup target add aarch64-unknown-linux-gnu brings the other target.
wheels-release: setup
	@rm -rf dist
	$(UV) sync --quiet --locked --all-extras --group wheels
	$(UV) build --quiet --wheel --out-dir dist .
	cd $(ENGINE)/crates/python && for architecture in $(ARCHITECTURES); do \
	    PATH=$(CURDIR)/.venv/bin:$$PATH maturin build --quiet --profile release --locked --zig \
	        --target $$architecture-unknown-linux-gnu --compatibility manylinux_2_28 \
	        --out $(CURDIR)/dist || exit 1; \
	done

images: wheels
	@sh .ci/prerequisites cluster
	cd tests && ../$(RUN)python -m devcluster --number $(NUMBER) images

cluster-up: images
	cd tests && ../$(RUN)python -m devcluster --number $(NUMBER) start --nodes $(NODES)

cluster-down: setup
	cd tests && ../$(RUN)python -m devcluster --number $(NUMBER) stop

# Manual pages and completions, which follow from the commands' parsers.
man: setup
	PYTHONPATH=tests $(RUN)python -m manual share

# Writes a version where it stands, and keeps what later tests compare with.
release: setup
	$(BINARY) helm >/dev/null
	PYTHONPATH=tests $(RUN)python -m release $(VERSION)
	$(UV) lock --quiet
	$(MAKE) chart man

# The documentation as pages, without a dead link; build/site/index.html is the first one.
# The demo's figures are on it.
site: setup
	@test -e build/demo/routers.html || $(MAKE) demo
	@rm -rf build/site-source
	$(UV) sync --quiet --locked --all-extras --group site
	PYTHONPATH=tests $(RUN)python -m pages build/demo build/site-source
	$(RUN)zensical build --clean --strict --config-file mkdocs.yml

crds: setup
	$(RUN)anabranch crds --output crds
	$(RUN)anabranch crds --output charts/anabranch/files/crds

chart: crds
	$(HELM_DOCS)
