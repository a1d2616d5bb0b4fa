"""Engines that turn images or text into text; errors of the libraries behind them become errors of ocrray here."""
