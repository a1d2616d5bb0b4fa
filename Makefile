# Two commands for a fresh machine: `make demo` and `make test`. Needs Python 3.11, git, make and, for Tesseract, apt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash

.PHONY: demo test test-slow lint install install-dev system system-dev clean

demo: install
	$(BIN)/ocrray restore configs/restore/demo.yaml

test: install-dev
	$(BIN)/python -m pytest

test-slow: install-dev
	$(BIN)/python -m pytest -m slow

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

install: system $(VENV)/installed
install-dev: system-dev $(VENV)/installed-dev

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# scripts/system-packages installs what is missing through apt, and says in one sentence what to install where there is no apt.
system:
	@scripts/system-packages tesseract-ocr tesseract-ocr-eng

system-dev:
	@scripts/system-packages tesseract-ocr tesseract-ocr-eng tesseract-ocr-hin chromium chromium-driver

clean:
	rm -rf $(VENV) out build *.egg-info .pytest_cache .ruff_cache
