"""Input and output in an object store (moto's server stands in for S3)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset
import yaml

from ocrray.storage import Location


def test_restore_from_and_to_an_object_store_is_complete(archive: tuple[Any, str], tmp_path: Path):
    """Lines of a bucket become a corpus in a bucket, with manifest, card and report; the same command then finds it finished."""
    client, options = archive
    lines = [{"id": f"line-{i}", "ocr": f"tbe line {i}", "gt": f"the line {i}"} for i in range(40)]
    client.put_object(Bucket="archive", Key="in/lines.jsonl", Body="\n".join(map(json.dumps, lines)).encode())
    output = f"s3://archive/my öut? 50%{options}"
    config = tmp_path / "config.yaml"
    settings = {
        "input": {"paths": [f"s3://archive/in/lines.jsonl{options}"], "id_column": "id", "ground_truth_column": "gt"},
        "recognize": None,
        "correct": {"engine": "fake", "replace": {"tbe": "the"}},
        "output": {"path": output},
    }
    config.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "ocrray", "restore", str(config)]

    for _ in range(2):
        run = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False, timeout=200)
        assert run.returncode == 0, run.stderr

    folder = Location.at(output)
    rows = pyarrow.dataset.dataset(f"{folder.path}/data", filesystem=folder.filesystem).to_table().to_pylist()
    assert sorted(row["corrected_text"] for row in rows) == sorted(line["gt"] for line in lines)
    names = {item["Key"] for item in client.list_objects_v2(Bucket="archive", Prefix="my öut? 50%/")["Contents"]}
    assert {f"my öut? 50%/{name}" for name in ("manifest.json", "README.md", "report.html")} <= names
