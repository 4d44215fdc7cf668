"""`predict` on videos: a tiny clip of synthetic people, and what users get wrong."""

import _thread
import csv
import json
import signal
import threading

import numpy as np
import pytest
from PIL import Image

from keras_shufflenet.cli import video_arguments
from keras_shufflenet.inference.video_reader import VideoReader
from keras_shufflenet.inference.video_writer import VideoWriter
from keras_shufflenet.synthetic_people.walking import walking_people

SIZE = (64, 96)


@pytest.fixture(scope="module")
def frames():
    walk = walking_people(6, fps=6, image_size=SIZE, num_people=2, seed=1)
    return [pixels for pixels, _ in walk]


@pytest.fixture(scope="module")
def clip(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    with VideoWriter(path, 6) as writer:
        for number, pixels in enumerate(frames):
            writer.write(pixels, number / 6)
    return path


@pytest.fixture
def predict(command, tiny_pose_file, detector_file, tmp_path):
    """Run `predict pose` with small networks; persons are whatever has any score."""

    def call(*arguments):
        options = ("--detector", detector_file, "--score-threshold", 0, "--output-dir", tmp_path)
        return command("predict", "pose", tiny_pose_file, *arguments, *options)

    return call


def read(path):
    reader = VideoReader(path)
    found = list(reader)
    reader.close()
    return found


def test_a_clip(predict, clip, frames, tmp_path):
    code, output, errors = predict(clip, "--detection-interval", 2, "--keypoint-threshold", 0)
    assert (code, errors) == (0, "")
    assert f"{tmp_path / 'clip.mp4'}: 6 frames, " in output
    assert "frames per second" in output
    drawn = read(tmp_path / "clip.mp4")
    assert len(drawn) == 6
    assert drawn[0].pixels.shape == (*SIZE, 3)
    assert np.abs(drawn[5].pixels.astype(int) - frames[5]).mean() > 1  # skeletons
    records = json.loads((tmp_path / "predictions.json").read_text())
    assert records
    assert {record["file_name"] for record in records} == {"clip.mp4"}
    assert {record["frame"] for record in records} <= set(range(6))
    assert all(record["track_id"] > 0 and len(record["keypoints"]) == 17 for record in records)
    assert records[-1]["time"] == pytest.approx(records[-1]["frame"] / 6, abs=1e-3)
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["track_id"] for row in rows] == [str(record["track_id"]) for record in records]
    assert float(rows[0]["nose_x"]) == records[0]["keypoints"]["nose"][0]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clip.mp4",
        "predictions.csv",
        "predictions.json",
    ]


def test_objects_of_a_clip(command, clip, frames, detector_file, tmp_path):
    """The detector takes every frame for a person."""
    code, output, errors = command(
        "predict", "detect", detector_file, clip, "--output-dir", tmp_path
    )
    assert (code, errors) == (0, "")
    assert f"{tmp_path / 'clip.mp4'}: 6 frames, 6 detections, " in output
    drawn = read(tmp_path / "clip.mp4")
    assert [frame.pixels.shape for frame in drawn] == 6 * [(*SIZE, 3)]
    assert np.abs(drawn[5].pixels.astype(int) - frames[5]).mean() > 1
    records = json.loads((tmp_path / "predictions.json").read_text())
    assert [record["frame"] for record in records] == list(range(6))
    assert records[5] == {
        **{"file_name": "clip.mp4", "frame": 5, "time": pytest.approx(5 / 6, abs=1e-3)},
        **{"category": "person", "score": 0.9},
        "bbox": pytest.approx([0, 0, SIZE[1], SIZE[0]], abs=1e-3),
    }
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["bbox_width"]) for row in rows] == [each["bbox"][2] for each in records]


def test_frames_without_an_object(command, frames, detector_file, tmp_path):
    Image.fromarray(frames[0]).save(tmp_path / "frame.png")
    words = (tmp_path / "*.png", "--fps", 5, "--category", "cat", "--output-dir", tmp_path / "out")
    code, output, errors = command("predict", "detect", detector_file, *words)
    assert (code, errors) == (0, "")
    assert "1 frame, 0 detections, " in output
    assert json.loads((tmp_path / "out" / "predictions.json").read_text()) == []
    header = (tmp_path / "out" / "predictions.csv").read_text().strip()
    assert header.startswith("file_name,frame,time,category,score,bbox_x,")


def test_a_folder_of_frames_is_a_video(predict, frames, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, pixels in enumerate(frames[:3]):
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    code, _, errors = predict(folder, "--fps", 12, "--no-smoothing", "--track-by", "iou")
    assert (code, errors) == (0, "")
    assert [frame.time for frame in read(tmp_path / "frames.mp4")] == pytest.approx(
        [0, 1 / 12, 1 / 6]
    )


def test_the_frames_of_a_pattern(frames, tmp_path):
    for number in (10, 9, 2):
        Image.new("L", SIZE, number).save(tmp_path / f"f{number}.png")
    ((name, opener),) = video_arguments.find_videos([str(tmp_path / "*.png")], 5)
    assert [int(frame.pixels.max()) for frame in opener()] == [2, 9, 10]
    assert opener().name == tmp_path.name  # in messages and results
    assert video_arguments.output_paths([name], tmp_path / "out") == [
        tmp_path / "out" / f"{tmp_path.name}.mp4"
    ]
    assert video_arguments._stem("walk_*.png") == "walk"
    assert video_arguments._stem("walk_.mp4") == "walk_"


def test_a_video_that_breaks_off(predict, clip, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, *SIZE, 3)).astype(np.uint8)
    with VideoWriter(tmp_path / "whole.mkv", 10) as writer:
        for number, pixels in enumerate(noise):
            writer.write(pixels, number / 10)
    content = (tmp_path / "whole.mkv").read_bytes()
    broken = tmp_path / "in" / "broken.mkv"
    broken.parent.mkdir()
    broken.write_bytes(content[: len(content) // 3])
    code, _, errors = predict(broken)
    assert code == 1
    assert "broken.mkv is damaged: " in errors
    assert "readable to its end; the frames that could be read were predicted" in errors
    assert 1 < len(read(tmp_path / "broken.mp4")) < 15


def test_ctrl_c_completes_the_video(predict, clip, tmp_path, monkeypatch):
    class Impatient(VideoReader):
        def __iter__(self):
            for frame in super().__iter__():
                if frame.frame_id == 2:
                    _thread.interrupt_main()  # as SIGINT does
                yield frame

    assert threading.current_thread() is threading.main_thread()
    monkeypatch.setattr("keras_shufflenet.inference.video_reader.VideoReader", Impatient)
    before = signal.getsignal(signal.SIGINT)
    code, output, _ = predict(clip)
    assert code == 0
    assert "3 frames" in output
    assert "stopped by Ctrl-C" in output
    assert len(read(tmp_path / "clip.mp4")) == 3
    json.loads((tmp_path / "predictions.json").read_text())
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clip.mp4", "photo.jpg"), "IMAGE must be images or videos, not both"),
        (("photo.jpg", "--detection-interval", 3), "--detection-interval must be given for videos"),
        (("photo.jpg", "--no-smoothing"), "--smoothing must be given for videos alone"),
        (("clip.mp4", "--bbox", "1,1,5,5"), "must be found by a detector. Received: --bbox"),
        (("none.mp4",), "A video must be an existing file. Received: none.mp4"),
        (("text.mp4",), "that FFmpeg reads (Invalid data found when processing input)"),
        (("clip.mp4", "other/clip.mov"), "Videos must differ in name"),
        (("camera:0", "clip.mp4"), "must be the last"),
        (("clip.mp4", "--fps", 5), "--fps must be given for folders or patterns of images"),
        (("https://example.org/clip.mp4",), "must be a file, not a URL: download it"),
        (("other",), "`predict` takes videos by a pattern: 'other/*.mov'"),
        (("-", "--fps", 5), "--fps must be given for folders or patterns of images"),
        (("clip.mp4", "--output-dir", "."), "--output-dir must be another folder"),
        (("clip.mp4", "--track-by", "color"), "'color' is not one of"),
    ],
)
def test_mistakes(command, tiny_pose_file, clip, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "clip.mov").write_bytes(clip.read_bytes())
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    code, _, errors = command("predict", "pose", tiny_pose_file, *arguments)
    assert code in (1, 2)
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_without_pyav(command, tiny_pose_file, clip, monkeypatch):
    monkeypatch.setattr("keras_shufflenet._requirements.find_spec", lambda name: None)
    code, _, errors = command("predict", "pose", tiny_pose_file, clip)
    assert code == 1
    assert "A video requires av: `pip install 'keras-shufflenet[video]'`" in errors


def test_the_default_of_the_help_is_that_of_the_package():
    from keras_shufflenet.inference import video

    assert video_arguments.DETECTION_INTERVAL == video.DETECTION_INTERVAL
