"""Letters and digits from the fonts that come with matplotlib, drawn as EMNIST's are: 28 x 28, thick strokes.

EMNIST's own steps (Cohen et al., arXiv:1702.05373): blur, crop to the character, centre in a square with 2 pixels to
spare, reduce to 28 x 28. A hand's variety is imitated by slant, turn, width and weight of the stroke.
"""

from __future__ import annotations

import functools
import string
from pathlib import Path

import numpy as np

FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Italic.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralItalic.ttf",
    "STIXGeneralBol.ttf",
    "STIXGeneralBolIta.ttf",
    "cmr10.ttf",
    "cmss10.ttf",
    "cmti10.ttf",
    "cmtt10.ttf",
    "cmb10.ttf",
    "cmmi10.ttf",
)
CHARACTERS = string.digits + string.ascii_uppercase + "abdefghnqrt"
"""The 47 classes of EMNIST's balanced split."""
VARIANTS = 8
SIDE, MARGIN_PX, FONT_PX = 28, 2, 72
COUNT = len(FONTS) * len(CHARACTERS) * VARIANTS


@functools.lru_cache(maxsize=COUNT)
def make_glyph(number: int) -> np.ndarray:
    """(28, 28) uint8, always the same for the same number below ``COUNT``."""
    variant, rest = divmod(number, len(FONTS) * len(CHARACTERS))
    font, character = divmod(rest, len(CHARACTERS))
    rng = np.random.default_rng([127, variant, font, character])
    return _square(_varied(_drawn(FONTS[font], CHARACTERS[character]), rng), rng)


@functools.lru_cache(maxsize=len(FONTS))
def _font(name: str):
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), FONT_PX)


def _drawn(font: str, character: str):
    """The character in white on black, with room around."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (2 * FONT_PX, 2 * FONT_PX))
    ImageDraw.Draw(image).text((FONT_PX, FONT_PX), character, fill=255, font=_font(font), anchor="mm")
    return image


def _varied(image, rng: np.random.Generator):
    """Slanted, turned, stretched and made bolder, each a little."""
    from PIL import Image, ImageFilter

    slant, turn, stretch = rng.uniform(-0.25, 0.25), rng.normal(0, 6), rng.uniform(0.85, 1.15)
    middle = FONT_PX
    affine = (1 / stretch, slant, middle * (1 - 1 / stretch - slant), 0, 1, 0)
    image = image.transform(image.size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    image = image.rotate(turn, Image.Resampling.BILINEAR)
    return image.filter(ImageFilter.MaxFilter((1, 1, 3, 5)[rng.integers(4)]))


def _square(image, rng: np.random.Generator) -> np.ndarray:
    """Blurred, cropped, centred in a square and reduced to 28 x 28."""
    from PIL import Image, ImageFilter

    image = image.filter(ImageFilter.GaussianBlur(1.5))
    image = image.crop(image.getbbox())
    edge = max(image.size)
    whole = Image.new("L", (edge, edge))
    whole.paste(image, tuple((edge - n) // 2 for n in image.size))
    inner = SIDE - 2 * (MARGIN_PX + int(rng.integers(0, 3)))
    small = np.asarray(whole.resize((inner, inner), Image.Resampling.BILINEAR))
    return np.pad(small, (SIDE - inner) // 2)
