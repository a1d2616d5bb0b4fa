"""Prompts that ask a language model to corrupt a text as OCR does, with examples of originals and corrupted texts.

The recipe is that of the pairs of pbevan11/llama-3.1-8b-ocr-correction: three examples, temperature 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ocrray.synth.corrupt_config import CorruptHfConfig, CorruptHttpConfig

TEMPLATE_VERSION = "corrupt_ocr/1"
"""Name of the template and the examples below: others are another version."""
TEMPLATE = """\
Old newspapers and books were scanned, and OCR misread the scans. Write the text below as OCR would have read it from an old, \
worn page: letters taken for others of a similar shape, words torn apart or run together, specks taken for characters, \
punctuation lost. Some passages are hardly touched, others badly. Keep all of the text, in its order; explain \
nothing, and answer with the corrupted text alone.

{examples}Original:
{text}

Corrupted:
"""
_EXAMPLE = "Original:\n{text}\n\nCorrupted:\n{corrupted}\n\n"


@dataclass(frozen=True, slots=True)
class Example:
    """A text, and the same as OCR read it."""

    text: str
    corrupted: str


EXAMPLES = (
    Example(
        "The adjourned meeting of the Harbour Board was held on Thursday last, Captain Moore in the chair. The engineer reported "
        "that the dredging of the inner basin had been finished, and that vessels of 400 tons might now lie alongside the quay "
        "at low water. A letter was read from Messrs. Dunn and Sons, asking for a reduction of the dues upon coals.",
        "The adjourned meoting of the Harbour Board was held on Thnrsday last, Captain Moore in tbe chair. The engiueer reported "
        "tbat the dredging of the inner basin bad been finished, and that vessels of 4oO tons might now lie alongaide the quay "
        "at low water. A letter was read from Messrs. Duun and Sons, asking for a reduction of the dues npon coals.",
    ),
    Example(
        "SUDDEN DEATH.—An inquest was held yesterday at the Red Lion, before Mr. Carter, on the body of Eliza Webb, aged 53, who "
        "fell down in the market-place while speaking to a neighbour. Dr. Hill said that death was owing to disease of the "
        "heart. The jury returned a verdict accordingly.",
        "SUDDEN DEATH.-An inquest was he!d yesterday at the lied Lion, before Mr Carter, on the body of Eliza Webb, aged 63, who "
        "fell down in tho market-plaee while spcaking to a neigh bour. l)r. Hill said that death was owing to disea3e of the "
        "heart The j ury returned a verdict aceordingly. ,",
    ),
    Example(
        "The weather has been most favourable for the wheat, and the farmers in this neighbourhood look forward to a plentiful "
        "harvest. Turnips have suffered a little from the fly. At Saturday's market good lambs fetched from 21s. to 24s. each, "
        "and there was a brisk demand for store cattle.",
        "The weatber has been most favourablc for thewheat, and the farmers in this neighbourhood look forward to a pIentiful "
        "harvest. Turnips have suffercd a little from the fly. At Saturday's market good lambs fetched from 2ls. to 24s. each, "
        "and there was a brisk demand for store cattlc.",
    ),
)
"""Examples written for this project; the errors are those of real scans of newspapers."""


def make_prompt(
    text: str, config: CorruptHttpConfig | CorruptHfConfig, examples: Sequence[Example], rng: np.random.Generator
) -> str:
    """Return the prompt for one text, with examples drawn from `examples`."""
    number = min(config.examples_per_request, len(examples))
    drawn = [examples[index] for index in rng.permutation(len(examples))[:number]]
    shown = "".join(_EXAMPLE.replace("{text}", one.text).replace("{corrupted}", one.corrupted) for one in drawn)
    # In one pass, so that braces in a text or an example are left alone.
    before, after = (config.prompt or TEMPLATE).split("{text}")
    return f"{before.replace('{examples}', shown)}{text}{after.replace('{examples}', shown)}"
