"""Planning `synthesize`: its config, its clean text cut into passages, and the work lists made of them."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from ocrray.config import StrictModel
from ocrray.corpus.pairs import SCHEMA_VERSION
from ocrray.engines.base import EngineInfo
from ocrray.errors import ConfigError, Problems
from ocrray.folder import Folder
from ocrray.sources.input import InputConfig
from ocrray.sources.worklist import count_records, list_records
from ocrray.synth.clean import Passage, passages
from ocrray.synth.config import FitConfig, NoiseConfig, PagesConfig
from ocrray.synth.noise import NoiseModel
from ocrray.synth.pages import typefaces
from ocrray.verbs import output
from ocrray.verbs.base import Plan
from ocrray.verbs.console import Rows
from ocrray.verbs.output import OutputConfig

WORK_SCHEMA = pa.schema([("record_id", pa.string()), ("text", pa.string()), ("source", pa.string())])
PHASES = ("pages", "noise")
_ID_PREFIXES = {"pages": "page", "noise": "noise"}
_PART_ROWS = 8192
_MAX_TEXT_CHARS = 1 << 26  # a row may hold a whole book


class CleanTextConfig(StrictModel):
    """Clean text to make pairs of: files, folders, globs and `@list` files of plain text (UTF-8) and tables, gzipped or not."""

    paths: list[str] = Field(min_length=1)
    """Files, folders, globs and `@list` files (one path a line), local or `s3://`, `gs://`."""
    text_column: str | None = None
    """Column of tables that holds the text; null: `text` or `ocr`, where a table has one of the two."""


class PairsOutputConfig(OutputConfig):
    """Location of the pairs, and metadata for their card."""

    title: str = "Synthetic OCR pairs"
    """Title of the card."""


class SynthesizeConfig(StrictModel):
    """One complete run of `ocrray synthesize`."""

    input: CleanTextConfig
    """Clean text to make pairs of."""
    pages: PagesConfig | None = None
    """Pairs by setting, degrading and recognizing pages; null makes none."""
    noise: NoiseConfig | None = None
    """Pairs by a noise model; null makes none."""
    output: PairsOutputConfig
    """Where the pairs go."""
    seed: int = Field(1, ge=0)
    """Seed of every random choice: the same input, config and versions give the same pairs with any number of workers."""
    workers: int | None = Field(None, ge=1)
    """Largest number of processes, one CPU each; null: one a core on this machine, as many as there is room for on a cluster."""

    @model_validator(mode="after")
    def _something_to_make(self) -> Self:
        if not self.pages and not self.noise:
            raise ValueError("set pages, noise or both: there is nothing to make")
        if self.noise and not (self.pages or self.noise.fit or self.noise.model):
            raise ValueError("noise: it needs pages, noise.fit (your own pairs) or noise.model to know what is misread as what")
        return self


class CleanText:
    """The passages of an input, to be read once; what was met on the way is known afterwards."""

    def __init__(self, config: CleanTextConfig, min_chars: int) -> None:
        self.config, self.min_chars = config, min_chars
        self.files = 0
        self.unusable: Counter[str] = Counter()
        self._digest = hashlib.sha256()

    def __iter__(self) -> Iterator[Passage]:
        """Raises ConfigError with a line for each path that matches nothing, and for columns that a table lacks."""
        return passages(self._texts(), self.min_chars)

    @property
    def digest(self) -> str:
        """Changes when any of the input files does."""
        return self._digest.hexdigest()

    def _texts(self) -> Iterator[tuple[str, str]]:
        last_uri = ""
        for table in list_records(_input(self.config.paths, self.config.text_column), images=False):
            columns = ("record_id", "uri", "size", "etag", "text", "kind", "error_kind")
            for record_id, uri, size, etag, text, kind, error_kind in zip(
                *(table[name].to_pylist() for name in columns), strict=True
            ):
                if uri != last_uri:
                    self.files += 1
                    self._digest.update(f"{uri}\0{size}\0{etag}\n".encode())
                    last_uri = uri
                if text is None:
                    self.unusable[error_kind or kind] += 1
                else:
                    yield record_id, text


Config = SynthesizeConfig


@dataclass(frozen=True, kw_only=True)
class SynthesizePlan(Plan):
    """The passages, and the engine and typefaces that make pairs of them."""

    config: SynthesizeConfig
    text: CleanText
    passages: int
    counts: dict[str, int]
    """Number of pairs to make in each phase: `pages`, then `noise`."""
    recognizer: EngineInfo | None
    fonts: list[str]

    def resolved(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json")

    def noise_origin(self) -> str:
        """Return where the noise model comes from, in words for users; empty without one."""
        config = self.config.noise
        if not config:
            return ""
        if config.fit:
            return f"fitted on pairs of {', '.join(config.fit.paths)}"
        return f"loaded from {config.model}" if config.model else "fitted on the pages above"

    def rows(self) -> Rows:
        rows = [("input: files", f"{self.text.files:,}"), ("input: passages", f"{self.passages:,}")]
        rows += [(f"input: unusable, {reason}", f"{records:,}") for reason, records in self.text.unusable.most_common()]
        rows += [(phase, f"{count:,}") for phase, count in self.counts.items()]
        if info := self.recognizer:
            rows += [("recognizer", f"{info.engine} {info.model} {info.revision}"), ("fonts", ", ".join(self.fonts))]
        if self.config.noise:
            rows.append(("noise model", self.noise_origin()))
        return rows


def make_plan(config: SynthesizeConfig, limit: int | None, problems: Problems, *, dry_run: bool) -> SynthesizePlan:
    """Check the config and count the passages; at most `limit` pairs of each phase are to be made.

    The work lists are written into the output folder, unless it is a dry run or the run goes on.

    Raises: ConfigError with one line for each problem.
    """
    folder = Folder.at(config.output.path)
    problems.checked(output.require_writable, folder)
    previous = problems.checked(output.read_run, folder)
    font_names = problems.checked(_font_names, config.pages) if config.pages else []
    recognizer = problems.checked(_check_recognizer, config.pages) if config.pages else None
    noise_source = problems.checked(_noise_source, config.noise) if config.noise else None
    text = CleanText(config.input, _passage_chars(config))
    found = problems.checked(lambda: sum(1 for _ in text))
    if found == 0:
        problems.append("input.paths: there is no text in the input")
    problems.raise_if_any()
    assert found
    assert font_names is not None
    made_with = {"recognizer": recognizer and asdict(recognizer), "fonts": font_names, "noise_source": noise_source}
    settings = {
        **config.model_dump(mode="json", include={"input", "pages", "noise", "seed"}),
        **made_with,
        "text": text.digest,
        "limit": limit,
        "schema_version": SCHEMA_VERSION,
    }
    counts = {name: _limited(part.count, limit) for name in PHASES if (part := getattr(config, name))}
    plan = SynthesizePlan(
        config=config,
        text=text,
        passages=found,
        counts=counts,
        recognizer=recognizer,
        fonts=font_names,
        settings=settings,
        previous=previous,
    )
    if not dry_run and not previous:
        _write_work_lists(plan, folder)
    return plan


def _write_work_lists(plan: SynthesizePlan, folder: Folder) -> None:
    """Write the passages that pairs are made of to `<folder>/_work_list/<phase>`, in the order of the input.

    Every passage is used equally often, as nearly as the count allows; which ones are used once more is drawn by the seed.
    """
    for phase, count in plan.counts.items():
        work_list = folder.child("_work_list").child(phase)
        work_list.filesystem.create_dir(work_list.path)
        work_list.filesystem.delete_dir_contents(work_list.path)  # of a run killed while it listed
        rows = _work_rows(plan, phase, count)
        for number in range(-(-count // _PART_ROWS)):
            part = pa.Table.from_pylist(list(islice(rows, _PART_ROWS)), schema=WORK_SCHEMA)
            path = f"{work_list.path}/part-{number:05d}.parquet"
            pq.write_table(part, path, filesystem=work_list.filesystem, row_group_size=512)


def fit_pairs(config: FitConfig) -> Iterator[tuple[str, str]]:
    """The user's own (clean, read) pairs; rows that lack one of the two are passed over. Raises ConfigError as the input does."""
    for table in list_records(_fit_input(config), images=False):
        for truth, read in zip(table["ground_truth"].to_pylist(), table["text"].to_pylist(), strict=True):
            if truth and read:
                yield truth, read


def _work_rows(plan: SynthesizePlan, phase: str, count: int) -> Iterator[dict[str, str]]:
    rng = np.random.default_rng([plan.config.seed, PHASES.index(phase)])
    uses = np.full(plan.passages, count // plan.passages)
    uses[rng.choice(plan.passages, count % plan.passages, replace=False)] += 1
    number = 0
    for passage, times in zip(CleanText(plan.config.input, _passage_chars(plan.config)), uses.tolist(), strict=True):
        for _ in range(times):
            yield {"record_id": f"{_ID_PREFIXES[phase]}-{number:09d}", "text": passage.text, "source": passage.source}
            number += 1


def _font_names(config: PagesConfig) -> list[str]:
    return [path.name for path in typefaces(config)]


def _check_recognizer(config: PagesConfig) -> EngineInfo:
    section, recognizer = config.recognizer
    return recognizer.check(section)


def _noise_source(config: NoiseConfig) -> str:
    """What the noise model comes from, as the fingerprint knows it."""
    if config.fit:
        try:
            return count_records(_fit_input(config.fit), images=False).digest
        except ConfigError as error:
            raise ConfigError(str(error).replace("input.", "noise.fit.")) from None
    if config.model:
        NoiseModel.load(config.model)
        return hashlib.sha256(config.model.read_bytes()).hexdigest()
    return "pages"


def _passage_chars(config: SynthesizeConfig) -> int:
    return max(config.pages.char_range[1] if config.pages else 0, config.noise.chars[1] if config.noise else 0)


def _input(paths: list[str], text_column: str | None, **options: Any) -> InputConfig:
    return InputConfig(paths=paths, text_column=text_column, text_unit="paragraph", max_text_chars=_MAX_TEXT_CHARS, **options)


def _fit_input(config: FitConfig) -> InputConfig:
    return _input(config.paths, config.ocr_column, kind="table", ground_truth_column=config.gt_column)


def _limited(count: int, limit: int | None) -> int:
    return count if limit is None else min(count, limit)
