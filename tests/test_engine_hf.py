"""Language models as correctors, on tiny random models of real architectures."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import tiny_models
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ocrray.decoding import Request, padded
from ocrray.decoding.padded import generate_padded, padded_batches
from ocrray.engines.hf import DEFAULT_FOLDER, HfConfig, HfCorrector
from ocrray.errors import ConfigError, EngineError
from ocrray.models.loading import load_generator
from ocrray.text.edits import edits_between, with_probabilities
from ocrray.text.passages import split

TEXTS = ["The qvick brown fox.", "jumps ovcr", "A", "the lazy dog, 1894. " * 4, "क्षि ſ", "The quick brown fox jumps over"]


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """A model that answers `Hi yo` to everything."""
    return tiny_models.save_writing(tmp_path_factory.mktemp("writer"), after="\x1e", answer="Hi yo")


def _config(folder, **settings):
    return HfConfig(**{"engine": "hf", "model": str(folder), "prompt": "plain", **settings})


def _one_by_one(folder, prompts, bounds, eos_ids):
    """What transformers itself writes greedily, each prompt by itself and without padding."""
    network = transformers.AutoConfig.from_pretrained(folder)
    family = transformers.AutoModelForSeq2SeqLM if network.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = family.from_pretrained(folder, dtype=torch.float32)
    model.generation_config.forced_eos_token_id = None
    for prompt, bound in zip(prompts, bounds, strict=True):
        output = model.generate(
            torch.tensor([prompt]), max_new_tokens=bound, do_sample=False, eos_token_id=eos_ids, pad_token_id=1
        )
        yield output[0, 1 if network.is_encoder_decoder else len(prompt) :].tolist()


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gptj", "bart", "t5"])
def test_generate_padded_batch_equals_transformers_one_by_one(tmp_path, architecture):
    """Token by token, for rows that end early and rows that reach their own bound, whatever else is in the batch."""
    folder = tiny_models.save(tmp_path, architecture)
    prompts = load_generator(str(folder), device="cpu").encode_prompts(TEXTS, "{text}")
    bounds = [30, 5, 25, 40, 12, 30]
    unended = list(_one_by_one(folder, prompts, bounds, [0]))
    # A token that some rows write before their bound, and some do not, now ends the text.
    end = next(token for token in unended[3][5:] if not all(token in row for row in unended))
    shutil.rmtree(folder)
    folder = tiny_models.save(tmp_path, architecture, eos_token_id=[0, end])

    batch = generate_padded(load_generator(str(folder), device="cpu"), prompts, bounds)

    expected = list(_one_by_one(folder, prompts, bounds, [0, end]))
    assert [one.tokens for one in batch] == [[token for token in row if token not in (0, end)] for row in expected]
    assert [one.finished for one in batch] == [row[-1] in (0, end) for row in expected]
    assert {one.finished for one in batch} == {True, False}


@pytest.mark.parametrize(("architecture", "engine"), [("gpt2", "hf"), ("gpt2", "padded"), ("bart", "padded")])
def test_correct_does_not_depend_on_the_batch(tmp_path, architecture, engine):
    """The same texts alone, together, in another order and in other batch sizes are corrected alike, by either engine."""
    tiny_models.save(tmp_path, architecture, eos_token_id=[0, 20, 30, 40])
    corrector = HfCorrector(_config(tmp_path, prompt="none", engine=engine))
    small = HfCorrector(_config(tmp_path, prompt="none", engine=engine, batch_size_tokens=250))

    together = corrector.correct(TEXTS)

    assert together == [corrector.correct([text])[0] for text in TEXTS]
    assert together == corrector.correct(TEXTS[::-1])[::-1]
    assert together == small.correct(TEXTS)


def test_correct_finished_answer_is_text_with_token_counts(writer):
    """The answer comes back without prompt and end-of-text token, with what was read and written."""
    (correction,) = HfCorrector(_config(writer)).correct(["A"])

    assert (correction.text, correction.reason) == ("Hi yo", "")
    assert correction.input_tokens == 2
    assert correction.output_tokens == len("Hi yo") + 1


def test_correct_answer_that_reaches_its_bound_is_unfinished(writer):
    """An output cut off by the bound is no correction, and the bound follows the length of the source."""
    endless = tiny_models.save(writer.parent / "endless", "llama", eos_token_id=299)
    corrector = HfCorrector(_config(endless, max_output_ratio=2.0))

    short, long = corrector.correct(["A", "A A A A"])

    assert (short.text, short.reason, short.output_tokens) == (None, "unfinished", 2 * 1 + 16)
    assert (long.text, long.reason) == (None, "unfinished")
    assert long.output_tokens > short.output_tokens


def test_correct_bart_that_forces_an_end_token_is_still_unfinished(tmp_path):
    """Published BART models write the end token at any bound; that must not pass off a cut text as a whole one."""
    folder = tiny_models.save(tmp_path, "bart", eos_token_id=299, forced_eos_token_id=299)

    (correction,) = HfCorrector(_config(folder, prompt="none", engine="padded")).correct(["The qvick brown fox."])

    assert (correction.text, correction.reason) == (None, "unfinished")


def test_correct_model_that_ships_sampling_settings_is_greedy_all_the_same(tmp_path):
    """Temperature, beams and penalties in a checkpoint do not reach a corrector."""
    plain = tiny_models.save(tmp_path / "plain", "llama", eos_token_id=[0, 20, 30, 40, 50, 60])
    habits = {"do_sample": True, "temperature": 9.0, "repetition_penalty": 5.0, "no_repeat_ngram_size": 2}
    fancy = tiny_models.save(tmp_path / "fancy", "llama", eos_token_id=[0, 20, 30, 40, 50, 60], **habits)

    assert HfCorrector(_config(fancy)).correct(TEXTS) == HfCorrector(_config(plain)).correct(TEXTS)


@pytest.mark.parametrize(("architecture", "engine"), [("llama", "hf"), ("llama", "padded"), ("bart", "padded")])
def test_fits_prompt_and_bound_over_the_context_do_not_and_are_not_cut(tmp_path, architecture, engine):
    """What does not fit the model's context is refused whole; its passages fit and are generated without overrunning it."""
    tiny_models.save(tmp_path, architecture, context=64, eos_token_id=299)
    corrector = HfCorrector(_config(tmp_path, prompt="none", engine=engine))
    text = "The quick brown fox jumps over the lazy dog. " * 5

    assert not corrector.fits(text)
    assert corrector.correct([text])[0].reason == "too_long"
    passages = split(text, corrector.fits)
    assert "".join(passages) == text
    assert all(correction.reason == "unfinished" for correction in corrector.correct(passages))


def test_fits_text_over_max_source_tokens_does_not(writer):
    """A passage may be bounded well below what a model could take."""
    corrector = HfCorrector(_config(writer, max_source_tokens=10))

    assert corrector.fits("A" * 10)
    assert not corrector.fits("A" * 11)
    assert corrector.correct(["A" * 11, "A"])[0].reason == "too_long"
    assert corrector.correct(["A" * 11, "A"])[1].text == "Hi yo"


def test_fits_text_wider_than_its_prompt_does_not(writer):
    """A prompt of one width splits a text as a short context does; the answer to what fits is read as ever."""
    corrector = HfCorrector(_config(writer, prompt="padded_144"))

    assert (corrector.fits("A" * 144), corrector.fits("A" * 145)) == (True, False)
    assert [done.text or done.reason for done in corrector.correct(["A" * 144, "A" * 145])] == ["Hi yo", "too_long"]


def test_correct_tokenizer_without_pad_token_works_in_a_batch(tmp_path):
    """Many causal models have no padding token; their rows are padded and masked all the same."""
    with_pad = HfCorrector(_config(tiny_models.save(tmp_path / "with", "llama", eos_token_id=[0, 20, 30, 40])))
    without = HfCorrector(_config(tiny_models.save(tmp_path / "without", "llama", pad=False, eos_token_id=[0, 20, 30, 40])))

    assert without.correct(TEXTS) == with_pad.correct(TEXTS)


def test_correct_source_that_spells_a_special_token_is_read_as_characters(writer):
    """A hostile text cannot slip an end-of-text token into its prompt."""
    generator = HfCorrector(_config(writer))._generator

    (prompt,) = generator.encode_prompts(["a</s>b\x1e"], "{text}\x1e")

    assert not set(prompt) & set(generator.eos_ids)
    assert generator.decode(prompt) == "a</s>b\x1e"


@pytest.mark.parametrize("engine", ["hf", "padded"])
def test_correct_with_a_lora_adapter_writes_what_peft_writes(tmp_path, engine):
    """An adapter saved by peft is loaded back onto its base (and merged), changes the output, and is named in the identity."""
    base = tiny_models.save(tmp_path / "base", "llama", eos_token_id=[0, 20, 30, 40])
    adapter = tiny_models.save_lora(tmp_path / "adapter", base)
    import peft

    bare, corrector = HfCorrector(_config(base)), HfCorrector(_config(base, adapter=str(adapter), engine=engine))
    generator = bare._generator
    requests = [Request(prompt, 20) for prompt in generator.encode_prompts(TEXTS, "{text}")]

    ours = corrector._decoder.generate(requests)

    model = peft.AutoPeftModelForCausalLM.from_pretrained(adapter, dtype=torch.float32)
    for request, generation in zip(requests, ours, strict=True):
        prompt = request.prompt
        theirs = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=20, do_sample=False, pad_token_id=1)
        assert generation.tokens == [token for token in theirs[0, len(prompt) :].tolist() if token not in generator.eos_ids]
    assert bare._decoder.generate(requests) != ours
    assert corrector.info.adapter.startswith(f"{adapter}@")
    assert corrector.info.revision == bare.info.revision


def test_correct_batch_that_does_not_fit_the_memory_is_halved(writer, monkeypatch):
    """A GPU too small for a batch costs time, not results; the memory error is raised here by hand, the rest is real."""

    def two_rows_at_most(generator, prompts, bounds):
        if len(prompts) > 2:
            raise torch.OutOfMemoryError
        return generate_padded(generator, prompts, bounds)

    monkeypatch.setattr(padded, "generate_padded", two_rows_at_most)

    corrector = HfCorrector(_config(writer, engine="padded"))

    assert [correction.text for correction in corrector.correct(TEXTS)] == ["Hi yo"] * len(TEXTS)


def test_correct_no_texts_gives_no_corrections(writer):
    """An empty batch is fine."""
    assert HfCorrector(_config(writer)).correct([]) == []


@given(st.lists(st.integers(1, 50)), st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget(lengths, budget):
    """Rows are grouped by length; only a row that is too long by itself exceeds the budget."""
    groups = list(padded_batches(dict(enumerate(lengths)), budget))

    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    assert all(len(group) * max(lengths[row] for row in group) <= budget or len(group) == 1 for group in groups)


def test_check_identity_changes_with_the_weights(tmp_path):
    """The revision of a folder is its weights' hash: the same for a copy, another for another model."""
    first = tiny_models.save(tmp_path / "first", "gpt2", seed=0)
    copy = shutil.copytree(first, tmp_path / "copy")
    other = tiny_models.save(tmp_path / "other", "gpt2", seed=1)

    revisions = [_config(folder).check("correct").revision for folder in (first, copy, other)]

    assert len(revisions[0]) == 64
    assert revisions[0] == revisions[1] != revisions[2]


def test_check_model_with_an_encoder_is_for_the_padded_engine(tmp_path):
    """The folder of a sequence-to-sequence model is told before the run that the default engine does not decode it."""
    tiny_models.save(tmp_path, "bart")

    with pytest.raises(ConfigError, match="padded"):
        _config(tmp_path).check("correct")

    assert _config(tmp_path, engine="padded").check("correct").engine == "padded"


def test_correct_many_threads_are_decoded_together(writer):
    """Threads that call one corrector at the same time each get their own answers."""
    corrector = HfCorrector(_config(writer))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(corrector.correct, [["A" * (1 + number)] * 5 for number in range(16)]))

    assert [[one.input_tokens for one in batch] for batch in answers] == [[2 + number] * 5 for number in range(16)]
    assert {one.text for batch in answers for one in batch} == {"Hi yo"}


def test_check_hub_id_is_taken_as_it_is_with_its_revision():
    """Nothing is fetched to check a config."""
    info = _config("someone/some-model", adapter="someone/an-adapter", prompt="alpaca_ocr").check("correct")

    assert (info.model, info.revision, info.adapter) == ("someone/some-model", "main", "someone/an-adapter@main")
    assert info.prompt_version == "alpaca_ocr/1"
    assert _config("someone/some-model", revision="v2").check("correct").revision == "v2"


def test_default_model_is_small_and_mends_common_misreadings():
    """What ships in the package loads as it stands, knows its own prompt, and corrects a plain line as any reader would."""
    assert sum(file.stat().st_size for file in DEFAULT_FOLDER.iterdir()) < 16e6
    corrector = HfCorrector(HfConfig(engine="hf"))

    outputs = [one.text for one in corrector.correct(["He said that tbe house was old, and that tbe door was shut."])]

    assert outputs == ["He said that the house was old, and that the door was shut."]
    assert corrector.info.prompt_version == "padded_144/1"


@pytest.mark.parametrize("engine", ["hf", "padded"])
def test_correct_says_how_sure_the_model_was_of_each_change(engine):
    """Every edit has a probability, also beside characters of several tokens; text that stays has none."""
    corrector = HfCorrector(HfConfig(engine=engine))
    source = "“Well,” he said—that tbe house was old, and thc door ſhut."

    [changed, kept] = corrector.correct([source, "The door was shut."])

    edits = with_probabilities(edits_between(source, changed.text), changed.probabilities)
    assert edits
    assert all(0 < edit.probability <= 1 for edit in edits)
    assert set(changed.probabilities) == {edit.start for edit in edits}
    assert kept.text == "The door was shut."
    assert not kept.probabilities


def test_config_of_another_model_must_say_its_prompt():
    """Only the default model's prompt is known; a model read with the wrong one would write nonsense."""
    with pytest.raises(ValidationError, match="prompt"):
        HfConfig(engine="hf", model="some/model")


def test_check_lists_every_problem_at_once(tmp_path):
    """A folder without anything, an adapter without weights and a misspelt prompt are one message of several lines."""
    (tmp_path / "adapter_config.json").write_text("{}")

    with pytest.raises(ConfigError) as caught:
        _config(tmp_path, adapter=str(tmp_path), prompt="alpacca").check("correct")

    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize("model", ["./no/such/folder", "/no/such/folder", "no/such/folder"])
def test_check_model_that_cannot_be_is_a_config_error(model):
    """A path that does not exist is no hub id."""
    with pytest.raises(ConfigError):
        _config(model).check("correct")


def test_check_shard_named_by_the_index_but_missing_is_a_config_error(tmp_path):
    """A download that broke off is noticed before the run."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}))

    with pytest.raises(ConfigError, match="model-00001-of-00002"):
        _config(tmp_path).check("correct")


def test_check_pickled_weights_are_refused(tmp_path):
    """Only safetensors are loaded."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")

    with pytest.raises(ConfigError):
        _config(tmp_path).check("correct")


def _break_weights(folder):
    (folder / "model.safetensors").write_bytes(b"not tensors")


def _break_config(folder):
    (folder / "config.json").write_text('{"model_type": "no-such-type"}')


def _forget_tensors(folder):
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "num_hidden_layers": 3}))


@pytest.mark.parametrize("damage", [_break_weights, _break_config, _forget_tensors])
def test_open_damaged_model_folder_is_one_readable_line(tmp_path, damage):
    """Whatever a library raises on a bad folder is an EngineError; missing tensors are never filled with random numbers."""
    damage(tiny_models.save(tmp_path, "llama"))

    with pytest.raises(EngineError) as caught:
        HfCorrector(_config(tmp_path))

    assert len(str(caught.value).splitlines()) == 1
    assert str(tmp_path) in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_open_cuda_where_there_is_no_gpu_says_so(writer):
    """A GPU that is asked for and not there ends the run with a word, not with a slow CPU run."""
    with pytest.raises(EngineError, match="GPU"):
        HfCorrector(_config(writer, device="cuda"))
