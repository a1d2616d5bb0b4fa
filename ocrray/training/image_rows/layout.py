"""Layout of tables whose rows are an image, an instruction and an answer."""

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from ocrray.errors import RecordError
from ocrray.sources.tables.columns import Table
from ocrray.sources.tables.forms import columns_problem, describe, repeated_problem
from ocrray.storage import Location
from ocrray.training.image_rows.reading import RowReader
from ocrray.training.image_rows.roles import assign
from ocrray.training.layouts import Arrays, Layout, RowProblems
from ocrray.training.samples import ARROW_TYPES, Column
from ocrray.training.settings import DataConfig

COLUMNS = (Column("image", "image", "image"), Column("instruction", "instruction"), Column("answer", "answer"))
"""Columns that the layout delivers: the instruction is null where the row has none, image and answer are not."""


class ImageRows(Layout):
    """One image, its instruction and its answer in each row, by the columns that a table has; see `roles` for their names.

    `json_answers`: answers are JSON, in one spelling (`json_text.canonical`), whichever form the table has; else a string is
    learned as it stands.
    """

    def __init__(self, data: DataConfig, *, json_answers: bool = False) -> None:
        self._data = data
        self._json_answers = json_answers
        self._root = Location.at(data.image_root) if data.image_root else None

    @property
    def columns(self) -> Sequence[Column]:
        return COLUMNS

    def problem(self, table: Table, others: Sequence[str] = ()) -> str:
        roles, problems = assign(table.schema.names, self._data)
        if problems:
            return f"{'; '.join(problems)}; {describe(table)}"
        return repeated_problem(table, roles.names) or columns_problem(table, others)

    def sources(self, names: Collection[str]) -> Sequence[Column]:
        roles, _ = assign(names, self._data)
        return [Column(name, name, "image" if name == roles.image else "json") for name in roles.names]

    def convert(self, arrays: Mapping[str, pa.Array], location: Location) -> tuple[Arrays, RowProblems]:
        roles, _ = assign(arrays, self._data)
        reader = RowReader(roles, self._root or location.parent(), json_answers=self._json_answers)
        found: dict[str, list[object]] = {column.name: [] for column in COLUMNS}
        problems: RowProblems = {}
        values = {name: array.to_pylist() for name, array in arrays.items()}
        for position in range(len(next(iter(arrays.values()), ()))):
            row: Mapping[str, object] = dict.fromkeys(found)
            try:
                row = reader.read({name: cells[position] for name, cells in values.items()})
            except RecordError as err:
                problems[position] = err.kind
            for name, cells in found.items():
                cells.append(row[name])
        return {column.name: pa.array(found[column.name], ARROW_TYPES[column.kind]) for column in COLUMNS}, problems
