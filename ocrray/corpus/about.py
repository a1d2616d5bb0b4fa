"""Title, description, license and languages of a data set or model: config keys, and front matter and heading of its card."""

from ocrray.config import StrictModel


class About(StrictModel):
    """Description of a data set or model, for its card."""

    title: str = ""
    """Heading of the card and the report."""
    description: str = ""
    """Paragraph under the heading, in Markdown."""
    license: str = ""
    """Identifier of the Hugging Face hub, such as `cc0-1.0`; empty: unknown."""
    languages: tuple[str, ...] = ()
    """ISO 639 codes."""
