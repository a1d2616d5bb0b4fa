"""Speculative decoding is token-equal to greedy `generate`, for any batch and any draft."""

import json
import threading
from itertools import islice

import pytest
import tiny_models
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocrray.decoding import Generation, Request, Sampling
from ocrray.decoding import decoder as decoder_module
from ocrray.decoding.decoder import Decoder
from ocrray.decoding.padded import PaddedDecoder
from ocrray.decoding.sampling import sample_tokens, uniforms
from ocrray.decoding.scheduler import Scheduler
from ocrray.engines.hf import DEFAULT_FOLDER, HfConfig, HfCorrector
from ocrray.errors import EngineError
from ocrray.models.loading import load_generator

ARCHITECTURES = ["llama", "qwen2", "mistral", "gpt2", "gptj"]
ENDS = [0, 20, 30, 40]
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=24),
    st.text("aehot ", max_size=24),
    st.sampled_from(["", "the the the the the the", "क्षि त्र ज्ञ", "漢字仮名交じり文", "👩‍👩‍👧 🏴󠁧󠁢󠁳󠁣󠁴󠁿", "dog, 1894. " * 4]),
)


class Both:
    """A decoder under test, and transformers' own greedy generation with the same weights, one prompt at a time."""

    def __init__(self, folder, **options):
        self.decoder = Decoder(load_generator(str(folder), device="cpu"), **options)
        self.reference = load_generator(str(folder), device="cpu")
        self._known = {}

    def greedy(self, prompt, bound):
        """Return the greedy output of at most `bound` tokens."""
        key = (tuple(prompt), bound)
        if key not in self._known:
            output = self.reference.model.generate(torch.tensor([prompt]), max_new_tokens=bound, do_sample=False)
            new = output[0, len(prompt) :].tolist()
            end = next((place for place, token in enumerate(new) if token in self.reference.eos_ids), None)
            self._known[key] = Generation(new[:end], finished=end is not None)
        return self._known[key]

    def prompts(self, texts):
        return self.reference.encode_prompts([f"{text}\x1e" for text in texts], "{text}\x1e")


@pytest.fixture(scope="module", params=ARCHITECTURES)
def both(request, tmp_path_factory):
    return Both(tiny_models.save(tmp_path_factory.mktemp(request.param), request.param, eos_token_id=ENDS), batch_size_tokens=400)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = tiny_models.save(tmp_path_factory.mktemp("one"), "llama", eos_token_id=ENDS)
    return Both(folder, batch_size_tokens=400)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_decoder_any_batch_is_token_equal_to_generate(both, data):
    """Correct, half correct, unrelated or empty drafts: the output is the greedy one, token by token."""
    texts = data.draw(st.lists(TEXTS, min_size=1, max_size=4))
    requests = []
    for text, prompt in zip(texts, both.prompts(texts), strict=True):
        bound = data.draw(st.integers(1, 16))
        right = both.greedy(prompt, bound).tokens
        wrong = both.reference.encode_texts([text])[0]
        cut = data.draw(st.integers(0, len(right)))
        source = data.draw(st.sampled_from([right, right[:cut] + wrong + right[cut:], right[:cut], right[cut:], wrong, []]))
        requests.append(Request(prompt, bound, source))

    written = both.decoder.generate(requests)

    assert written == [both.greedy(request.prompt, request.max_new_tokens) for request in requests]


def test_decoder_token_probabilities_are_those_of_one_pass_over_the_whole_text(both):
    """Drafted, rejected or generated singly: each token's probability, and the end's, is that of a single forward pass over the
    whole text; the padded decoder agrees."""
    texts = ["The quick brown fox", "the the the", "", "dog, 1894."]
    requests = [Request(prompt, 12, both.greedy(prompt, 12).tokens[:5]) for prompt in both.prompts(texts)]
    padded = PaddedDecoder(both.reference)

    for request, drafted, plain in zip(requests, both.decoder.generate(requests), padded.generate(requests), strict=True):
        read = torch.tensor([[*request.prompt, *drafted.tokens]])
        shares = both.reference.model(read).logits[0, len(request.prompt) - 1 :].softmax(-1)
        written = [share[token].item() for share, token in zip(shares, drafted.tokens, strict=False)]
        ending = [shares[-1].max().item()] if drafted.finished else []
        assert drafted.probabilities == pytest.approx([*written, *ending], abs=1e-5)
        assert plain.probabilities == pytest.approx(drafted.probabilities, abs=1e-5)


def test_decoder_right_drafts_take_few_passes(both):
    """A source equal to the output takes one pass for the prompt and one per draft, not one per token."""
    prompts = both.prompts(map(str, range(12)))
    prompt = max(prompts, key=lambda one: len(both.greedy(one, 40).tokens))
    longest = both.greedy(prompt, 40)
    assert len(longest.tokens) >= 10
    forwards = both.decoder.stats.forwards

    assert both.decoder.generate([Request(prompt, 40, longest.tokens)]) == [longest]

    assert both.decoder.stats.forwards - forwards <= 4


def test_decoder_more_texts_than_room_refills_every_slot(both):
    """24 sequences of different lengths pass through a cache that holds a few; a shared prefix is processed once."""
    texts = ["The quick brown fox" + " jumps" * (number % 7) + str(number) for number in range(24)]
    prefix = both.reference.encode_prompts(["The quick brown"], "{text}")[0][:-1]
    folder = both.reference.tokenizer.name_or_path
    decoder = Decoder(load_generator(folder, device="cpu"), batch_size_tokens=200, shared_prefix=prefix)
    requests = [Request(prompt, 3 + len(prompt) % 20, prompt[:9]) for prompt in both.prompts(texts)]

    assert decoder.generate(requests) == [both.greedy(one.prompt, one.max_new_tokens) for one in requests]
    assert decoder.idle


def test_decoder_text_without_room_is_refused_alone(llama):
    """A request larger than the whole cache is refused; the others of its batch are generated."""
    small, large = llama.prompts(["A", "dog " * 300])

    refused, written = llama.decoder.generate([Request(large, 24), Request(small, 24)])

    assert refused == Generation([], finished=False, refused=True)
    assert written == llama.greedy(small, 24)
    assert not llama.decoder.fits(Request(large, 24))


def test_decoder_out_of_memory_halves_its_room_and_loses_nothing(llama, monkeypatch):
    """An out-of-memory error, raised here on purpose, costs time; the cache's limit is halved each time."""
    decoder = Decoder(load_generator(llama.reference.tokenizer.name_or_path, device="cpu"), batch_size_tokens=2_000)
    forward, calls = decoder._model.forward, []

    def failing(*arguments):
        calls.append(1)
        if len(calls) in (3, 5):
            raise torch.OutOfMemoryError
        return forward(*arguments)

    monkeypatch.setattr(decoder._model, "forward", failing)
    requests = [Request(prompt, 20, prompt) for prompt in llama.prompts(["A", "the dog", "jumps over", "1894", "lazy"])]

    assert decoder.generate(requests) == [llama.greedy(one.prompt, one.max_new_tokens) for one in requests]
    assert decoder.batch_size_tokens == 500


def test_decoder_out_of_memory_for_one_text_alone_refuses_it(llama, monkeypatch):
    """A sequence that runs out of memory by itself is refused, and the next one is generated."""
    decoder = Decoder(load_generator(llama.reference.tokenizer.name_or_path, device="cpu"))
    small, large = llama.prompts(["A", "dog " * 30])
    forward, of_large = decoder._model.forward, large[0]

    def failing(tokens, *others):
        if of_large in tokens:
            raise torch.OutOfMemoryError
        return forward(tokens, *others)

    monkeypatch.setattr(decoder._model, "forward", failing)

    refused, written = decoder.generate([Request(large, 5), Request(small, 5)])

    assert refused == Generation([], finished=False, refused=True)
    assert written == llama.greedy(small, 5)


def test_decoder_out_of_memory_during_admission_still_reports_what_was_refused(llama, monkeypatch):
    """A request refused in the same step in which the cache cannot be allocated is reported, and the others are generated."""
    decoder = Decoder(load_generator(llama.reference.tokenizer.name_or_path, device="cpu"), batch_size_tokens=400)
    small, large = llama.prompts(["A", "dog " * 300])
    resize, calls = decoder._model.cache.resize, []

    def failing_once(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError
        resize(*arguments)

    monkeypatch.setattr(decoder._model.cache, "resize", failing_once)

    refused, generated = decoder.generate([Request(large, 24), Request(small, 24)])

    assert refused == Generation([], finished=False, refused=True)
    assert generated == llama.greedy(small, 24)


def test_decoder_prompt_longer_than_a_step_is_read_in_chunks(llama, monkeypatch):
    """A long prompt is processed over several steps beside sequences that already generate."""
    monkeypatch.setitem(decoder_module._STEP_TOKENS, "cpu", 16)
    decoder = Decoder(load_generator(llama.reference.tokenizer.name_or_path, device="cpu"), max_draft_tokens=4)
    requests = [Request(prompt, 12, prompt) for prompt in llama.prompts(["dog " * 12, "A", "jumps over the lazy " * 2])]

    assert decoder.generate(requests) == [llama.greedy(one.prompt, one.max_new_tokens) for one in requests]


def test_decoder_sampling_is_that_of_a_plain_loop_whatever_the_batch(both):
    """Each request samples from its own seed, as in a plain loop over the model; greedy neighbours are unaffected."""
    prompts = both.prompts(["A", "the dog", "jumps over the lazy dog"])
    sampled = [Request(prompt, 16, (), Sampling(0.9, 0.95, seed)) for seed, prompt in enumerate(prompts)]
    greedy = Request(prompts[0], 16, prompts[0])

    together = both.decoder.generate([*sampled, greedy])

    for request, generation in zip(sampled, together, strict=False):
        tokens, random = list(request.prompt), uniforms(request.sampling.seed, request.max_new_tokens)
        for number in random:
            scores = both.reference.model(torch.tensor([tokens])).logits[:, -1]
            tokens.append(sample_tokens(scores, number[None], 0.9, 0.95).item())
            if tokens[-1] in ENDS:
                break
        new = tokens[len(request.prompt) :]
        assert generation.tokens == [token for token in new if token not in ENDS]
        assert generation.finished == (new[-1] in ENDS)
    assert together[-1] == both.greedy(greedy.prompt, 16)
    assert both.decoder.generate(sampled[::-1]) == together[-2::-1]


def test_sample_tokens_follows_the_probabilities_under_temperature_and_top_p():
    """Frequencies of many samples match the softmax, and tokens outside top-p are never sampled."""
    scores = torch.tensor([[2.0, 1.0, 0.0, -9.0]]).expand(4000, 4)

    def shares(temperature, top_p):
        number = torch.stack([uniforms(seed, 1)[0] for seed in range(4000)])
        return torch.bincount(sample_tokens(scores, number, temperature, top_p)[:, 0], minlength=4) / 4000

    torch.testing.assert_close(shares(1.0, 1.0), scores[0].softmax(-1), atol=0.03, rtol=0)
    torch.testing.assert_close(shares(0.5, 1.0), (scores[0] / 0.5).softmax(-1), atol=0.03, rtol=0)
    torch.testing.assert_close(shares(1.0, 0.8), torch.tensor([0.731, 0.269, 0.0, 0.0]), atol=0.03, rtol=0)


def test_scheduler_many_threads_each_get_their_own_answers(llama):
    """Batches of eight threads are decoded together, and each thread gets its own results in order."""
    scheduler = Scheduler(Decoder(load_generator(llama.reference.tokenizer.name_or_path, device="cpu"), batch_size_tokens=1_000))
    batches = [[Request(p, 10, p) for p in llama.prompts([f"{thread} {row}" for row in range(5)])] for thread in range(8)]
    answers = {}
    threads = [
        threading.Thread(target=lambda n=number, b=batch: answers.__setitem__(n, scheduler.generate(b)))
        for number, batch in enumerate(batches)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == {n: [llama.greedy(one.prompt, one.max_new_tokens) for one in batch] for n, batch in enumerate(batches)}
    scheduler.close()
    with pytest.raises(RuntimeError):
        scheduler.generate(batches[0])


def test_scheduler_error_reaches_everyone_who_waits(llama, monkeypatch):
    """An error in decoding is raised in every waiting thread."""
    decoder = Decoder(load_generator(llama.reference.tokenizer.name_or_path, device="cpu"))
    monkeypatch.setattr(decoder._model, "forward", lambda *_: 1 / 0)
    scheduler = Scheduler(decoder)

    for _ in range(2):
        with pytest.raises((ZeroDivisionError, RuntimeError)):
            scheduler.generate([Request([5, 6], 4)])


def test_scheduler_request_that_cannot_be_queued_is_answered_with_its_error(llama):
    """A request that cannot be submitted raises in its thread instead of blocking it."""
    scheduler = Scheduler(Decoder(load_generator(llama.reference.tokenizer.name_or_path, device="cpu")))

    with pytest.raises(RuntimeError):
        scheduler.generate([Request([5, 6], -1, (), Sampling(0.9, 0.95, 1))])


def test_decoder_sliding_window_bounds_the_context(tmp_path):
    """A sliding window limits the length of a sequence to its width."""
    decoder = Decoder(load_generator(str(tiny_models.save(tmp_path, "mistral")), device="cpu"))

    assert decoder.context_tokens == 96
    assert decoder.fits(Request([5] * 60, 36))
    assert not decoder.fits(Request([5] * 60, 37))


@pytest.mark.parametrize(
    "settings",
    [
        transformers.BartConfig(
            vocab_size=300, d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8, decoder_ffn_dim=8
        ),
        transformers.BloomConfig(vocab_size=300, hidden_size=32, n_layer=1, n_head=2),
        transformers.MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=1, state_size=4),
    ],
    ids=["encoder", "own_attention", "no_attention"],
)
def test_decoder_model_with_irreplaceable_attention_raises_one_line(tmp_path, settings):
    """The message is one line that names the engine to use instead."""
    family = transformers.AutoModelForSeq2SeqLM if settings.is_encoder_decoder else transformers.AutoModelForCausalLM
    family.from_config(settings).save_pretrained(tmp_path)
    tiny_models.tokenizer().save_pretrained(tmp_path)

    with pytest.raises(EngineError, match="padded") as caught:
        Decoder(load_generator(str(tmp_path), device="cpu"))

    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("model_type", ["doge", "diffllama", "hrm_text", "bert", "roberta", "bert-generation", "data2vec-text"])
def test_decoder_model_that_attends_in_its_own_way_is_refused(tmp_path, model_type, dtype):
    """Its attention is called with arguments, twice, or for other positions than packed sequences have: the logits differ."""
    save_of_type(tmp_path, model_type)

    with pytest.raises(EngineError, match=r"set engine: padded$"):
        Decoder(load_generator(str(tmp_path), device="cpu", dtype=dtype))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("model_type", ["phi3", "gemma3_text", "olmo2", "qwen3_moe", "cohere"])
def test_decoder_model_of_another_architecture_is_token_equal_to_generate(tmp_path, model_type, dtype):
    """The comparison before the first text refuses none of those whose attention is the plain one, in half precision either."""
    save_of_type(tmp_path, model_type)
    decoder = Decoder(load_generator(str(tmp_path), device="cpu", dtype=dtype))
    if dtype == "bfloat16":  # near ties may go either way
        return
    requests = [Request(list(range(5, 25)), 8, [7, 8]), Request([100, 101], 8)]

    padded = PaddedDecoder(load_generator(str(tmp_path), device="cpu"), batch_size_tokens=1)
    assert [one.tokens for one in decoder.generate(requests)] == [one.tokens for one in padded.generate(requests)]


def save_of_type(folder, model_type):
    """Save a random model of any architecture of transformers, two layers deep."""
    sizes = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "num_experts": 4,
        "moe_intermediate_size": 16,
        "max_position_embeddings": 256,
        "initializer_range": 0.5,
    }
    known = transformers.AutoConfig.for_model(model_type).to_dict()
    ends = {"eos_token_id": 0, "pad_token_id": 1, "bos_token_id": 2}
    settings = transformers.AutoConfig.for_model(
        model_type, **ends, **{name: size for name, size in sizes.items() if name in known}
    )
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(settings).save_pretrained(folder)
    tiny_models.tokenizer().save_pretrained(folder)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_decoder_half_precision_differs_from_generate_only_at_near_ties(tmp_path, dtype):
    """Where the shape of the computation changes rounding, the two tokens were nearly equally likely."""
    folder = str(tiny_models.save(tmp_path, "llama", eos_token_id=ENDS))
    decoder, reference = (load_generator(folder, device="cpu", dtype=dtype) for _ in range(2))
    prompts = reference.encode_prompts([f"the dog {number}" for number in range(40)], "{text}")
    ours = Decoder(decoder).generate([Request(prompt, 12, prompt) for prompt in prompts])
    theirs = PaddedDecoder(reference, batch_size_tokens=1).generate([Request(prompt, 12) for prompt in prompts])
    equal = 0
    for prompt, one, other in zip(prompts, ours, theirs, strict=True):
        if one == other:
            equal += 1
            continue
        ends = [[*row.tokens, *ENDS[: row.finished]] for row in (one, other)]
        place = next(number for number, pair in enumerate(zip(*ends, strict=False)) if pair[0] != pair[1])
        scores = reference.model(torch.tensor([[*prompt, *ends[0][:place]]])).logits[0, -1].float()
        gap = scores.max() - torch.stack([scores[row[place]] for row in ends]).min()
        assert gap < 0.05 * (scores.max() - scores.min())

    assert equal >= 30


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.timeout(1200)
def test_decoder_a_thousand_real_records_are_token_equal_to_generate(both, shared_data):
    """Newspaper lines of all lengths; every other one is drafted from the greedy output with an error in the middle."""
    with (shared_data / "pairs" / "bln600_train.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["ocr"][: 10 + number % 30] for number, line in enumerate(islice(lines, 1000))]
    requests = []
    for number, (text, prompt) in enumerate(zip(texts, both.prompts(texts), strict=True)):
        greedy = both.greedy(prompt, 16).tokens
        half = len(greedy) // 2
        source = both.reference.encode_texts([text])[0] if number % 2 else [*greedy[:half], 7, *greedy[half:]]
        requests.append(Request(prompt, 16, source))

    assert both.decoder.generate(requests) == [both.greedy(one.prompt, one.max_new_tokens) for one in requests]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.timeout(1800)
def test_decoder_default_model_on_a_thousand_real_records_is_token_equal_to_generate(shared_data):
    """The shipped corrector copies most of its source, so most drafts are accepted."""
    both = Both(DEFAULT_FOLDER)
    with (shared_data / "pairs" / "mibio_lines.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["ocr"].strip() for line in islice(lines, 1000)]
    requests = HfCorrector(HfConfig(engine="padded")).requests(texts)

    written = both.decoder.generate(requests)

    assert written == [both.greedy(one.prompt, one.max_new_tokens) for one in requests]
    assert both.decoder.stats.output_tokens / both.decoder.stats.sequence_steps > 6
