"""Roles of a table's columns: which hold the image, the instruction, the answer, or a whole dialogue."""

from collections.abc import Collection
from dataclasses import dataclass

from ocrray.training.settings import DataConfig

IMAGES = ("image", "images", "image_file", "image_path", "file_name")
ANSWERS = ("text", "response", "suffix", "ground_truth", "gt")
INSTRUCTIONS = ("query", "prefix", "instruction")
DIALOGUES = ("messages", "conversations")
CONTEXT = ("system", "history")
"""Columns of ms-swift's `query, response` tables; what they hold cannot be trained yet."""


_KEYS = ("source_column", "target_column", "instruction_column", "messages_column")


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the columns of one table, null for a role that no column has."""

    image: str | None = None
    instruction: str | None = None
    answer: str | None = None
    dialogue: str | None = None
    context: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Columns to read."""
        single = (self.image, self.instruction, self.answer, self.dialogue)
        return (*(name for name in single if name), *self.context)


def assign(names: Collection[str], data: DataConfig) -> tuple[Roles, list[str]]:
    """Return the roles of a table's columns, and what is missing or unclear, a clause each.

    A column that the config names has its role; the other roles go to columns of the usual names. A dialogue holds instruction
    and answer, and may hold the image.
    """
    problems: list[str] = []
    named = _configured(data)
    problems += [f"no column {name} (data.{key})" for key, name in named.items() if name not in names]

    def choose(key: str, known: tuple[str, ...], what: str) -> str | None:
        if key in named:
            return named[key]
        found = [name for name in known if name in names]
        if len(found) > 1:
            problems.append(f"{' and '.join(found)} may both hold {what}; set data.{key}")
        return found[0] if found else None

    image = choose("source_column", IMAGES, "the image")
    if "target_column" not in named and (dialogue := choose("messages_column", DIALOGUES, "the dialogue")):
        return Roles(image=image, dialogue=dialogue), problems
    answer = choose("target_column", ANSWERS, "the answer")
    if not image:
        problems.append(f"no column with images ({', '.join(IMAGES)}); set data.source_column")
    if not answer:
        problems.append(f"no column with answers ({', '.join((*ANSWERS, *DIALOGUES))}); set data.target_column")
    instruction = choose("instruction_column", INSTRUCTIONS, "the instruction")
    context = tuple(name for name in CONTEXT if name in names and "query" in names)
    return Roles(image=image, instruction=instruction, answer=answer, context=context), problems


def _configured(data: DataConfig) -> dict[str, str]:
    """Return the columns that the config names itself, by their keys."""
    fields = type(data).model_fields
    chosen = {key: getattr(data, key) for key in _KEYS}
    return {key: name for key, name in chosen.items() if name != fields[key].default}
