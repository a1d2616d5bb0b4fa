# Two commands for a fresh machine: `make demo` and `make test`. Needs Python 3.11, git, make and, for Tesseract, apt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash

.PHONY: demo test test-slow lint docs tagger causal reader reader-devanagari reader-json guard reader-fonts install install-dev system system-dev clean

demo: install
	$(BIN)/ocrray restore configs/restore/demo.yaml

# Two processes, each with a Ray cluster of its own.
test: install-dev
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

test-slow: install-dev
	$(BIN)/python -m pytest -m slow

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What scripts/generate_docs.py makes from the code: docs/configuration.md, docs/corpus.md and the JSON Schemas of configs.
docs: install
	$(BIN)/python scripts/generate_docs.py

# An edit tagger and a small causal corrector from nothing: hours on a CPU. The clean texts are not part of the repository; configs/synthesize/ocr_pairs.yaml names them.
tagger causal: install out/ocr_pairs/manifest.json
	$(BIN)/ocrray train configs/train/$@_default.yaml

# The reader of printed lines that ships, from nothing, in an hour of one core; and how well it reads lines held out.
reader: install reader-fonts out/tiny_reader_lines/manifest.json out/tiny_reader_test/manifest.json
	$(BIN)/ocrray train configs/train/tiny_reader.yaml
	$(BIN)/python benchmarks/tiny_reader.py --model out/tiny_reader/model

# The reader that ships trained further, with another script and to write fields as JSON; the cards say how well they read.
reader-devanagari: install out/tiny_reader_devanagari_lines/manifest.json
	$(BIN)/ocrray train configs/train/tiny_reader_devanagari.yaml
reader-json: install reader-fonts out/tiny_reader_entries/manifest.json
	$(BIN)/ocrray train configs/train/tiny_reader_json.yaml

# The guard's default scorer, fitted on the corrections of misread novels and pages by simulated correctors and by those that ship: minutes.
guard: install out/ocr_pairs/manifest.json out/guard_pages/manifest.json
	$(BIN)/ocrray fit-guard configs/fit-guard/guard_default.yaml
	cp out/guard/language.npz out/guard/confusions.json out/guard/scorer.json ocrray/guard/default/

out/%/manifest.json: configs/synthesize/%.yaml
	$(BIN)/ocrray synthesize $<

install: system $(VENV)/installed
install-dev: system-dev $(VENV)/installed-dev

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	# It says that it needs Python 3.12, but runs on 3.11; what it needs is installed already.
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps --ignore-requires-python hipe-ocrepair-scorer
	touch $@

# A few of the typefaces that `ocrray synthesize` knows; ocrray/synth/render.py lists them all.
FONTS := fonts-oldstandard fonts-gfs-didot fonts-ebgaramond fonts-century-catalogue

# scripts/system-packages installs what is missing through apt, and says in one sentence what to install where there is no apt.
system:
	@scripts/system-packages tesseract-ocr tesseract-ocr-eng $(FONTS)

# Further typefaces, to learn from and, the last four, to be measured with.
reader-fonts:
	@scripts/system-packages $(FONTS) fonts-linuxlibertine fonts-junicode fonts-adf-baskervald fonts-goudybookletter fonts-liberation \
		fonts-dejavu-core fonts-dejavu-extra fonts-texgyre fonts-crosextra-caladea fonts-cmu fonts-freefont-ttf

system-dev:
	@scripts/system-packages tesseract-ocr tesseract-ocr-eng tesseract-ocr-hin chromium chromium-driver $(FONTS) fonts-lohit-deva

clean:
	rm -rf $(VENV) out build *.egg-info .pytest_cache .ruff_cache
