"""Verbs of ocrray, in one table: the command line, `jobs/`, the help texts and the tests are made from it.

A verb NAME is a package `ocrray.verbs.NAME` of two or three modules:

- `plan`: its config class, as `Config`, and `make_plan(config, limit, problems, *, dry_run)`, which checks what can be checked
  without starting a process and returns a `ocrray.verbs.base.Plan`;
- `run`: `run(plan, folder)`, which does the work and returns a `ocrray.verbs.base.Result`, and for verbs that can be resumed
  `show(plan, folder)`, which returns the Result of a run that was finished before;
- `tables`: the tables that it prints, if they are more than a few rows.

`ocrray.verbs.job` runs any verb.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verb:
    """Name on the command line and one-line help; with `resumes`, the same command continues an interrupted run.

    A verb that does not resume starts from the beginning each time and overwrites its earlier output.
    """

    name: str
    summary: str
    resumes: bool = True

    @property
    def package(self) -> str:
        """Return the name of the package with the verb's modules."""
        return f"{__name__}.{self.name.replace('-', '_')}"


VERBS = {
    verb.name: verb
    for verb in (
        Verb("restore", "correct scans or OCR text: write a corpus of raw and corrected text"),
        Verb("synthesize", "make training pairs from clean text: OCR text with errors, and ground truth"),
        Verb("train", "fine-tune a model on pairs of OCR text and ground truth"),
        Verb("evaluate", "measure a finished run, or tables of corrections, against ground truth", resumes=False),
        Verb("fit-guard", "fit a scorer for the guard on corrections with ground truth, real or synthetic"),
    )
}
