"""Sizes of a run: blocks, and the CPUs without which a pipeline would wait forever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.engines.base import EngineConfig
from ocrray.engines.fake import FakeConfig
from ocrray.engines.hf import HfConfig
from ocrray.engines.http import HttpConfig
from ocrray.engines.http_reader import HttpReaderConfig
from ocrray.engines.tesseract import TesseractConfig
from ocrray.engines.vlm import VlmConfig
from ocrray.runtime import resources
from ocrray.runtime.resources import WorkersConfig, block_rows, local_cpus, local_workers
from ocrray.stages.spec import Pool

HTTP = HttpConfig(engine="http", base_url="http://localhost/v1", model="m")
READER = VlmConfig(engine="vlm", model="m")
HTTP_READER = HttpReaderConfig(engine="http", base_url="http://localhost/v1", model="m")
CORES = 4
ONE_PER_CORE = Pool(None)


@pytest.mark.parametrize(
    ("records", "wanted", "expected"),
    [
        (0, 64, 1),
        (1, 64, 1),
        (16, 64, 1),
        (17, 64, 2),
        (1_000, 64, 63),  # 16 blocks
        (1_024, 64, 64),
        (1_000_000, 64, 64),
        (1_280_000, 64, 64),  # 20,000 blocks
        (1_280_001, 64, 65),
        (300_000_000, 16, 15_000),
    ],
)
def test_block_rows_small_and_large_inputs_make_16_to_20000_blocks(records: int, wanted: int, expected: int):
    """A small run commits in steps, a large one does not make more files than can be opened."""
    assert block_rows(records, wanted) == expected


@given(st.integers(1, 10**9), st.integers(1, 20_000))
def test_block_rows_of_any_input_are_within_the_limits(records: int, wanted: int):
    """Never more than 20,000 blocks; fewer than 16 rows only where 16 blocks need it; `wanted` exceeded only for the former."""
    rows = block_rows(records, wanted)

    assert -(-records // rows) <= 20_000
    assert rows <= wanted or -(-records // (rows - 1)) > 20_000
    assert rows == 1 or records > 16 * (rows - 1)


@pytest.mark.parametrize(
    ("settings", "engines", "expected"),
    [({}, [64, 16, 512], 16), ({}, [], 6_250), ({"rows_per_block": 7}, [64], 7)],
)
def test_workers_block_rows_are_those_of_the_slowest_engine(settings: dict[str, int], engines: list[int], expected: int):
    """The config's own number comes first, then the slowest engine's."""
    assert WorkersConfig(**settings).block_rows(100_000, engines) == expected


@pytest.mark.parametrize(
    ("pools", "expected"),
    [
        ([], CORES),  # tasks alone: one per core
        ([ONE_PER_CORE], CORES + 1),  # a pool per core, and one task beside it
        ([ONE_PER_CORE, ONE_PER_CORE], 2 * CORES + 1),
        ([ONE_PER_CORE] * 3, 3 * CORES + 1),
        ([Pool(2), Pool(3), Pool(1)], 2 + 3 + 1 + 1),
        ([Pool(3, cpus=0.5)], 2 + 1),  # 1.5, rounded up
        ([Pool(2, cpus=8)], 16 + 1),
    ],
)
def test_local_cpus_suffice_for_all_pools_and_one_task(monkeypatch: pytest.MonkeyPatch, pools: list[Pool], expected: int):
    """With one CPU less an actor would wait forever for a CPU that the others keep."""
    monkeypatch.setattr(resources.os, "cpu_count", lambda: CORES)

    assert local_cpus(pools) == expected


@pytest.mark.parametrize(
    ("gpus", "workers", "expected_size", "expected_cpus"),
    [(1, None, 2, CORES + 1), (0.125, None, 16, 16 + 1), (0.1, None, 20, 20 + 1), (0.125, 3, 3, 3 + 1), (3, None, 1, CORES + 1)],
)
def test_local_pool_of_shared_gpus_has_a_cpu_for_every_worker(
    monkeypatch: pytest.MonkeyPatch, gpus: float, workers: int | None, expected_size: int, expected_cpus: int
):
    """Two GPUs, shared by more workers than there are cores: actors that wait for a CPU would keep the tasks from theirs."""
    monkeypatch.setattr(resources.os, "cpu_count", lambda: CORES)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)

    assert local_workers(workers, gpus) == expected_size
    assert local_cpus([Pool(workers, gpus=gpus)]) == expected_cpus


@pytest.mark.parametrize(
    ("engine", "gpus", "problems"),
    [(HTTP, 0, 0), (HTTP, 1, 1), (FakeConfig(engine="fake"), 0.5, 1), (None, 1, 1), (HfConfig(engine="hf"), 0, 0)],
)
def test_gpu_problems_engine_without_gpu_may_reserve_none(engine: EngineConfig | None, gpus: float, problems: int):
    """GPUs that would be reserved and stay idle are refused."""
    assert len(WorkersConfig(correct_gpus=gpus).gpu_problems(None, engine)) == problems


@pytest.mark.parametrize(("engine", "problems"), [(READER, 0), (TesseractConfig(), 1), (HTTP_READER, 1), (None, 1)])
def test_gpu_problems_of_recognizers_name_their_own_key(
    monkeypatch: pytest.MonkeyPatch, engine: EngineConfig | None, problems: int
):
    """A vision-language model may have GPUs, Tesseract and a server may not."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)

    found = WorkersConfig(recognize_gpus=0.5).gpu_problems(engine, None)

    assert [line.split(":")[0] for line in found] == ["workers.recognize_gpus"] * problems


def test_gpu_problems_on_a_cluster_are_none(monkeypatch: pytest.MonkeyPatch):
    """A cluster may grow, so no GPU needs to be there yet."""
    monkeypatch.setenv("RAY_ADDRESS", "auto")

    assert WorkersConfig(correct=100, correct_gpus=1).gpu_problems(None, HfConfig(engine="hf")) == []
