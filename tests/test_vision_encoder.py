"""Prompts and answers of vision-language models as token ids."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_vision import GOT_IMAGE_TOKENS, Kind, got_processor, paligemma_processor, qwen_processor, save

from ocrray.errors import ConfigError, EngineError, RecordError
from ocrray.models.vision.checks import vision_problems
from ocrray.models.vision.encoder import ImageTextEncoder
from ocrray.models.vision.formats import PromptFormat
from ocrray.models.vision.loading import load_encoder

PAGE = Image.linear_gradient("L").resize((120, 80))
PROCESSORS = {"got": got_processor, "paligemma": paligemma_processor, "qwen": qwen_processor}
GOT_START = "<img><imgpad><imgpad><imgpad><imgpad></img>\n"


def encoder(kind: Kind, prompt_format: PromptFormat = "auto", **settings: object) -> ImageTextEncoder:
    model_type = {"got": "got_ocr2", "paligemma": "paligemma", "qwen": "qwen2_vl"}[kind]
    tokens = GOT_IMAGE_TOKENS if kind == "got" else None
    return ImageTextEncoder(
        PROCESSORS[kind](), prompt_format=prompt_format, model_type=model_type, image_tokens=tokens, **settings
    )


@pytest.mark.parametrize(
    ("prompt_format", "text"),
    [
        # GOT/utils/conversation.py and GOT/demo/run_ocr_2.0.py of https://github.com/Ucas-HaoranWei/GOT-OCR2.0
        pytest.param(
            "got_original",
            "<|im_start|>system\nYou should follow the instructions carefully and explain your answers in detail.<|im_end|>"
            f"<|im_start|>user\n{GOT_START}OCR: <|im_end|><|im_start|>assistant\n",
        ),
        # swift/template/templates/stepfun.py and utils.py (ChatmlTemplateMeta) of ms-swift 4.6.0
        pytest.param(
            "got_swift",
            "<|im_start|>system\n        You should follow the instructions carefully and explain your answers in detail."
            f"<|im_end|>\n<|im_start|>user\n{GOT_START}OCR: <|im_end|>\n<|im_start|>assistant\n",
        ),
    ],
)
def test_prompt_of_got_is_that_of_the_code_it_was_trained_with_character_for_character(prompt_format: PromptFormat, text: str):
    """The original code and ms-swift differ in spaces and newlines."""
    reader = encoder("got", prompt_format)

    assert reader.tokenizer.decode(reader.encode_prompt(PAGE, "OCR: ").ids) == text


@pytest.mark.parametrize("crop", [False, True])
def test_prompt_of_got_is_by_default_that_of_its_processor(crop: bool):
    """Without `text` transformers' processor makes the prompt itself; with crops it reads several patches."""
    reader = encoder("got", crop_to_patches=crop, max_patches=4)
    crops = {"crop_to_patches": True, "max_patches": 4} if crop else {}
    expected = got_processor()(PAGE.convert("RGB"), return_tensors="pt", num_image_tokens=GOT_IMAGE_TOKENS, **crops)

    prompt = reader.encode_prompt(PAGE, reader.default_instruction)

    assert prompt.ids == expected["input_ids"][0].tolist()
    assert torch.equal(prompt.pixels["pixel_values"], expected["pixel_values"])
    assert len(prompt.pixels["pixel_values"]) == (5 if crop else 1)  # cut in four, and seen whole
    assert len(prompt.image_positions) == GOT_IMAGE_TOKENS * len(prompt.pixels["pixel_values"])


def test_prompt_of_paligemma_with_its_answer_is_that_of_its_processor():
    """Image tokens, <bos>, instruction, newline, answer, <eos>; the types say which tokens see each other."""
    reader = encoder("paligemma")
    expected = paligemma_processor()(
        PAGE.convert("RGB"), text="<image>extract Document data in JSON format", suffix='{"a": 1}', return_tensors="pt"
    )

    prompt = reader.encode_prompt(PAGE, "extract Document data in JSON format")
    batch = reader.batch([prompt], [reader.encode_answer('{"a": 1}')])

    assert torch.equal(batch["input_ids"], expected["input_ids"])
    assert torch.equal(batch["token_type_ids"], expected["token_type_ids"])
    assert torch.equal(batch["labels"], expected["labels"][:, -batch["logits_to_keep"] :])
    assert (batch["labels"] != -100).sum() == (expected["labels"] != -100).sum()


def test_prompt_of_a_chat_model_is_that_of_its_template_for_images_of_any_size():
    """Qwen-VL makes as many tokens of an image as its size asks for."""
    reader, processor = encoder("qwen"), qwen_processor()
    for size in ((40, 200), (200, 40), (90, 90)):
        page = Image.linear_gradient("L").resize(size).convert("RGB")
        messages = [{"role": "user", "content": [{"type": "image", "image": page}, {"type": "text", "text": "Read it."}]}]
        expected = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)

        prompt = reader.encode_prompt(page, "Read it.")

        assert prompt.ids == expected["input_ids"][0]
        assert prompt.token_types["mm_token_type_ids"] == expected["mm_token_type_ids"][0]
        assert len(prompt.ids) == reader.prompt_tokens(size, "Read it.")


@pytest.mark.parametrize("kind", ["got", "paligemma", "qwen"])
def test_answer_that_spells_special_tokens_keeps_them_as_characters(kind: Kind):
    """A page may print `<image>` or `<|im_end|>`; one end token follows."""
    reader = encoder(kind)

    ids = reader.encode_answer("a<image>b<|im_end|><eos>")

    assert reader.decode(ids) == "a<image>b<|im_end|><eos>"
    assert ids[-1] == reader.end_ids[0]
    assert reader.image_token_id not in ids
    assert not set(reader.end_ids) & set(ids[:-1])


@pytest.mark.parametrize("kind", ["got", "paligemma", "qwen"])
def test_instruction_that_spells_a_special_token_is_refused(kind: Kind):
    """It would be read as a second image or the end."""
    reader = encoder(kind)
    token = reader.tokenizer.convert_ids_to_tokens(reader.image_token_id)

    with pytest.raises(ConfigError, match=r"special token"):
        reader.encode_prompt(PAGE, f"read {token}")


@pytest.mark.parametrize("kind", ["got", "paligemma", "qwen"])
@pytest.mark.parametrize("mode", ["1", "L", "I;16", "I", "F", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_image_of_any_mode_is_seen_as_it_looks(kind: Kind, mode: str):
    """Black is black and white is white in each mode, 16-bit greys included; a pixel alone is enough."""
    black, white = (_plain(mode, grey) for grey in (0, 255))
    reader = encoder(kind)

    dark, light = (reader.encode_prompt(image, "read").pixels["pixel_values"] for image in (black, white))

    expected = [
        reader.encode_prompt(Image.new("RGB", (1, 1), grey), "read").pixels["pixel_values"] for grey in ("black", "white")
    ]
    assert torch.equal(dark, expected[0])
    assert torch.equal(light, expected[1])


def test_image_with_transparency_lies_on_white_paper():
    """Else its background would be black."""
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    reader = encoder("got")

    pixels, white = (
        reader.encode_prompt(image, "read").pixels["pixel_values"] for image in (clear, Image.new("RGB", (4, 4), "white"))
    )

    assert torch.equal(pixels, white)


def test_image_that_the_processor_cannot_prepare_fails_alone():
    """Qwen-VL takes no image 200 times as wide as it is high."""
    with pytest.raises(RecordError, match=r"3000 x 1 pixels"):
        encoder("qwen").encode_prompt(Image.new("L", (3000, 1)), "read")


def test_prompt_version_differs_where_the_model_reads_something_else():
    """Format and crops are part of it; the instruction is a config value of its own."""
    versions = [
        encoder("got").prompt_version,
        encoder("got", "got_original").prompt_version,
        encoder("got", "got_swift").prompt_version,
        encoder("got", crop_to_patches=True).prompt_version,
    ]

    assert len(set(versions)) == len(versions)
    assert versions[2].startswith("got_swift/")


@pytest.mark.parametrize("kind", ["got", "paligemma", "qwen"])
def test_load_encoder_needs_no_weights_and_knows_the_length_of_prompts(tmp_path: Path, kind: Kind):
    """Samples are counted before a model is loaded; the size of the image decides."""
    folder = save(tmp_path / "model", kind)
    (folder / "model.safetensors").unlink()

    reader = load_encoder(folder)

    assert reader.format == {"got": "got", "paligemma": "paligemma", "qwen": "chat"}[kind]
    assert reader.prompt_tokens(PAGE.size, "read it") == len(reader.encode_prompt(PAGE, "read it").ids)
    assert reader.encode_prompt(PAGE, "a").ids == encoder(kind).encode_prompt(PAGE, "a").ids


def test_folders_that_are_no_vision_models_are_named_with_what_is_missing(tmp_path: Path):
    """A text model, weights of the original GOT code, and a folder without its processor."""
    folder = save(tmp_path / "model", "got")
    assert vision_problems(folder) == []

    (folder / "processor_config.json").unlink()
    assert "processor_config.json" in vision_problems(folder)[0]

    for config, word in (('{"model_type": "llama"}', "no vision-language model"), ('{"model_type": "GOT"}', "original GOT code")):
        (folder / "config.json").write_text(config)
        assert word in vision_problems(folder)[0]
    assert "no such model folder" in vision_problems(tmp_path / "none")[0]


def test_processor_without_a_chat_template_is_refused_where_the_format_needs_one():
    """A model that was not tuned on instructions has none."""
    processor = qwen_processor()
    processor.chat_template = None

    with pytest.raises(EngineError, match=r"no chat template"):
        ImageTextEncoder(processor, prompt_format="chat")


def _plain(mode: str, grey: int) -> Image.Image:
    """One pixel of black or white in a mode."""
    if mode in ("I;16", "I", "F"):
        return Image.new(mode, (1, 1), grey * 257)
    return Image.new("RGB", (1, 1), (grey,) * 3).convert("RGBA" if mode == "LA" else "RGB").convert(mode)


def test_image_of_a_line_is_continued_with_paper_by_a_model_of_lines_only():
    """A model of wide images sees the letters of a short line as wide as those of a long one; one of square images stretches."""
    line = Image.new("RGB", (30, 16), (90, 90, 90))
    line.paste((240, 230, 220), (20, 0, 30, 16))
    square, wide = got_processor(), got_processor()
    wide.image_processor = type(wide.image_processor)(size={"height": 16, "width": 64})
    readers = [ImageTextEncoder(one, model_type="got_ocr2", image_tokens=4) for one in (square, wide)]
    stretched, continued = (reader.encode_prompt(line, "OCR: ").pixels["pixel_values"][0, 0] for reader in readers)

    assert continued.shape == (16, 64)
    assert continued[:, :20].unique().numel() == continued[:, 20:].unique().numel() == 1
    assert (stretched[:, 30] == stretched[0, 0]).all()
