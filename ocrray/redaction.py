"""Secrets (keys, passwords, tokens) taken out of everything that is shown, logged or recorded."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

HIDDEN = "***"

_MIN_CHARS = 4  # of a secret that is looked for as such: a shorter one would be found in every sentence
_USER_INFO = re.compile(r"(?<=://)[^\s/@?#'\"]+@")
_PARAMETER = re.compile(r"(?<=[?&])([\w.~%-]+)=([^\s&#'\"<>)]*)")
_HARMLESS_PARAMETERS = {"api-version", "api_version", "version", "deployment", "model", "provider", "region", "stream", "format"}
_SECRET_NAME = re.compile(r"(?i)key|token|secret|passw|pwd|auth|credential|signature|cookie|bearer")
_COUNTS = re.compile(r"(?i)tokens$|^(?:max|min|n|num)_|_tokens?_|^logit|token_ids?$|^tokenizer")  # `max_tokens` is no token
_SPELLED = re.compile(r"(?i)\b((?:Bearer|Basic)\s+)[\w.~+/=-]{6,}|\b(sk|pk|rk|hf|gsk|xai|AIza)[-_][\w-]{8,}")


def hide(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with `***` for `secrets`, for user, password and parameters of URLs, and for what looks like a key."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _USER_INFO.sub(f"{HIDDEN}@", text)
    text = _PARAMETER.sub(_hidden_parameter, text)
    return _SPELLED.sub(lambda found: f"{found[1] or ''}{HIDDEN}", text)


def spellings(secret: str) -> set[str]:
    """Return the forms in which a secret may turn up in a message: its parts, escaped, and as basic authentication encodes it."""
    parts = {secret, secret.strip(), *secret.split()}
    encoded = {b64encode(part.encode("utf-8", "replace")).decode().rstrip("=") for part in parts}
    escaped = {form(part, errors="replace") for part in parts for form in (quote, quote_plus)}
    return {form for form in parts | encoded | escaped if len(form) >= _MIN_CHARS}


def hide_values(tree: Any) -> Any:
    """Return a tree of JSON with `***` for the values of keys that name a secret, and without secrets in its URLs."""
    if isinstance(tree, Mapping):
        return {name: HIDDEN if _is_secret(name, value) else hide_values(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [hide_values(value) for value in tree]
    return hide(tree) if isinstance(tree, str) else tree


def _is_secret(name: str, value: Any) -> bool:
    return isinstance(value, str) and bool(_SECRET_NAME.search(name)) and not _COUNTS.search(name)


def _hidden_parameter(found: re.Match[str]) -> str:
    return found[0] if found[1].lower() in _HARMLESS_PARAMETERS else f"{found[1]}={HIDDEN}"
