"""`engine: http_batch`: a language model asked by OpenAI-style batch files, which providers answer later and at half the price.

A first run writes the requests; the user sends them and puts the results into the folder; the same command again reads them.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from ocrray import prompts
from ocrray.engines.base import CorrectionResult, CorrectorConfig, EngineInfo
from ocrray.engines.http import PromptedConfig, correction_of
from ocrray.engines.server.batch_files import BatchFiles, merge, request_line
from ocrray.errors import ConfigError
from ocrray.records import AWAITING_ANSWER
from ocrray.storage import Location, LocationPath


class HttpBatchConfig(PromptedConfig, CorrectorConfig):
    """Ask a language model by batch files: write the requests, then read the results."""

    rows_per_block: ClassVar[int] = 2_000
    without_effect: ClassVar[frozenset[str]] = frozenset({"folder"})

    engine: Literal["http_batch"]
    folder: LocationPath
    """Folder of the batch files, local or in an object store, beside the corpus: `requests/batch-*.jsonl` are to be sent, and the
    files that the provider returns (results and errors, `.jsonl`) belong into `results/`."""

    def check(self, section: str) -> EngineInfo:
        if problems := self.prompt_problems(section):
            raise ConfigError("\n".join(problems))
        return EngineInfo(engine="http_batch", model=self.model, prompt_version=prompts.resolve(self.prompt).prompt_version)

    def open(self) -> "HttpBatchCorrector":
        return HttpBatchCorrector(self)

    def finish(self) -> str:
        new, waiting = merge(Location.at(self.folder))
        if not waiting:
            return ""
        place = f"{new:,} of them new in {self.folder}/requests" if new else f"all of {self.folder}/requests"
        return f"{waiting:,} wait for answers, {place}; put the results into {self.folder}/results, and run again"


class HttpBatchCorrector:
    """Reads answers from the results, and writes requests for the texts that have none."""

    def __init__(self, config: HttpBatchConfig) -> None:
        self.info = config.check("correct")
        self._config = config
        self._prompt = prompts.resolve(config.prompt)
        self._files = BatchFiles(Location.at(config.folder))

    def fits(self, text: str) -> bool:
        """Return whether the text has at most `max_chars` characters and fits the width of the prompt."""
        return self._config.fits(self._prompt, text)

    def correct(self, texts: Sequence[str]) -> list[CorrectionResult]:
        """Reasons: `awaiting_answer`, those of `Client.answer`, and `too_long` also where a text does not fit."""
        results, missing = [], {}
        for text in texts:
            if not self.fits(text):
                results.append(CorrectionResult(None, "too_long"))
                continue
            request = self._config.request(self._prompt, text)
            key, line = request_line(self._config.endpoint, self._config.body(request.content, request.max_tokens))
            answer = self._files.answer(key)
            if answer is None and self._files.must_be_sent(key):
                missing[key] = line
            results.append(
                CorrectionResult(None, AWAITING_ANSWER) if answer is None else correction_of(text, answer, self._prompt)
            )
        self._files.add(missing)
        return results

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
