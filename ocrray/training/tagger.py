"""Train the edit tagger that ships: clean text with noise made on the fly, mixed with pages that were really recognized.

`python -m ocrray.training.tagger TEXT... --pairs pairs.jsonl --out FOLDER --minutes 60`, pairs by `ocrray.training.pairs`.
"""

import argparse
import copy
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import ModernBertConfig, ModernBertForTokenClassification, PreTrainedTokenizerFast

from ocrray.synth.noise import NoiseModel
from ocrray.text.labels import KEEP, possible_labels
from ocrray.training.clean import read_passages, straighten, vary

LABELS = 1200
BATCH_CHARS = 3072
CROP_CHARS = (64, 192, 256, 384)
MAX_CHARS = 512
CLEAN_SHARE = 0.2
REAL_SHARE = 0.25
MEDIAN_CER = 0.05
SAVE_EVERY_S = 240
PAD, UNKNOWN = "[PAD]", "[UNK]"
CHARACTERS = "\n" + "".join(
    chr(code) for code in [*range(0x20, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100), *range(0x2013, 0x2023), 0x2026]
) + "ŒœŠšŽžŸſƒ™€■●♦►◄▲▼\ufffd\ufb00\ufb01\ufb02\ufb03\ufb04"  # fmt: skip


@dataclass(frozen=True)
class Document:
    """A text as it was read, and the edit label of each of its characters."""

    text: str
    labels: list[str]


class Documents:
    """An endless supply of documents, most of them made up, some of them really recognized."""

    def __init__(self, passages: Sequence[str], pairs: Sequence[tuple[str, str]], seed: int) -> None:
        self.passages = passages
        self.rng = np.random.default_rng(seed)
        straight = [(straighten(clean), straighten(read)) for clean, read in pairs]
        self.noise = NoiseModel.fit(straight)
        # The style of quotation marks is no error: labels come from straight ones, the text may keep what was read.
        labels = [possible_labels(read, clean) for clean, read in straight]
        self.real = [(read, plain, found) for (_, read), (_, plain), found in zip(pairs, straight, labels, strict=True)]

    def draw(self) -> Document:
        rng = self.rng
        if self.real and rng.random() < REAL_SHARE:
            read, plain, labels = self.real[int(rng.integers(len(self.real)))]
            return Document(read if rng.random() < 0.5 else plain, labels)
        clean = vary(self.passages[int(rng.integers(len(self.passages)))], rng)
        if rng.random() < CLEAN_SHARE:
            return Document(clean, [KEEP] * len(clean))
        cer = min(float(rng.lognormal(np.log(MEDIAN_CER), 0.7)), 0.3)
        read = self.noise.corrupt(clean, cer, rng)
        return Document(read, possible_labels(read, clean))

    def crops(self, chars: int) -> Iterator[Document]:
        """Endless pieces of documents, at most `chars` long, neighbouring pieces from different documents."""
        while True:
            document = self.draw()
            start = int(self.rng.integers(max(1, len(document.text) - chars + 1)))
            yield Document(document.text[start : start + chars], document.labels[start : start + chars])


def most_frequent_labels(documents: Documents, count: int) -> list[str]:
    """The `count` labels that occur most in a few million characters; `keep` is the first."""
    counts: Counter[str] = Counter()
    for _ in range(4000):
        counts.update(documents.draw().labels)
    del counts[KEEP]
    return [KEEP, *(label for label, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: count - 1])]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character; a character that it does not know is one unknown token."""
    vocabulary = {token: number for number, token in enumerate([PAD, UNKNOWN, *CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_max_length=MAX_CHARS,
        model_input_names=["input_ids", "attention_mask"],
    )


def make_model(labels: Sequence[str], vocabulary_size: int) -> ModernBertForTokenClassification:
    """A small ModernBERT: positions are relative, and two layers of three look at the neighbourhood alone."""
    config = ModernBertConfig(
        vocab_size=vocabulary_size,
        hidden_size=192,
        intermediate_size=288,
        num_hidden_layers=6,
        num_attention_heads=3,
        local_attention=64,
        global_attn_every_n_layers=3,
        max_position_embeddings=MAX_CHARS,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        cls_token_id=None,
        sep_token_id=None,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    return ModernBertForTokenClassification(config)


def batches(
    documents: Documents, vocabulary: dict[str, int], label_ids: dict[str, int], batch_chars: int = BATCH_CHARS
) -> Iterator[dict[str, torch.Tensor]]:
    """Endless batches of `batch_chars` characters; a label that the model lacks is not learned from."""
    supplies = {chars: documents.crops(chars) for chars in CROP_CHARS}
    unknown = vocabulary[UNKNOWN]
    while True:
        chars = int(documents.rng.choice(CROP_CHARS))
        shape = (batch_chars // chars, chars)
        inputs, mask, labels = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.full(shape, -100, np.int64)
        for row in range(shape[0]):
            crop = next(supplies[chars])
            length = len(crop.text)
            inputs[row, :length] = [vocabulary.get(char, unknown) for char in crop.text]
            labels[row, :length] = [label_ids.get(label, -100) for label in crop.labels]
            mask[row, :length] = 1
        yield {
            key: torch.from_numpy(value) for key, value in (("input_ids", inputs), ("attention_mask", mask), ("labels", labels))
        }


def make_optimizers(model: torch.nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings, head and gains."""
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and ".layers." in name]
    ids = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in ids]
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def train(
    model: torch.nn.Module,
    supply: Iterator[dict[str, torch.Tensor]],
    *,
    lr: float,
    progress: Callable[[int], float],
    save: Callable[[], None],
) -> None:
    """Train until `progress` of the number of steps done reaches 1; the learning rate rises for 100 steps and falls to nothing.

    `save` is called every SAVE_EVERY_S seconds, and at the end.
    """
    optimizers = make_optimizers(model, lr)
    started = saved = time.monotonic()
    losses: list[float] = []
    chars = 0
    model.train()
    while (done := progress(len(losses))) < 1:
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = lr * min(1.0, (len(losses) + 1) / 100, 1.5 * (1 - done))
        batch = next(supply)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        chars += batch["input_ids"].numel()
        now = time.monotonic()
        if len(losses) % 50 == 0:
            rate = chars / (now - started)
            print(f"step {len(losses)}  {chars / 1e6:.2f}M chars  {rate:.0f}/s  loss {np.mean(losses[-50:]):.4f}", flush=True)
        if now - saved > SAVE_EVERY_S:
            save()
            saved = now
    save()


def save_folder(model: ModernBertForTokenClassification, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the plain Hugging Face folder, weights in float16."""
    tokenizer.save_pretrained(folder)
    copy.deepcopy(model).half().save_pretrained(folder)


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """(clean, read) pages of a pairs file, without those where layout went wrong (over 30 % of characters)."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [(row["gt"], row["ocr"]) for row in rows]
    return [pair for pair in pairs if pair[1] and Levenshtein.normalized_distance(*pair) <= 0.3]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the edit tagger.")
    parser.add_argument("text", type=Path, nargs="+", help="clean text: plain or JSONL with a text key, gzipped or not")
    parser.add_argument("--pairs", type=Path, required=True, help="JSONL with gt and ocr, made by ocrray.training.pairs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    documents = Documents(read_passages(args.text), read_pairs(args.pairs), args.seed)
    labels = most_frequent_labels(documents, LABELS)
    tokenizer = make_tokenizer()
    model = make_model(labels, len(tokenizer))
    supply = batches(documents, tokenizer.get_vocab(), model.config.label2id)
    print(f"{sum(weight.numel() for weight in model.parameters())} parameters, {len(labels)} labels", flush=True)
    started = time.monotonic()
    train(
        model,
        supply,
        lr=args.lr,
        progress=lambda _: (time.monotonic() - started) / (60 * args.minutes),
        save=lambda: save_folder(model, tokenizer, args.out),
    )


if __name__ == "__main__":
    main()
