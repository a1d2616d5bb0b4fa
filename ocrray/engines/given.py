"""`engine: given`: corrections made elsewhere, read from a column of the input and judged like any other."""

from typing import ClassVar, Literal

from pydantic import field_validator

from ocrray.engines.base import Corrector, CorrectorConfig, EngineInfo
from ocrray.records import RESERVED_NAMES


class GivenConfig(CorrectorConfig):
    """Judge corrections that were made elsewhere."""

    rows_per_block: ClassVar[int] = 1 << 14  # half a part of the work list
    needs_pool: ClassVar[bool] = False

    engine: Literal["given"]
    column: str
    """Column of the input with the corrected text; a null, or an empty cell of CSV or TSV, leaves the record as it is."""

    @field_validator("column")
    @classmethod
    def _is_of_the_table(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"{name}: the corpus has a column of that name itself; rename yours")
        return name

    @property
    def given_column(self) -> str:
        return self.column

    @property
    def input_columns(self) -> tuple[str, ...]:
        return (self.column,)

    def check(self, section: str) -> EngineInfo:  # noqa: ARG002 (nothing to check: the column is looked for when input is read)
        return EngineInfo(engine="given", model=self.column)

    def open(self) -> Corrector:
        raise TypeError("engine given has no corrector: its stage reads given_column")
