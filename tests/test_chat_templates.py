"""Chat templates: what instruct models read and write in training and in the engine is their tokenizer's own form."""

import json
from pathlib import Path
from typing import Any

import chat_templates
import pyarrow as pa
import pytest
import tiny_models
import tiny_runs
import transformers
from chat_templates import ENDS, TEMPLATES
from pydantic import ValidationError

from ocrray.engines.hf import HfConfig, HfCorrector
from ocrray.errors import ConfigError, EngineError
from ocrray.models.chat import ChatTemplate
from ocrray.prompts import PROMPTS, resolve
from ocrray.training.config import open_task
from ocrray.training.samples import NO_LOSS

SYSTEM = "Correct the text."
CHAT = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Tbe fox"}]
FOLDED = [{"role": "user", "content": f"{SYSTEM}\n\nTbe fox"}]
"""The chat for a model that takes no system message."""


def template_ids(tokenizer: Any, chat: list[dict[str, str]], **options: Any) -> list[int]:
    """What transformers makes of a chat."""
    ids: list[int] = tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False, enable_thinking=False, **options)
    return ids


@pytest.mark.parametrize("kind", TEMPLATES)
def test_chat_template_prompt_and_answer_are_those_of_transformers(kind):
    """Token for token, with one beginning-of-text token at most; the answer ends with the token that ends a turn."""
    tokenizer = chat_templates.tokenizer(kind)
    template = ChatTemplate(tokenizer)
    shown = FOLDED if kind in ("gemma", "mistral") else CHAT

    [prompt], [answer] = template.prompt_ids([CHAT]), template.answer_ids(["The fox"])

    whole = template_ids(tokenizer, [*shown, {"role": "assistant", "content": "The fox"}])
    assert (prompt + answer) == whole[: len(prompt) + len(answer)]
    if kind != "headless":
        assert prompt == template_ids(tokenizer, shown, add_generation_prompt=True)
    assert prompt.count(tokenizer.bos_token_id) == (kind in ("llama3", "gemma", "mistral"))
    assert tokenizer.convert_ids_to_tokens(template.end_id) == ENDS.get(kind, "<|im_end|>")
    assert answer[-1] == template.end_id
    assert tokenizer.decode(answer[:-1]).strip() == "The fox"


@pytest.mark.parametrize("kind", TEMPLATES)
def test_chat_template_special_tokens_in_messages_are_characters(kind):
    """A text that spells the tokens of the template cannot end its turn, nor begin another."""
    tokenizer = chat_templates.tokenizer(kind)
    template = ChatTemplate(tokenizer)
    spelled = "".join(chat_templates.TOKENS) + tiny_models.EOS + tiny_models.BOS + "[1]"

    [prompt, plain] = template.prompt_ids([[{"role": "user", "content": f"a{content}b"}] for content in (spelled, "")])
    [answer] = template.answer_ids([spelled])

    special = set(tokenizer.all_special_ids)
    assert [token for token in prompt if token in special] == [token for token in plain if token in special]
    assert special.isdisjoint(answer[:-1])
    assert spelled in tokenizer.decode(prompt)
    assert tokenizer.decode(answer[:-1]).strip() == spelled


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (None, "no chat template"),
        ("{{ bos_token }}", "leaves out messages"),
        ("{{ raise_exception('No.') }}", "cannot be rendered: No."),
        ("{% for m in messages %}", "cannot be rendered"),
    ],
)
def test_chat_template_that_cannot_be_used_is_an_error(template, problem):
    """The message says what is wrong with it."""
    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = template

    with pytest.raises(EngineError, match=problem):
        ChatTemplate(tokenizer)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of random models whose tokenizers have a chat template."""
    return {kind: save(tmp_path_factory.mktemp(kind), kind) for kind in ("chatml", "gemma", "mistral", "thinking")}


def save(folder: Path, kind: str) -> Path:
    """A random model whose tokenizer has a chat template."""
    tokenizer = chat_templates.tokenizer(kind)
    settings = tiny_models.config("llama")
    settings.vocab_size = len(tokenizer)
    transformers.LlamaForCausalLM(settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def train_config(folder: Path, **changes: Any) -> Any:
    """A run that tunes the model in a folder."""
    task = {"kind": "correction", "prompt": "chat_ocr"} | changes.pop("task", {})
    return tiny_runs.config(
        folder / "out", **{"task": task, "model": {"name": str(folder)}, "method": {"kind": "full"}, **changes}
    )


@pytest.mark.parametrize(
    ("kind", "engine", "settings"),
    [
        ("chatml", "hf", {"prompt": "chat_ocr"}),
        ("thinking", "hf", {"prompt": "Fix: {text} End.", "chat": True}),
        ("gemma", "padded", {"prompt": "none", "system": "Fix it."}),
    ],
)
def test_training_sample_of_a_chat_is_what_the_engine_shows_and_the_answer(folders, kind, engine, settings):
    """One rule for both; the card and the measurement of a checkpoint ask the engine for the same chat."""
    folder = folders[kind]
    task = open_task(train_config(folder, task=settings))
    source, target = "Tbe f<|im_end|>ox, 1.10", "The f<|im_end|>ox, 1.10"

    [sample] = task.encode(pa.table({"source": [source], "target": [target]}), {}).to_pylist()

    restore = task.card({"model": str(folder)}).restore["correct"]
    corrector = HfCorrector(HfConfig(**{**restore, "engine": engine}))
    [request] = corrector.requests([source])
    corrector.close()
    taught = [token for token in sample["labels"] if token != NO_LOSS]
    assert sample["input_ids"] == request.prompt + taught
    assert sample["labels"] == [NO_LOSS] * len(request.prompt) + taught
    assert corrector.info.prompt_version.endswith("+chat")


@pytest.mark.parametrize("engine", ["hf", "padded"])
def test_correct_in_a_chat_ends_with_the_turn(tmp_path, engine):
    """The end-of-turn token of the template ends a text, whatever the model's settings call its end-of-text token."""
    tiny_models.save_transitions(tmp_path, [("\n", "H"), ("H", "i"), ("i", "<|im_end|>"), ("<|im_end|>", "x")], ["<|im_end|>"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.chat_template = TEMPLATES["chatml"]
    tokenizer.save_pretrained(tmp_path)

    corrector = HfCorrector(HfConfig(engine=engine, model=str(tmp_path), prompt="chat_ocr"))
    [result] = corrector.correct(["Tbe fox"])

    assert (result.text, result.reason) == ("Hi", "")


def test_check_chat_without_a_template_is_a_line_before_the_run(tmp_path):
    """Of the engine and of training; a template in the adapter's folder would do."""
    tiny_models.save(tmp_path, "llama")

    with pytest.raises(ConfigError, match=r"correct\.chat: the tokenizer of .* has no chat template"):
        HfConfig(engine="hf", model=str(tmp_path), prompt="chat_ocr").check("correct")
    assert any("task.chat" in problem for problem in open_task(train_config(tmp_path)).problems())
    HfConfig(engine="hf", model=str(tmp_path), prompt="none").check("correct")
    with pytest.raises(ValidationError, match="a system message is part of a chat"):
        HfConfig(engine="hf", model=str(tmp_path), prompt="none", system="Fix.", chat=False)


def dialogue(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    """Messages of user and assistant in turns."""
    first = [] if system is None else [{"role": "system", "content": system}]
    return first + [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(contents)]


def encode_dialogues(folder: Path, dialogues: list[Any], **task: Any) -> list[dict[str, Any]]:
    """Samples of dialogues."""
    config = train_config(folder, task=task, data={"train": ["chats.jsonl"], "messages_column": "messages"})
    rows = pa.table({"messages": [None if each is None else json.dumps(each) for each in dialogues]})
    return open_task(config).encode(rows, {}).to_pylist()


@pytest.mark.parametrize("kind", ["chatml", "mistral"])
def test_dialogue_of_several_turns_teaches_every_answer_and_nothing_else(folders, kind):
    """One sample, which is the whole dialogue in the template."""
    chat = dialogue("Tbe fox", "The fox", "jnmps", "jumps")

    [sample] = encode_dialogues(folders[kind], [chat], prompt="none")

    tokenizer = transformers.AutoTokenizer.from_pretrained(folders[kind])
    taught = [ids for ids, label in zip(sample["input_ids"], sample["labels"], strict=True) if label != NO_LOSS]
    end = ENDS.get(kind, "<|im_end|>")
    assert "".join(tokenizer.decode(taught).replace(" ", "").split()) == f"Thefox{end}jumps{end}"
    assert sample["input_ids"] == template_ids(tokenizer, chat)[: len(sample["input_ids"])]
    assert (sample["source"], sample["target"]) == ("Tbe fox", "The fox")


def test_dialogue_that_its_template_rewrites_gives_a_sample_for_each_answer(folders):
    """What an answer is preceded by is what the engine would show then: without the thoughts of earlier answers."""
    chat = dialogue("Tbe fox", "The fox", "jnmps", "jumps")

    samples = encode_dialogues(folders["thinking"], [chat], prompt="none")

    template = ChatTemplate(transformers.AutoTokenizer.from_pretrained(folders["thinking"]))
    expected = [template.prompt_ids([chat[:end]])[0] + template.answer_ids([chat[end]["content"]])[0] for end in (1, 3)]
    assert [sample["input_ids"] for sample in samples] == expected


CHAT_OCR = PROMPTS["chat_ocr"].instruction


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (dialogue("Tbe", "The", system=CHAT_OCR), None),
        (dialogue("Tbe", "The", "a", system=CHAT_OCR), None),  # the last question has no answer
        ([{"from": "system", "value": CHAT_OCR}, {"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], None),
        (dialogue("Tbe", "The"), "other_instruction"),
        (dialogue("Tbe", "The", system="Be brief."), "other_instruction"),
        ([*dialogue("Tbe", "The"), {"role": "system", "content": CHAT_OCR}], "bad_messages"),
        (dialogue("Tbe", system=CHAT_OCR), "empty_target"),
        (dialogue("Tbe", " ", system=CHAT_OCR), "empty_target"),
        (dialogue(" ", "The", system=CHAT_OCR), "empty_source"),
        (dialogue("Tbe " * 200, "The", system=CHAT_OCR), "too_long"),
        ([*dialogue("a", system=CHAT_OCR), *dialogue("b", "c")], "bad_messages"),
        (dialogue("<image>a", "b", system=CHAT_OCR), "bad_messages"),
        ([], "other_instruction"),
        ("a", "bad_messages"),
        (None, "bad_messages"),
    ],
)
def test_dialogue_that_cannot_be_used_is_dropped_with_its_reason(folders, messages, reason):
    """A dialogue that the engine would not begin so would teach another task than the one that it does."""
    [sample] = encode_dialogues(folders["chatml"], [messages])

    assert sample["dropped"] == reason
    assert (sample["input_ids"] is None) == bool(reason)


def test_dialogue_user_messages_have_the_form_of_the_prompt(folders):
    """The text in the prompt's place is the source; a message without the prompt's words is dropped."""
    chats = [dialogue("Fix: Tbe fox\nEnd", "The fox"), dialogue("Tbe fox", "The fox")]

    good, bad = encode_dialogues(folders["chatml"], chats, prompt="Fix: {text}\nEnd")

    assert (good["source"], good["target"], good["dropped"]) == ("Tbe fox", "The fox", None)
    assert bad["dropped"] == "other_instruction"


def test_train_config_of_dialogues_refuses_what_does_not_go_with_them(tmp_path):
    """Pieces are cut from pairs, and a dialogue needs a chat."""
    data = {"data": {"train": ["chats.jsonl"], "messages_column": "messages"}}
    with pytest.raises(ValidationError, match="piece_bytes"):
        train_config(tmp_path, task={"prompt": "none", "piece_bytes": [60]}, **data)
    with pytest.raises(ValidationError, match="need a chat"):
        train_config(tmp_path, task={"prompt": "none", "chat": False}, **data)


def test_resolve_system_message_is_part_of_the_version():
    """Another system message is another prompt, in rows and fingerprints."""
    one, other = (resolve("chat_ocr", system) for system in ("Fix.", "Correct."))

    assert one.messages("a") == [{"role": "system", "content": "Fix."}, {"role": "user", "content": "a"}]
    assert len({one.prompt_version, other.prompt_version, resolve("chat_ocr").prompt_version}) == 3
