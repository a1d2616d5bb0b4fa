"""Input of a run: `worklist` lists its records, `open_page` opens one; `kinds` is the registry of formats."""
