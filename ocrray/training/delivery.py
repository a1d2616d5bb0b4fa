"""Delivery of a model folder: one zip file, or an upload to a hub."""

import shutil
import zipfile
from pathlib import Path

from ocrray.engines.base import engine_errors

_TIME = (1980, 1, 1, 0, 0, 0)  # fixed, so that the same content gives the same bytes


def pack(folder: Path) -> Path:
    """Pack a folder into `<folder>.zip` beside it, uncompressed (weights do not compress), and return its path."""
    packed = folder.with_name(f"{folder.name}.zip")
    partial = folder.with_name(f".{packed.name}.partial")
    with zipfile.ZipFile(partial, "w") as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{folder.name}/{file.relative_to(folder).as_posix()}", date_time=_TIME)
            entry.external_attr = 0o644 << 16
            with file.open("rb") as content, archive.open(entry, "w", force_zip64=True) as packing:
                shutil.copyfileobj(content, packing, 1 << 20)
    return partial.rename(packed)


def push(folder: Path, repository: str) -> None:
    """Upload a folder to a hub repository; a new repository is private.

    Raises:
        EngineError: when the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    with engine_errors(f"output.push_to_hub: {repository} was not uploaded, the model is complete in {folder}"):
        api = HfApi()
        api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload a model trained with ocrray")
