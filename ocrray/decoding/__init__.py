"""Batched text generation that drafts each output from its own source; imports neither Ray nor records."""

from ocrray.decoding.requests import Generation, ImageRequest, Request, Sampling

__all__ = ["Generation", "ImageRequest", "Request", "Sampling"]
