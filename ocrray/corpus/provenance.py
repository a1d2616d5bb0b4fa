"""Provenance of a record: the engines, the model and the prompt that produced its texts."""

from pydantic import BaseModel, ConfigDict


class Provenance(BaseModel):
    """Columns that name the origin of a record's texts; empty where there was none."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    recognizer: str
    corrector: str
    model: str
    model_revision: str
    adapter: str
    prompt_version: str
