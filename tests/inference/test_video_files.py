"""Videos are read as players show them and written as they were read."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from keras_shufflenet.inference import video_reader
from keras_shufflenet.inference.video_reader import FrameFolder, VideoReader, is_video
from keras_shufflenet.inference.video_writer import VideoWriter

QUARTERS = np.array([[200, 30, 40], [20, 180, 60], [30, 60, 210], [128, 128, 128]], np.uint8)


def picture(height=48, width=64):
    """Four colored quarters, of which every turn is another picture."""
    rows, columns = np.arange(height) >= height // 2, np.arange(width) >= width // 2
    return QUARTERS[2 * rows[:, None].astype(int) + columns]


def write(path, frames, times, fps=25.0):
    with VideoWriter(path, fps) as writer:
        for pixels, time in zip(frames, times, strict=True):
            writer.write(pixels, time)


def write_and_raise(path, error):
    with VideoWriter(path, 25) as writer:
        writer.write(picture(), 0)
        raise error


def read(path):
    reader = VideoReader(path)
    frames = list(reader)
    reader.close()
    return reader, frames


def reference(path):
    """The first frame, as OpenCV reads and turns it."""
    found, pixels = cv2.VideoCapture(str(path)).read()
    assert found
    return pixels[..., ::-1]


def test_what_is_written_is_read(tmp_path):
    frames = [np.roll(picture(), 4 * step, axis=1) for step in range(6)]
    write(tmp_path / "clip.mp4", frames, np.arange(6) / 25)
    reader, found = read(tmp_path / "clip.mp4")
    assert (reader.fps, reader.num_frames, reader.broken_packets) == (25, 6, 0)
    assert [frame.frame_id for frame in found] == list(range(6))
    np.testing.assert_allclose([frame.time for frame in found], np.arange(6) / 25, atol=1e-4)
    for frame, pixels in zip(found, frames, strict=True):
        assert frame.pixels.shape == pixels.shape
        error = np.abs(frame.pixels.astype(int) - pixels)
        assert np.median(error) <= 4  # of H.264 and its colors
    np.testing.assert_allclose(found[0].pixels, reference(tmp_path / "clip.mp4"), atol=3)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_variable_frame_rate_is_kept(tmp_path):
    times = [0, 0.04, 0.4, 0.5, 1.75]
    write(tmp_path / "clip.mkv", [picture()] * 5, times)
    _, found = read(tmp_path / "clip.mkv")
    np.testing.assert_allclose([frame.time for frame in found], times, atol=2e-3)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_the_rotation_of_phones_is_applied(tmp_path, degrees):
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.height, stream.width, _ = picture().shape
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(degrees)
        frame = av.VideoFrame.from_ndarray(picture(), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    _, (found,) = read(path)
    expected = np.rot90(picture(), degrees // 90)
    assert found.pixels.shape == expected.shape
    assert np.median(np.abs(found.pixels.astype(int) - expected)) < 25  # without tags of colors
    np.testing.assert_allclose(found.pixels, reference(path), atol=3)


def test_wide_pixels_become_square(tmp_path):
    path = tmp_path / "dv.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, _ = picture().shape
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        frame = av.VideoFrame.from_ndarray(picture(), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    _, (found,) = read(path)
    assert found.pixels.shape == (48, 96, 3)


def test_odd_sizes_get_a_row_and_a_column_more(tmp_path):
    write(tmp_path / "odd.mp4", [picture(47, 63)], [0])
    _, (found,) = read(tmp_path / "odd.mp4")
    assert found.pixels.shape == (48, 64, 3)
    assert np.abs(found.pixels[:47, :63].astype(int) - picture(47, 63)).mean() < 6


def test_files_that_are_no_video(tmp_path):
    empty, text, sound = (tmp_path / name for name in ("empty.mp4", "text.mp4", "sound.mp4"))
    empty.touch()
    text.write_text("not a video " * 100)
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    for path in (empty, text):
        with pytest.raises(
            ValueError, match=rf"that FFmpeg reads \(.*\)\. Received: .*{path.name}"
        ):
            VideoReader(path)
    with pytest.raises(ValueError, match=r"must have pictures. Received: .*sound.mp4 with sound"):
        VideoReader(sound)
    with pytest.raises(FileNotFoundError, match=r"existing file. Received: .*none.mp4"):
        VideoReader(tmp_path / "none.mp4")


def test_a_video_that_breaks_off(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3)).astype(np.uint8)
    write(tmp_path / "whole.mkv", noise, np.arange(30) / 25)
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "part.mkv").write_bytes(content[: len(content) // 2])
    reader, found = read(tmp_path / "part.mkv")
    assert 5 < len(found) < 25
    assert reader.lacks(len(found))
    whole, found = read(tmp_path / "whole.mkv")
    assert not whole.lacks(len(found))


def test_damaged_frames_are_counted(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3)).astype(np.uint8)
    write(tmp_path / "clip.mp4", noise, np.arange(30) / 25)
    content = bytearray((tmp_path / "clip.mp4").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8000] = bytes(8000)
    (tmp_path / "clip.mp4").write_bytes(content)
    reader, found = read(tmp_path / "clip.mp4")
    assert found
    assert reader.lacks(len(found))


def test_a_video_that_fails_is_removed_and_one_that_is_stopped_is_complete(tmp_path):
    path = tmp_path / "clip.mp4"
    with pytest.raises(ZeroDivisionError):
        write_and_raise(path, ZeroDivisionError)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(path, KeyboardInterrupt)
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]
    assert len(read(path)[1]) == 1


def test_a_folder_of_frames(tmp_path):
    for number in range(3):
        Image.fromarray(np.roll(picture(), number, axis=1)).save(tmp_path / f"{number}.png")
    paths = sorted(tmp_path.iterdir())
    frames = list(FrameFolder("frames", paths, 10))
    assert [frame.time for frame in frames] == [0, 0.1, 0.2]
    np.testing.assert_array_equal(frames[1].pixels, np.roll(picture(), 1, axis=1))
    Image.fromarray(picture(50, 64)).save(paths[2])
    with pytest.raises(ValueError, match=r"one size, 64 × 48 pixels. Received: 64 × 50 in .*2.png"):
        FrameFolder("frames", paths, 10)
    with pytest.raises(ValueError, match="`paths` must have a frame"):
        FrameFolder("frames", [], 10)


def test_a_camera(monkeypatch):
    """FFmpeg's test picture stands for a camera."""
    monkeypatch.setattr(video_reader.platform, "system", lambda: "Test")
    monkeypatch.setitem(video_reader.CAMERA_FORMATS, "Test", "lavfi")
    reader = VideoReader("camera:testsrc=size=64x48:rate=10")
    assert reader.num_frames is None
    times = [frame.time for frame, _ in zip(reader, range(4), strict=False)]
    reader.close()
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.3])


def test_a_camera_that_is_not_there(monkeypatch):
    monkeypatch.setattr(video_reader.platform, "system", lambda: "Linux")
    with pytest.raises(FileNotFoundError, match=r"must be connected\. Received: camera:87"):
        VideoReader("camera:87")


@pytest.mark.parametrize("word", ["clip.mp4", "a/B.MOV", "camera:0"])
def test_what_is_a_video(word):
    assert is_video(word)
    assert not is_video("photo.jpg")


def test_arguments_of_the_writer(tmp_path):
    with pytest.raises(ValueError, match=r"must end in .mp4, .mov, .mkv. Received: .*clip.avi"):
        VideoWriter(tmp_path / "clip.avi", 25)
    with pytest.raises(ValueError, match="fps=0"):
        VideoWriter(tmp_path / "clip.mp4", 0)
    with pytest.raises(ValueError, match=r"one size, 64 × 48 pixels. Received: 64 × 50"):
        write(tmp_path / "clip.mp4", [picture(), picture(50)], [0, 0.1])
