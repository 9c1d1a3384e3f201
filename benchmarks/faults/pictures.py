"""Image files of every kind that goes wrong somewhere, and of kinds that are only unusual."""

import functools
import io
import random
import struct
import zlib

import numpy as np
from PIL import Image

HUGE = 20_000
CUT = "is cut off or damaged"
NEITHER = "is neither a JPEG nor a PNG file"
MANY = "has too many pixels"
HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"


def picture(seed, height=48, width=56):
    """An RGB image of coarse colours under noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 7, 3), "uint8"))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray(np.clip(pixels + rng.integers(-20, 21, pixels.shape), 0, 255).astype("uint8"))


def encoded(image, kind="JPEG", **options):
    """The bytes of an image's file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _animated(seed, kind):
    return encoded(picture(seed), kind, save_all=True, append_images=[picture(seed + 1)])


def _cut(seed, kind):
    whole = encoded(picture(seed), kind)
    return whole[: random.Random(seed).randrange(100, len(whole) - 40)]


def _flipped_png(seed):
    """One bit flipped in the compressed pixels, which their checksum finds."""
    changed = bytearray(encoded(picture(seed), "PNG"))
    draw = random.Random(seed)
    changed[draw.randrange(60, len(changed) - 30)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _huge_jpeg(seed):
    """A small JPEG file that claims to be huge."""
    changed = bytearray(encoded(picture(seed)))
    frame = changed.index(b"\xff\xc0")
    changed[frame + 5 : frame + 9] = struct.pack(">HH", HUGE, HUGE)
    return bytes(changed)


@functools.cache
def _huge_png():
    """A whole PNG file of 20,000×20,000 black pixels in few bytes, which would take 1.2 GB."""
    compress = zlib.compressobj(1)
    row = bytes(1 + 3 * HUGE)
    pixels = b"".join(compress.compress(row) for _ in range(HUGE)) + compress.flush()
    chunks = (b"IHDR", struct.pack(">IIBBBBB", HUGE, HUGE, 8, 2, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _deep(seed):
    grey = np.asarray(picture(seed).convert("L")).astype("uint16")
    return encoded(Image.fromarray(grey * 257), "PNG")


# Name: ending, function of a seed that makes the file, and what is wrong with it; `None`: it can be read.
KINDS = {
    "empty": (".jpg", lambda seed: b"", "is empty"),
    "text": (".jpg", lambda seed: b"not a picture\n" * (1 + seed % 99), NEITHER),
    "html": (".png", lambda seed: HTML + b" " * (seed % 99), NEITHER),
    "zeros": (".jpg", lambda seed: bytes(1000), NEITHER),
    "head": (".jpg", lambda seed: b"\xff\xd8\xff", CUT),
    "junk": (".jpg", lambda seed: b"\xff\xd8\xff" + random.Random(seed).randbytes(999), CUT),
    "cut": (".jpg", lambda seed: _cut(seed, "JPEG"), CUT),
    "cut_png": (".png", lambda seed: _cut(seed, "PNG"), CUT),
    "flipped_png": (".png", _flipped_png, CUT),
    "huge": (".jpg", _huge_jpeg, MANY),
    "huge_png": (".png", lambda seed: _huge_png(), MANY),
    "gif": (".jpg", lambda seed: encoded(picture(seed), "GIF"), "is a GIF file, neither JPEG nor PNG"),
    "animated_gif": (".jpg", lambda seed: _animated(seed, "GIF"), "is a GIF file, neither JPEG nor PNG"),
    "webp": (".jpg", lambda seed: encoded(picture(seed), "WEBP"), "is a WebP file, neither JPEG nor PNG"),
    "animated_webp": (".png", lambda seed: _animated(seed, "WEBP"), "is a WebP file, neither JPEG nor PNG"),
    "bmp": (".jpg", lambda seed: encoded(picture(seed), "BMP"), "is a BMP file, neither JPEG nor PNG"),
    "tiff": (".jpg", lambda seed: encoded(picture(seed), "TIFF"), "is a TIFF file, neither JPEG nor PNG"),
    "one_pixel": (".png", lambda seed: encoded(picture(seed, 1, 1), "PNG"), None),
    "cmyk": (".jpg", lambda seed: encoded(picture(seed).convert("CMYK")), None),
    "grey": (".jpg", lambda seed: encoded(picture(seed).convert("L")), None),
    "grey_png": (".png", lambda seed: encoded(picture(seed).convert("L"), "PNG"), None),
    "deep_png": (".png", _deep, None),
    "alpha": (".png", lambda seed: encoded(picture(seed).convert("RGBA"), "PNG"), None),
    "palette": (".png", lambda seed: encoded(picture(seed).convert("P"), "PNG"), None),
    "animated_png": (".png", lambda seed: _animated(seed, "PNG"), None),
    "progressive": (".jpg", lambda seed: encoded(picture(seed), progressive=True), None),
    "png_called": (".jpg", lambda seed: encoded(picture(seed), "PNG"), None),
    "jpeg_called": (".png", lambda seed: encoded(picture(seed)), None),
}


def odd_files(count, seed=0):
    """Files of all kinds in turn.

    Args:
        count: Integer, how many.
        seed: Integer. Defaults to `0`.

    Returns:
        `{name: (contents, reason)}`; the reason is `None` for a file that can be read.
    """
    found = {}
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        suffix, make, reason = KINDS[kind]
        found[f"{kind}-{number:03}{suffix}"] = make(seed + number), reason
    return found
