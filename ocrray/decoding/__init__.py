"""Writing many texts with a language model, drafted from their own sources: knows neither Ray nor records."""

from ocrray.decoding.requests import Generation, Request, Sampling

__all__ = ["Generation", "Request", "Sampling"]
