"""Split a file of pairs by document into a training set and a test set.

    python benchmarks/split_by_document.py ../shared/data/pairs/bln600_train.jsonl out/bln600 [--every 10]

Writes `train.jsonl` and `test.jsonl` into the folder: every tenth document, in the order of the file, is in the test set.
"""

import argparse
import json
from pathlib import Path


def main() -> None:
    """Write both files and print their sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path, help="JSONL with a `doc` in every row")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=10)
    args = parser.parse_args()
    lines = args.pairs.read_text(encoding="utf-8").splitlines(keepends=True)
    documents = [json.loads(line)["doc"] for line in lines]
    held_out = set(list(dict.fromkeys(documents))[:: args.every])
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, wanted in (("train", False), ("test", True)):
        part = [line for line, document in zip(lines, documents, strict=True) if (document in held_out) == wanted]
        (args.folder / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")
        print(f"{args.folder / name}.jsonl: {len(part)} rows")


if __name__ == "__main__":
    main()
