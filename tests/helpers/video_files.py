"""Little videos of every kind, made by PyAV."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

RED = (255, 0, 0)


def write(
    path: Path,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    images=None,
    source: str = "rgb24",
    times=None,
    rotation: int | None = None,
    matrix: int | None = None,
    full_range: bool = False,
    options: dict | None = None,
) -> Path:
    """A video of `images` (pictures in the format `source`; ten red ones without), shown at `times` or 25 a second.

    `matrix` is 1 for BT.709 and 5 for BT.601, written into the file; `rotation` is in degrees, as phones write it.
    """
    images = [np.full((48, 64, 3), RED, np.uint8)] * 10 if images is None else images
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        ticks = 25 if times is None else 1000
        stream.codec_context.time_base = Fraction(1, ticks)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if matrix:
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = 2 if full_range else 1
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format=source)
            if matrix:
                frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=2 if full_range else 1)
            frame.pts = index if times is None else round(ticks * times[index])
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def quarters(height: int = 48, width: int = 64) -> np.ndarray:
    """Red, green, blue and white, clockwise from the top left."""
    image = np.full((height, width, 3), 255, np.uint8)
    image[: height // 2, : width // 2] = RED
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (255, 255, 255)
    image[height // 2 :, width // 2 :] = (0, 0, 255)
    return image


def textures(count: int = 40) -> list[np.ndarray]:
    """Noise that moves, so that every picture takes some bytes."""
    base = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    return [np.roll(base, 2 * index, axis=1) for index in range(count)]


def cut(path: Path, share: float) -> Path:
    """The first `share` of a file."""
    data = path.read_bytes()
    result = path.with_name(f"cut_{path.name}")
    result.write_bytes(data[: round(share * len(data))])
    return result


def break_picture(path: Path, number: int) -> Path:
    """The file with its picture `number`, from 0, overwritten."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    position, size = packets[number]
    data[position : position + size] = bytes(size)
    result = path.with_name(f"broken_{path.name}")
    result.write_bytes(data)
    return result


def write_sound(path: Path, cover: bool = False) -> Path:
    """A file with nothing but sound, or with the picture of a cover as well."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        if cover:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
            picture.disposition = Disposition.attached_pic
            image = av.VideoFrame.from_ndarray(quarters(), format="rgb24")
            image.pts = 0
            container.mux([*picture.encode(image), *picture.encode()])
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_with_cover(path: Path, flagged: bool = False, count: int = 10) -> Path:
    """Red pictures on a second track, behind a larger cover of one picture, which may be marked as one."""
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 192, 144, "yuvj420p"
        if flagged:
            cover.disposition = Disposition.attached_pic
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = av.VideoFrame.from_ndarray(quarters(144, 192), format="rgb24")
        container.mux([*cover.encode(picture), *cover.encode()])
        for _ in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), RED, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
