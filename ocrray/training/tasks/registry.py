"""List of the training tasks: the only place that names them all."""

from typing import Annotated

from pydantic import Field

from ocrray.training.tasks.correction import CorrectionConfig
from ocrray.training.tasks.edit_tagging import EditTaggingConfig
from ocrray.training.tasks.extraction import ExtractionConfig
from ocrray.training.tasks.image_text import ImageTextConfig

TaskConfig = Annotated[CorrectionConfig | EditTaggingConfig | ExtractionConfig | ImageTextConfig, Field(discriminator="kind")]
