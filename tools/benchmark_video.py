"""Pose estimation on video: ids, and the time of the whole chain and of its parts.

There are two kinds of videos. A camera pans over photographs and zooms into them: its people stand
still, but are real. Synthetic people walk, cross and occlude each other.

    python tools/benchmark_video.py --annotations coco/person_keypoints_val_complete.json \
        --image-dir coco/images --detector nanodet_int8.tflite --pose pose_int8.tflite \
        --results-csv results/video.csv

Times are CPU time of all threads together, which other programs on the machine affect less than the
frames per second by the clock.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_shufflenet._results import append_row
from keras_shufflenet.inference import (
    PersonDetector,
    PosePredictor,
    VideoPosePredictor,
    VideoReader,
    VideoWriter,
    draw_tracks,
)
from keras_shufflenet.inference.image_io import to_array
from keras_shufflenet.keypoints.annotations import read_json
from keras_shufflenet.metrics.mot import TrackedBoxes, evaluate_tracking
from keras_shufflenet.synthetic_people.walking import walking_people

SIZE = (360, 480)  # height and width of the videos
FPS = 30
PEOPLE = (2, 5)  # of a photograph
TALL = 0.22  # of the photograph's height: smaller people are left out
VISIBLE = 0.6  # of a person's box
CYCLE = 90  # frames of the camera's way back and forth
PARTS = ("decoding", "detector", "pose", "drawing", "encoding")

Array = NDArray[np.float64]
Video = list[tuple[NDArray[np.uint8], TrackedBoxes]]


class Stopwatch:
    """Seconds of the processor by part."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that adds its time to that of a part."""

        def call(*arguments: Any, **options: Any) -> Any:
            start = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[part] += time.process_time() - start

        return call


class Timed(NamedTuple):
    """A detector or pose estimator whose calls are timed."""

    wrapped: Any
    method: str
    call: Callable[..., Any]
    detector: Any = None

    def __getattr__(self, name: str) -> Any:
        """Return the timed method, or what the wrapped object has."""
        return self.call if name == self.method else getattr(self.wrapped, name)


def photographs(annotations: Path, image_dir: Path, count: int, frames: int) -> Iterator[Video]:
    """Yield videos of photographs with a few people, and their annotated boxes."""
    content, _ = read_json(annotations, "annotations")
    people = defaultdict(list)
    for entry in content["annotations"]:
        people[entry["image_id"]].append(entry)
    left = count
    for image in content["images"]:
        tall = [
            entry["bbox"]
            for entry in people[image["id"]]
            if not entry["iscrowd"] and entry["bbox"][3] > TALL * image["height"]
        ]
        if PEOPLE[0] <= len(tall) <= PEOPLE[1] and left:
            left -= 1
            pixels = to_array(image_dir / image["file_name"])
            yield list(pan(pixels, np.array(tall, float), frames, image["id"]))


def pan(pixels: NDArray[np.uint8], bboxes: Array, frames: int, seed: int) -> Iterator[Any]:
    """Yield what a camera sees that pans over a photograph and zooms by up to 1.5."""
    image, (height, width) = Image.fromarray(pixels), SIZE
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 3)
    corners = np.concatenate([bboxes[:, :2], bboxes[:, :2] + bboxes[:, 2:]], axis=1)
    for frame in range(frames):
        zoom, across, down = np.sin(2 * np.pi * frame / CYCLE + phases).tolist()
        scale = max(width / image.width, height / image.height) * (1.25 + 0.25 * zoom)
        view = np.array([width, height]) / scale
        way = np.array([across, down])
        left, top = ((image.width, image.height) - view) / 2 * (1 + 0.9 * way)
        matrix = (1 / scale, 0, left, 0, 1 / scale, top)
        seen = image.transform(
            (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        boxes = (corners - [left, top, left, top]) * scale
        clipped = np.clip(boxes, 0, [width, height, width, height])
        areas, full = ((each[:, 2:] - each[:, :2]).prod(-1) for each in (clipped, boxes))
        kept = np.flatnonzero(areas > VISIBLE * full)
        yield np.asarray(seen), TrackedBoxes(kept, clipped[kept])


def walks(count: int, frames: int) -> Iterator[Video]:
    """Yield videos of synthetic people, with the boxes of those who are mostly visible."""
    for seed in range(count):
        video = list(
            walking_people(frames, fps=FPS, image_size=SIZE, num_people=2 + seed % 3, seed=seed)
        )
        most: defaultdict[int, float] = defaultdict(float)
        for _, people in video:
            for entry in people:
                most[entry["track_id"]] = max(most[entry["track_id"]], entry["area"])
        annotated = []
        for pixels, people in video:
            seen = [each for each in people if each["area"] > VISIBLE * most[each["track_id"]]]
            bboxes = np.array([each["bbox"] for each in seen], float).reshape(-1, 4)
            corners = np.concatenate([bboxes[:, :2], bboxes[:, :2] + bboxes[:, 2:]], axis=1)
            annotated.append((pixels, TrackedBoxes([each["track_id"] for each in seen], corners)))
        yield annotated


def load_pose(path: str) -> PosePredictor:
    """Load a pose estimator, also the ONNX file of GluonCV's SimplePose networks."""
    if not path.endswith(".onnx"):
        return PosePredictor.load(path, flip_test=False)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    std = np.array([0.229, 0.224, 0.225], np.float32)

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        planes = ((images / 255 - mean) / std).astype(np.float32).transpose(0, 3, 1, 2)
        maps = [session.run(None, {"data": plane[None]})[0] for plane in planes]
        return np.concatenate(maps).transpose(0, 2, 3, 1)

    return PosePredictor.load(run, input_size=(256, 192), flip_test=False)


def measure(
    videos: list[Video],
    pose: PosePredictor,
    detector: PersonDetector,
    interval: int,
    folder: Path,
    keep: Path | None,
) -> dict[str, float]:
    """Predict all videos from file to file: metrics and times by name."""
    watch, pairs, detections, count, seconds = Stopwatch(), [], 0, 0, 0.0
    timed_detector = Timed(detector, "detect", watch.timed("detector", detector.detect))
    timed_pose: Any = Timed(
        pose, "predict", watch.timed("pose", pose.predict), detector=timed_detector
    )
    draw = watch.timed("drawing", draw_tracks)
    for number, video in enumerate(videos):
        source, drawn = folder / f"{number}.mp4", (keep or folder) / f"drawn{interval}_{number}.mp4"
        with VideoWriter(source, FPS) as writer:
            for index, (pixels, _) in enumerate(video):
                writer.write(pixels, index / FPS)
        start = time.perf_counter()
        reader, predictor = (
            VideoReader(source),
            VideoPosePredictor(timed_pose, detection_interval=interval),
        )
        frames = iter(reader)
        with VideoWriter(drawn, FPS) as writer:
            write = watch.timed("encoding", writer.write)
            for _, (_, annotated) in enumerate(video):
                frame = watch.timed("decoding", next)(frames)
                poses = predictor.predict_frame(frame)
                write(draw(frame.pixels, poses, pose.skeleton), frame.time)
                corners = poses.bboxes + np.pad(poses.bboxes[:, :2], ((0, 0), (2, 0)))
                shifted = np.asarray(annotated.ids) + 1000 * number
                tracks = TrackedBoxes(poses.track_ids + 1000 * number, corners)
                pairs.append((TrackedBoxes(shifted, annotated.boxes), tracks))
                detections, count = detections + poses.detected, count + 1
        reader.close()
        seconds += time.perf_counter() - start
    metrics = evaluate_tracking(pairs)
    times = {f"{part}_cpu_ms": 1000 * watch.seconds[part] / count for part in PARTS}
    return {
        "videos": len(videos),
        "frames": count,
        "persons_per_frame": metrics.objects / count,
        "detections": detections,
        "id_switches": metrics.id_switches,
        "idf1": metrics.idf1,
        "misses": metrics.misses,
        **times,
        "cpu_frames_per_second": count / sum(watch.seconds.values()),
        "frames_per_second": count / seconds,
    }


def main() -> None:
    """Measure, print, and append rows to a results file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--image-dir", type=Path, required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--pose", action="append", required=True)
    parser.add_argument("--detection-interval", type=int, action="append")
    parser.add_argument("--videos", type=int, default=10, help="Number of videos of each kind.")
    parser.add_argument("--frames", type=int, default=60, help="Number of frames of a video.")
    parser.add_argument("--keep", type=Path, help="Folder for the drawn videos.")
    parser.add_argument("--results-csv", type=Path)
    arguments = parser.parse_args()
    detector = PersonDetector.load(arguments.detector)
    amount = arguments.videos, arguments.frames
    kinds = {
        "photographs": list(photographs(arguments.annotations, arguments.image_dir, *amount)),
        "synthetic people": list(walks(*amount)),
    }
    for path in arguments.pose:
        pose = load_pose(path)
        for kind, videos in kinds.items():
            for interval in arguments.detection_interval or (1, 5, 10):
                with tempfile.TemporaryDirectory() as folder:
                    row = measure(videos, pose, detector, interval, Path(folder), arguments.keep)
                subject: dict[str, Any] = {
                    "video": kind,
                    "size": f"{SIZE[1]}x{SIZE[0]}",
                    "detector": Path(arguments.detector).name,
                    "pose": Path(path).name,
                    "detection_interval": str(interval),
                }
                print(subject, {name: round(value, 3) for name, value in row.items()}, flush=True)
                if arguments.results_csv is not None:
                    program = f"python tools/{Path(__file__).name}"
                    append_row(arguments.results_csv, {**subject, **row}, program)


if __name__ == "__main__":
    main()
