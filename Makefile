# Start here: `make demo` builds everything and runs a small experiment; `make test` runs the tests.
.PHONY: demo test check bench libtorch build clean

DEVICE ?= auto
CARGO ?= cargo
GRID = target/release/grid

demo: build
	$(GRID) run experiments/quickstart.yaml
	$(GRID) report quickstart --compare merged,sequential

build: libtorch
	$(CARGO) build --release --locked

# Installs libtorch 2.11.0 from PyPI into .libtorch/. DEVICE=cpu|cuda; the default is cuda if there is an NVIDIA driver.
libtorch:
	@sh worker/libtorch/fetch.sh $(DEVICE)

# Builds the binaries as well, because the tests run them. The dev profile has overflow checks and incremental builds.
test: libtorch
	$(CARGO) test --locked --workspace

check: libtorch
	@bash .ci/checks

# Benchmarks against PyTorch. GRID_BENCH_PYTHON names a Python that has the packages of benches/requirements.txt; without
# it, a virtual environment is created. BENCH="--quick --only f32" passes options to benches/run.py. Zero-shot scoring and
# fine-tuning are compared only if GRID_BENCH_MODEL names a model folder in Hugging Face format, and GRID_BENCH_DATA the
# official folder evaluation_data; scoring of masked tokens only if GRID_BENCH_MASKED_MODEL names a model that predicts them.
bench: build $(if $(GRID_BENCH_PYTHON),,target/bench/venv/complete)
	$(or $(GRID_BENCH_PYTHON),target/bench/venv/bin/python) benches/run.py $(BENCH)

target/bench/venv/complete: benches/requirements.txt
	python3 -m venv target/bench/venv
	target/bench/venv/bin/python -m pip install --quiet -r benches/requirements.txt
	cp benches/requirements.txt $@

clean:
	$(CARGO) clean
	rm -rf .libtorch .libtorch.partial
