"""Chat templates of the kinds that published models have, shortened, and tokenizers with them."""

import tiny_models
import transformers

_GENERATION = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
_CHATML = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
TEMPLATES = {
    "chatml": f"{_CHATML}{_GENERATION}{{% endif %}}",  # Qwen 2
    "headless": _CHATML,  # the same, but it never writes the header of the answer to be generated
    "thinking": (  # Qwen 3
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' and loop.last %}"
        "{{ '<think>\n\n</think>\n\n' }}{% endif %}{{ m['content'] + '<|im_end|>\n' }}{% endfor %}"
        f"{_GENERATION}{{% if enable_thinking is false %}}{{{{ '<think>\n\n</think>\n\n' }}}}{{% endif %}}{{% endif %}}"
    ),
    "llama3": (
        "{% for m in messages %}{% set text = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim "
        "+ '<|eot_id|>' %}{{ (bos_token if loop.first else '') + text }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
    ),
    "gemma": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
        "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
    ),
    "mistral": (  # leaves out system messages
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
        "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
    ),
}
ENDS = {"llama3": "<|eot_id|>", "gemma": "<end_of_turn>", "mistral": tiny_models.EOS}
"""Tokens that end an answer; `<|im_end|>` of the others."""
TOKENS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
)


def add_template(tokenizer: transformers.PreTrainedTokenizerFast, kind: str) -> transformers.PreTrainedTokenizerFast:
    """The tokenizer with a template and its tokens, `<think>` and `</think>` as plain added ones among them."""
    tokenizer.add_special_tokens({"additional_special_tokens": list(TOKENS)})
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.chat_template = TEMPLATES[kind]
    return tokenizer


def tokenizer(kind: str) -> transformers.PreTrainedTokenizerFast:
    """A tiny byte-level tokenizer with a template."""
    return add_template(tiny_models.tokenizer(), kind)
