"""Odd image files, each with the pixels that it shows."""

import io
import struct

import numpy as np
from PIL import Image

SIZE = 48  # square, so that every orientation has it
_TURNED = {  # how the displayed picture is stored
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def picture():
    """Return a smooth picture (48, 48, 3) uint8 without symmetry."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(noise).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def oriented(kind, number, **options):
    exif = Image.Exif()
    exif[0x0112] = number
    stored = Image.fromarray(np.ascontiguousarray(_TURNED[number](picture())))
    return saved(stored, kind, exif=exif, **options)


def shown(contents):
    """Return the pixels of a file without turn, as Pillow converts them."""
    return np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))


def _turned_jpegs():
    for number, undo in ((2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 7), (8, 6)):
        contents = oriented("JPEG", number, quality=95)
        yield f"turned{number}.jpg", contents, _TURNED[undo](shown(contents))


def odd_images():
    """Yield (name, contents, pixels (48, 48, 3)) of odd files."""
    pixels = picture()
    image, gray = Image.fromarray(pixels), pixels[..., 0]
    jpeg = saved(image, "JPEG", quality=95)
    yield "plain.jpg", jpeg, shown(jpeg)
    yield from _turned_jpegs()
    yield "trailing.jpg", jpeg + b"\0video" * 999, shown(jpeg)
    broken = jpeg[:2] + b"\xff\xe1\x00\x10Exif\0\0II*\0\xff\xff\xff\xff" + jpeg[2:]
    yield "broken_exif.jpg", broken, shown(jpeg)
    for name, options in {
        "progressive.jpg": {"progressive": True},
        "full_chroma.JPEG": {"subsampling": 0},
        "restarts.jfif": {"restart_marker_blocks": 2},
        "long_header.jpg": {"icc_profile": bytes(5000)},
    }.items():
        contents = saved(image, "JPEG", quality=90, **options)
        yield name, contents, shown(contents)
    for mode in ("L", "CMYK"):
        contents = saved(image.convert(mode), "JPEG", quality=95)
        yield f"{mode}.jpg", contents, shown(contents)
    mpo = saved(image, "MPO", save_all=True, append_images=[Image.new("RGB", image.size)])
    yield "two.mpo", mpo, shown(mpo)
    yield "turned.png", oriented("PNG", 6), pixels
    yield "turned.tif", oriented("TIFF", 8), pixels
    yield "turned.webp", oriented("WEBP", 5, lossless=True), pixels
    sixteen = gray.astype(np.uint16) * 256 + 99
    gray_pixels = np.repeat(gray[..., None], 3, axis=-1)
    for suffix, kind in (("png", "PNG"), ("tiff", "TIFF")):
        yield f"sixteen.{suffix}", saved(Image.fromarray(sixteen), kind), gray_pixels
    yield "sixteen_rgb.png", _sixteen_rgb(pixels), pixels
    alpha = np.zeros((SIZE, SIZE, 1), np.uint8)
    alpha[: SIZE // 2] = 255
    on_white = np.where(alpha > 0, pixels, 255)
    rgba = Image.fromarray(np.concatenate([pixels, alpha], axis=-1))
    yield "alpha.png", saved(rgba, "PNG"), on_white
    yield "alpha.webp", saved(rgba, "WEBP", lossless=True), on_white
    la = Image.fromarray(np.concatenate([gray[..., None], alpha], axis=-1))
    yield "alpha_gray.png", saved(la, "PNG"), np.where(alpha > 0, gray_pixels, 255)
    palette = Image.fromarray(np.uint8(gray > 99))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    expected = np.where((gray > 99)[..., None], [40, 50, 60], 255)
    for suffix, kind in (("png", "PNG"), ("GIF", "GIF")):
        yield f"palette.{suffix}", saved(palette, kind, transparency=0), expected
    bits = Image.fromarray(gray > 99)
    for suffix, kind in (("png", "PNG"), ("bmp", "BMP"), ("tif", "TIFF")):
        yield f"bits.{suffix}", saved(bits, kind), np.where((gray > 99)[..., None], [255] * 3, 0)
    frames = {"save_all": True, "append_images": [Image.new("RGB", image.size, "red")]}
    yield "moving.webp", saved(image, "WEBP", lossless=True, **frames), pixels
    yield "moving.png", saved(image, "PNG", **frames), pixels
    yield "pages.tif", saved(image, "TIFF", **frames), pixels
    gif = saved(image.quantize(16), "GIF", save_all=True, append_images=[palette])
    yield "moving.gif", gif, shown(gif)
    yield "pixels.ppm", saved(image, "PPM"), pixels
    yield "png_named.jpg", saved(image, "PNG"), pixels


def _sixteen_rgb(pixels):
    """Return a PNG of 16 bits per channel, which Pillow cannot write."""
    from zlib import compress, crc32

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc32(name + body))

    wide = (pixels.astype(">u2") * 256 + 99).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def broken_images():
    """Return the contents of files that are no complete images, by name."""
    image = Image.fromarray(picture())
    whole = {
        f"cut.{kind.lower()}": saved(image, kind)
        for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
    }
    cut = {name: contents[: len(contents) * 2 // 3] for name, contents in whole.items()}
    thumbnail = saved(Image.new("RGB", (8, 8)), "JPEG")
    jpeg = saved(Image.fromarray(picture()), "JPEG", exif=b"Exif\0\0" + bytes(40) + thumbnail)
    floats = np.zeros((SIZE, SIZE), np.float32)
    return cut | {
        "empty.jpg": b"",
        "page.jpg": b"<!DOCTYPE html><html></html>",
        "pointer.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "phone.jpg": b"\0\0\0\x18ftypheic" + bytes(60),
        "no_end.jpg": jpeg[:-2],
        "thumbnail.jpg": jpeg[: jpeg.index(thumbnail) + len(thumbnail) + 700],
        "floats.tif": saved(Image.fromarray(floats), "TIFF"),
        "integers.tif": saved(Image.fromarray(floats.astype(np.int32)), "TIFF"),
    }
