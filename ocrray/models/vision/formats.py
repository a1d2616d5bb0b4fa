"""Prompt formats of vision-language models: the text between image and answer, character for character."""

from typing import Literal

PromptFormat = Literal["auto", "paligemma", "got", "got_original", "got_swift", "chat"]

IMAGE, INSTRUCTION = "{image}", "{instruction}"
_GOT_SYSTEM = "You should follow the instructions carefully and explain your answers in detail."
_GOT = "<|im_start|>system\n" + _GOT_SYSTEM + "<|im_end|><|im_start|>user\n<img>{image}</img>\n"
TEMPLATES = {
    "paligemma": "{image}<bos>{instruction}\n",
    # transformers' processor: a space before the instruction.
    "got": _GOT + " {instruction}<|im_end|><|im_start|>assistant\n",
    # Conversation `mpt` of https://github.com/Ucas-HaoranWei/GOT-OCR2.0, which the published weights were trained with.
    "got_original": _GOT + "{instruction}<|im_end|><|im_start|>assistant\n",
    # ms-swift 4.6, templates `got_ocr2` and `got_ocr2_hf`: eight spaces, newlines behind <|im_end|>.
    "got_swift": (
        "<|im_start|>system\n        " + _GOT_SYSTEM + "<|im_end|>\n<|im_start|>user\n<img>{image}</img>\n"
        "{instruction}<|im_end|>\n<|im_start|>assistant\n"
    ),
}
PROCESSOR_TEXTS = {"paligemma": "{image}{instruction}"}
"""What a processor is given that adds the rest of the template by itself."""
_BY_MODEL_TYPE: dict[str, PromptFormat] = {"got_ocr2": "got", "paligemma": "paligemma"}
_END_TOKENS = {"got": "<|im_end|>", "got_original": "<|im_end|>", "got_swift": "<|im_end|>"}


def resolve_format(prompt_format: PromptFormat, model_type: str) -> PromptFormat:
    """Return the format of a model of `model_type` (as config.json has it) for "auto", else `prompt_format`."""
    return _BY_MODEL_TYPE.get(model_type, "chat") if prompt_format == "auto" else prompt_format


def default_instruction(prompt_format: PromptFormat, crop_to_patches: bool) -> str:
    """Return the instruction that a model of this format knows for reading plain text; of PaliGemma and chats a plain request."""
    if prompt_format == "paligemma":
        return "ocr"
    if prompt_format == "chat":
        return "Transcribe the text in this image. Answer with the text and nothing else."
    return "OCR upon the patch reference: " if crop_to_patches else "OCR: "


def end_token(prompt_format: PromptFormat) -> str | None:
    """Return the token that ends an answer; None: the tokenizer's end-of-text token."""
    return _END_TOKENS.get(prompt_format)
