# `make demo` and `make test` each make their own environment; all they need is Python 3.11 and make,
# and for MediaPipe in the tests the system's libEGL, libGLESv2, libGL and libgthread.
PYTHON ?= python3

.PHONY: demo test lint clean

demo: .venv/demo/.installed
	.venv/demo/bin/keras-shufflenet demo --output demo

test:
	$(MAKE) --jobs 2 lint .venv/mediapipe/.installed .venv/litertjs/.installed
	.venv/test/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 15

lint: .venv/test/.installed
	.venv/test/bin/ruff check .
	.venv/test/bin/ruff format --check .
	.venv/test/bin/mypy

.venv/%/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv/$*
	.venv/$*/bin/python -m pip install --quiet --upgrade pip
	.venv/$*/bin/python -m pip install --quiet --editable ".[$(EXTRA_$*)]"
	touch $@

# MediaPipe and tensorflow-model-optimization want different versions of absl-py.
.venv/mediapipe/.installed:
	$(PYTHON) -m venv .venv/mediapipe
	.venv/mediapipe/bin/python -m pip install --quiet "mediapipe>=1.0"
	touch $@

# For the test in a browser, which is skipped without it.
LITERTJS = 2.5.3
.venv/litertjs/.installed:
	mkdir -p .venv/litertjs
	for name in core wasm-utils; do \
		folder=.venv/litertjs/node_modules/@litertjs/$$name; mkdir -p $$folder; \
		curl -sSf https://registry.npmjs.org/@litertjs/$$name/-/$$name-$(LITERTJS).tgz \
			| tar xz -C $$folder --strip-components 1 || rm -r $$folder; \
	done
	touch $@

EXTRA_demo = export
EXTRA_test = dev

clean:
	rm -rf .venv demo build *.egg-info
