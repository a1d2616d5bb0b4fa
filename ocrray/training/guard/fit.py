"""Fit the guard's models on labelled corrections, and write the folder that `guard: {scorer: FOLDER}` takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ocrray.errors import ConfigError
from ocrray.guard.confusion import Confusions
from ocrray.guard.judge import CONFUSIONS_FILE, DEFAULT_FOLDER, LANGUAGE_FILE, SCORER_FILE
from ocrray.guard.labels import LabelledCorrection, label_spans
from ocrray.guard.language import Language
from ocrray.guard.signals import Knowledge
from ocrray.synth.clean import passages
from ocrray.training.guard.config import CorrectionsConfig, SyntheticConfig
from ocrray.training.guard.corrections import synthetic_corrections
from ocrray.training.guard.data import read_labelled, read_noise, read_pages, read_texts
from ocrray.training.guard.scorer import fit_scorer


@dataclass(frozen=True, slots=True)
class GuardFit:
    """Size of the data that a scorer was fitted on."""

    records: int
    spans: int
    worse_frac: float
    """Fraction (0..1) of the spans that take their text further from the ground truth."""


def fit_guard(config: CorrectionsConfig, out: Path, limit: int | None = None) -> GuardFit:
    """Fit on the corrections that `config` names (with `limit`, at most so many of each kind) and write the models to `out`.

    Raises: ConfigError: when a file cannot be read, or the corrections are too few or too alike to fit on.
    """
    records = list(_corrections(config, limit))
    return fit_models(out, records, _language(config))


def fit_models(out: Path, records: Sequence[LabelledCorrection], language: Language) -> GuardFit:
    """Fit confusions and scorer on `records` and write them with `language` to `out`.

    `language` must not be fitted on the ground truth of `records`: every correct word would be a known one.
    """
    if not records:
        raise ConfigError("nothing to fit: there are no corrections")
    out.mkdir(parents=True, exist_ok=True)
    language.save(out / LANGUAGE_FILE)
    Confusions.fit((record.truth, record.raw) for record in records).save(out / CONFUSIONS_FILE)
    # Saving rounds, so the scorer is fitted with the models that will be loaded at run time.
    knowledge = Knowledge(Language.load(out / LANGUAGE_FILE), Confusions.load(out / CONFUSIONS_FILE))
    spans = label_spans(records, knowledge)
    fit_scorer(spans).save(out / SCORER_FILE)
    return GuardFit(len(records), len(spans.gains), float(np.mean(spans.gains < 0)))


def _language(config: CorrectionsConfig) -> Language:
    if not config.language:
        return Language.load(DEFAULT_FOLDER / LANGUAGE_FILE)
    return Language.fit(text for _, text in read_texts(config.language))


def _corrections(config: CorrectionsConfig, limit: int | None) -> Iterator[LabelledCorrection]:
    if config.synthetic:
        yield from _synthetic(config.synthetic, np.random.default_rng(config.seed), limit)
    if config.labelled:
        yield from read_labelled(config.labelled, limit)


def _synthetic(config: SyntheticConfig, rng: np.random.Generator, limit: int | None) -> Iterator[LabelledCorrection]:
    texts = [passage.text for passage in passages(read_texts(config.texts))]
    pages = list(read_pages(config.pages))[:limit]
    records = config.records if limit is None else min(limit, config.records)
    return synthetic_corrections(texts, pages, read_noise(config.noise), records, rng)
