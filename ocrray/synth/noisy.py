"""Pairs by a noise model: an excerpt of clean text, and the same with errors."""

import numpy as np

from ocrray.synth.clean import excerpt, vary
from ocrray.synth.config import NoiseConfig
from ocrray.synth.noise import NoiseModel


def make_noisy(passage: str, config: NoiseConfig, model: NoiseModel, rng: np.random.Generator) -> tuple[str, str, bool]:
    """Return (text with errors, clean text, errors were requested) for an excerpt of `passage`; deterministic in `rng`."""
    text = excerpt(passage, config.chars, rng)
    if config.vary:
        text = vary(text, rng)
    if rng.random() < config.clean_frac:
        return text, text, False
    cer = min(float(rng.lognormal(np.log(config.median_cer), config.cer_spread)), config.max_cer)
    return model.corrupt(text, cer, rng), text, True
