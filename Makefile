# `make app` opens the app, `make test` checks everything; both make their environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

# uv installs in a quarter of pip's time. Where it cannot be had, or fails, pip does it.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
install = $(BIN)/uv pip install --quiet --python $(BIN)/python -r $(1) || $(PIP) --no-compile -r $(1)
# What every process imports is compiled once, by all cores, and not by each process that comes first; the rest is when it
# is imported. A file that is no Python for this version (there are some) does not matter until somebody imports it.
IMPORTED = tensorflow keras jax jaxlib numpy scipy pandas matplotlib streamlit onnx openvino google PIL _pytest
COMPILE = ( cd $(VENV)/lib/python*/site-packages && ../../../bin/python -m compileall -qq -j 0 -x '/tests?/' $(IMPORTED) ) || true
unexport PYTHONDONTWRITEBYTECODE

.PHONY: app test lint scripts unit browser space-docker space-gradio space-static clean

app: $(VENV)/app
	$(BIN)/streamlit run app.py

# All at once: while one process checks types, and while the browser's files come, a core would be idle.
test: $(VENV)/dev
	@$(MAKE) --no-print-directory --jobs 3 lint scripts unit

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/pyrefly check

scripts: $(VENV)/dev
	$(BIN)/node --test "tests/**/*.test.js"

unit: $(VENV)/dev browser spaces/static/node_modules
	@# Of two cores a third is idle while tests wait for servers and browsers: that is the third worker's.
	PARALLAX_CHROMIUM="$$(tests/find_browser.sh $(BIN))" $(BIN)/python -m pytest -n 3 --dist loadfile

browser: $(VENV)/dev
	tests/find_browser.sh $(BIN) --install

# Without uv what needs it goes on, and is not made again for want of it.
$(BIN)/uv:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	-$(PIP) uv

$(VENV)/app: requirements.txt requirements-base.txt | $(BIN)/uv
	$(call install,requirements.txt)
	$(COMPILE)
	touch $@

$(VENV)/dev: requirements-dev.txt requirements.txt requirements-base.txt | $(BIN)/uv
	$(call install,requirements-dev.txt)
	$(COMPILE)
	touch $(VENV)/app $@

# The Streamlit app as a folder that can be pushed to a Docker Space as it is.
space-docker: SPACE := build/space-docker
space-docker:
	rm -rf $(SPACE) && mkdir -p $(SPACE)
	cp -R spaces/docker/. app.py ui explain models assets .streamlit requirements.txt requirements-base.txt $(SPACE)
	find $(SPACE) -name __pycache__ -prune -exec rm -r {} +

# The Gradio app, its API and its MCP tools as a folder that can be pushed to a Gradio Space as it is.
space-gradio: SPACE := build/space-gradio
space-gradio:
	rm -rf $(SPACE) && mkdir -p $(SPACE)/assets
	cp -R spaces/gradio/. ui explain models $(SPACE)
	cp -R assets/checkpoints $(SPACE)/assets
	find $(SPACE) -name __pycache__ -prune -exec rm -r {} +

# The whole explanation in the visitor's browser: a folder that a static Space, GitHub Pages or any file server serves.
space-static: $(VENV)/dev spaces/static/node_modules
	$(BIN)/python -m ui.viewer.static build/space-static

spaces/static/node_modules: spaces/static/package-lock.json | $(VENV)/dev
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm ci --prefix spaces/static --ignore-scripts --loglevel error
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
