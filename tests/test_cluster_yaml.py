"""The cluster file is one that Ray's launcher takes."""

from pathlib import Path

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = Path(__file__).parents[1] / "cluster.yaml"


def test_cluster_yaml_rays_schema_accepts_it():
    """Ray's launcher validates the file after filling its defaults in, as `ray up` does."""
    config = prepare_config(yaml.safe_load(CLUSTER.read_text()))

    validate_config(config)

    workers = config["available_node_types"]
    assert workers["gpu_worker"]["min_workers"] == 0
    assert workers["gpu_worker"]["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert workers["gpu_worker"]["resources"]["GPU"] == 1


def test_cluster_yaml_unknown_key_is_refused_by_rays_schema():
    """The check above can fail: a misspelt key does not pass."""
    config = prepare_config(yaml.safe_load(CLUSTER.read_text()))
    config["available_node_types"]["cpu_worker"]["max_worker"] = 3

    with pytest.raises(jsonschema.ValidationError):
        validate_config(config)
