"""Rows of an image, an instruction and an answer, in the forms in which people have them."""

from ocrray.training.image_rows.layout import COLUMNS, ImageRows

__all__ = ["COLUMNS", "ImageRows"]
