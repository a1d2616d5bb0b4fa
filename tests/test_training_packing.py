"""Samples laid end to end: which goes where, and that no one sees its neighbour."""

from collections.abc import Mapping

import numpy as np
import pytest
import tiny_models
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from ocrray.training.packing import _KEEP_BOUNDARIES, Packed, keeps_boundaries, pack
from ocrray.training.samples import NO_LOSS
from ocrray.training.tasks.causal import RightPadding

_SMALL = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "initializer_range": 0.5,
    "eos_token_id": 0,
    "pad_token_id": 1,
    "bos_token_id": 2,
}


def model_of(kind: str) -> transformers.PreTrainedModel:
    """A tiny random causal model of an architecture."""
    torch.manual_seed(0)
    known = kind in ("llama", "gpt2", "gptj")
    settings = tiny_models.config(kind) if known else transformers.AutoConfig.for_model(kind, **_SMALL)
    return transformers.AutoModelForCausalLM.from_config(settings).eval()


def samples(lengths: list[int]) -> list[Mapping[str, np.ndarray]]:
    """Random samples whose first third is prompt."""
    rng = np.random.default_rng(5)
    made = []
    for length in lengths:
        ids = rng.integers(3, 300, length).astype(np.int32)
        made.append({"input_ids": ids, "labels": np.where(np.arange(length) < length // 3, NO_LOSS, ids).astype(np.int32)})
    return made


def summed_loss(model: transformers.PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> float:
    """Cross-entropy added up over all labels of a batch, as the training loop asks for it."""
    with torch.no_grad():
        return float(model(**batch, use_cache=False, num_items_in_batch=1).loss)


@given(lengths=st.lists(st.integers(1, 20), max_size=60), capacity=st.integers(20, 40))
def test_pack_puts_each_sample_once_and_fills_the_rows(lengths, capacity):
    """No row is over the limit, and no two rows could have been one."""
    groups = pack(lengths, capacity)
    filled = [sum(lengths[position] for position in group) for group in groups]

    assert sorted(position for group in groups for position in group) == list(range(len(lengths)))
    assert all(total <= capacity for total in filled)
    assert len(filled) < 2 or sum(sorted(filled)[:2]) > capacity
    assert groups == pack(lengths, capacity)


@pytest.mark.parametrize("kind", _KEEP_BOUNDARIES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_batch_has_the_loss_of_its_samples_one_by_one(kind, attention):
    """Attention ends and positions begin anew where a sample does: the same loss, packed, padded or alone."""
    model, collate = model_of(kind), RightPadding(pad_id=1)
    if kind not in ("gptj",) or attention == "eager":
        model.set_attn_implementation(attention)
    lengths = [9, 21, 5, 13, 17, 8]
    separate = samples(lengths)
    packed = Packed(separate, lengths, capacity=40)
    alone = sum(summed_loss(model, collate([sample])) for sample in separate)
    labels = sum(int((sample["labels"][1:] != NO_LOSS).sum()) for sample in separate)

    assert len(packed) == 2
    for batch in (collate([packed[0], packed[1]]), collate(separate)):
        assert summed_loss(model, batch) / labels == pytest.approx(alone / labels, abs=1e-5)


def test_packed_samples_seen_by_each_other_have_another_loss():
    """The check above can fail: without position ids that begin anew, the second sample reads the first."""
    model, lengths = model_of("llama"), [9, 21]
    batch = RightPadding(pad_id=1)([Packed(samples(lengths), lengths, capacity=40)[0]])
    separate = summed_loss(model, batch)

    assert summed_loss(model, {**batch, "position_ids": torch.arange(32)[None]}) != pytest.approx(separate, abs=1e-3)


def test_packed_first_token_of_a_sample_is_not_foretold_by_the_one_before():
    """Even a sample without a prompt teaches nothing about its first token."""
    whole = [{"input_ids": np.array([5, 6, 7]), "labels": np.array([5, 6, 7])}] * 2

    assert Packed(whole, [3, 3], 8)[0]["labels"].tolist() == [NO_LOSS, 6, 7] * 2
    assert whole[0]["labels"].tolist() == [5, 6, 7]


def test_packing_is_refused_for_architectures_that_lose_the_boundaries():
    """BLOOM has no position ids, so nothing separates packed samples in its attention."""
    assert keeps_boundaries("llama")
    assert not keeps_boundaries("bloom")
