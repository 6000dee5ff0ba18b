# Everything a newcomer needs: `make demo` runs the whole path, `make test` proves it.
.PHONY: demo test check bench libtorch build clean

DEVICE ?= auto
CARGO ?= cargo
GRID = target/release/grid

demo: build
	$(GRID) run experiments/quickstart.yaml
	$(GRID) report quickstart --compare merged,sequential

build: libtorch
	$(CARGO) build --release --locked

# libtorch 2.11.0 into .libtorch/ from PyPI; DEVICE=cpu|cuda, by default cuda where there is a driver.
libtorch:
	@sh worker/libtorch/fetch.sh $(DEVICE)

# Builds the binaries too, because the tests run them. The dev profile has overflow checks and rebuilds incrementally.
test: libtorch
	$(CARGO) test --locked --workspace

check: libtorch
	@bash .ci/checks

# Against PyTorch, side by side; GRID_BENCH_PYTHON names a Python that has benches/requirements.txt, else one is made.
# BENCH="--quick --only f32" is passed on. Zero-shot scoring and fine-tuning are compared where GRID_BENCH_MODEL names a
# model in Hugging Face's form and GRID_BENCH_DATA the official folder evaluation_data.
bench: build $(if $(GRID_BENCH_PYTHON),,target/bench/venv/complete)
	$(or $(GRID_BENCH_PYTHON),target/bench/venv/bin/python) benches/run.py $(BENCH)

target/bench/venv/complete: benches/requirements.txt
	python3 -m venv target/bench/venv
	target/bench/venv/bin/python -m pip install --quiet -r benches/requirements.txt
	cp benches/requirements.txt $@

clean:
	$(CARGO) clean
	rm -rf .libtorch .libtorch.partial
