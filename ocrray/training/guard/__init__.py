"""Fitting the guard's scorer: labelled corrections in, the folder that `guard: {scorer: FOLDER}` takes out."""
