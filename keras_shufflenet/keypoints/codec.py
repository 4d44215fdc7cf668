"""Heatmap codecs: the one object that turns keypoints into training targets and maps into points.

An encoding is a way to draw the target; each comes with the decoding, the crop and the flip test
that belong to it. The published ShuffleNet and MobileNet pose nets use `"msra"`. Source: mmpose
v0.29.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from keras_shufflenet.keypoints import heatmaps as targets
from keras_shufflenet.keypoints import refinement as peaks
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.boxes import PIXEL_STD, Size, get_udp_warp_matrix, get_warp_matrix
from keras_shufflenet.keypoints.skeletons import Skeleton

Encoding = Literal["msra", "unbiased", "udp", "udp_combined", "megvii"]
Decoding = Literal["none", "quarter_offset", "unbiased", "udp", "udp_combined", "megvii"]

_DECODERS: dict[Decoding, Callable[[np.ndarray, int], peaks.Peaks]] = {
    "none": peaks.maxima,
    "quarter_offset": peaks.quarter_offset,
    "unbiased": peaks.newton_dark,
    "udp": peaks.newton_udp,
    "udp_combined": peaks.combined_offsets,
    "megvii": peaks.quarter_offset_megvii,
}


@dataclass(frozen=True)
class HeatmapCodec:
    """Encoder and decoder of heatmaps for one size of input.

    Points are (x, y) in pixels of the network's input unless said otherwise, sizes are
    (height, width), heatmaps are channels last.

    Attributes:
        input_size: size of the network's input.
        heatmap_size: size of its output; a quarter of the input by default.
        sigma: width of the gaussian in heatmap pixels; by default 2, above 256 rows of input 3.
        encoding: how targets are drawn: `"msra"` (gaussian at the nearest pixel), `"unbiased"`
            (gaussian at the joint, DARK), `"udp"` (the same, lengths counted in pixel intervals),
            `"udp_combined"` (disc and offsets, three channels per joint) or `"megvii"` (blurred
            pixel of height 255).
        decoding: how maxima are refined: `"none"`, `"quarter_offset"` (a quarter pixel uphill),
            `"unbiased"` (DARK's Newton step), `"udp"`, `"udp_combined"` or `"megvii"`; by default
            the one that belongs to the encoding.
        shift_heatmap: whether `flip_back` moves the maps by one column, which makes up for most of
            the misalignment of mirrored maps; by default for `"msra"` and `"unbiased"`.
        blur_kernel_size: odd size of the blur in encoding and decoding; by default 11, for a sigma
            above 2 it is 17, and 3 for `"udp_combined"`.
        keypoint_weights: factors on the weights of the K joints; none by default.
    """

    input_size: Size
    # None stands for a default that depends on the others; no field is None once it is built.
    heatmap_size: Size = None  # type: ignore[assignment]
    sigma: float = None  # type: ignore[assignment]
    encoding: Encoding = "msra"
    decoding: Decoding = None  # type: ignore[assignment]
    shift_heatmap: bool = None  # type: ignore[assignment]
    blur_kernel_size: int = None  # type: ignore[assignment]
    keypoint_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Fill in the defaults and check the values."""
        _check_choice("encoding", self.encoding, Encoding)
        self._set_size("input_size", self.input_size)
        height, width = self.input_size
        self._set_size("heatmap_size", self.heatmap_size or (height // 4, width // 4))
        self._default("sigma", 2.0 if height <= 256 else 3.0)
        self._default("decoding", "quarter_offset" if self.encoding == "msra" else self.encoding)
        self._default("shift_heatmap", self.encoding in ("msra", "unbiased"))
        kernel = 11 if self.sigma <= 2 else 17
        self._default("blur_kernel_size", 3 if self.encoding == "udp_combined" else kernel)
        _check_choice("decoding", self.decoding, Decoding)
        if self.sigma <= 0:
            raise ValueError(f"sigma is a positive number of pixels. Received: {self.sigma!r}")
        if self.blur_kernel_size < 1 or self.blur_kernel_size % 2 == 0:
            raise ValueError(
                f"blur_kernel_size is odd and positive. Received: {self.blur_kernel_size!r}"
            )
        if (self.encoding == "udp_combined") != (self.decoding == "udp_combined"):
            raise ValueError(
                "The encoding 'udp_combined' goes with the decoding 'udp_combined' only. "
                f"Received: encoding={self.encoding!r}, decoding={self.decoding!r}"
            )

    @property
    def stride(self) -> np.ndarray:
        """Input pixels per heatmap pixel, (2,) as (x, y)."""
        return self._extent(self.input_size) / self._extent(self.heatmap_size)

    def encode(self, keypoints: ArrayLike, visible: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Draw the targets of people.

        Args:
            keypoints: (..., K, 2).
            visible: (..., K), 1 for labeled joints and 0 for the others.

        Returns:
            heatmaps (..., h, w, K) float32 (3K channels for `"udp_combined"`) and weights (..., K)
            float32. Weight and map are zero for joints that are not labeled or are too far
            outside.

        Raises:
            ValueError: the shapes do not fit each other.
        """
        keypoints, visible = np.asarray(keypoints, np.float64), np.asarray(visible, np.float64)
        if keypoints.shape != (*visible.shape, 2):
            raise ValueError(
                "keypoints have the shape (..., K, 2) and visible (..., K). "
                f"Received: {keypoints.shape} and {visible.shape}"
            )
        heatmaps, weights = self._draw(keypoints / self.stride, visible)
        if self.keypoint_weights is not None:
            weights = weights * np.asarray(self.keypoint_weights, np.float32)
        return heatmaps, weights

    def decode(self, heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the joints in heatmaps.

        Args:
            heatmaps: (N, h, w, K), or 3K channels for `"udp_combined"`.

        Returns:
            points (N, K, 2) and scores (N, K), float32. A map without a positive value has its
            point one heatmap pixel left of and above the first pixel.

        Raises:
            ValueError: the heatmaps have another shape.
        """
        heatmaps = np.asarray(heatmaps, np.float32)
        if heatmaps.ndim != 4 or heatmaps.shape[1:3] != self.heatmap_size:
            height, width = self.heatmap_size
            raise ValueError(
                f"Heatmaps have the shape (N, {height}, {width}, K). Received: {heatmaps.shape}"
            )
        points, scores = _DECODERS[self.decoding](
            peaks.channels_first(heatmaps), self.blur_kernel_size
        )
        return (points * self.stride).astype(np.float32), scores

    def flip_back(self, heatmaps: np.ndarray, skeleton: str | Skeleton = "coco") -> np.ndarray:
        """Turn the heatmaps of mirrored images into maps to be averaged with the others.

        Args:
            heatmaps: (N, h, w, K), the network's output for images mirrored left to right.
            skeleton: its pairs of joints trade their channels.

        Returns:
            An array of the same shape; moved by one column if `shift_heatmap`.
        """
        permutation = skeletons.get(skeleton).flip_permutation
        if self.encoding == "udp_combined":
            permutation = (3 * permutation[:, None] + np.arange(3)).ravel()
        flipped = np.take(heatmaps, permutation, axis=-1)[:, :, ::-1]
        if self.encoding == "udp_combined":
            flipped[..., 1::3] *= -1
        if self.shift_heatmap:
            flipped = np.concatenate([flipped[:, :, :1], flipped[:, :, :-1]], axis=2)
        return flipped

    def crop_matrix(
        self, center: ArrayLike, scale: ArrayLike, rotation_degrees: ArrayLike = 0.0
    ) -> np.ndarray:
        """Return the matrices (..., 2, 3) from image points to input points."""
        build = get_udp_warp_matrix if self._counts_intervals else get_warp_matrix
        return build(center, scale, rotation_degrees, self.input_size)

    def input_to_image(self, points: ArrayLike, center: ArrayLike, scale: ArrayLike) -> np.ndarray:
        """Take points back to the image, for crops that were not rotated.

        Args:
            points: (..., K, 2).
            center: (..., 2), the crop's.
            scale: (..., 2), the crop's.

        Returns:
            (..., K, 2) float64, image pixels.
        """
        size = PIXEL_STD * np.asarray(scale, np.float64)[..., None, :]
        corner = np.asarray(center, np.float64)[..., None, :] - size / 2
        return np.asarray(points) * (size / self._extent(self.input_size)) + corner

    @property
    def _counts_intervals(self) -> bool:
        return self.encoding in ("udp", "udp_combined")

    def _extent(self, size: Size) -> np.ndarray:
        """Return (width, height) of a size in the codec's measure: pixels or intervals."""
        return np.array([size[1], size[0]], np.float64) - self._counts_intervals

    def _draw(self, points: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.encoding == "megvii":
            return targets.blurred_pixels(points, visible, self.heatmap_size, self.blur_kernel_size)
        if self.encoding == "udp_combined":
            return targets.offset_discs(points, visible, self.heatmap_size)
        return targets.gaussians(points, visible, self.heatmap_size, self.sigma, self.encoding)

    def _default(self, name: str, value: object) -> None:
        if getattr(self, name) is None:
            object.__setattr__(self, name, value)

    def _set_size(self, name: str, size: Size) -> None:
        whole = np.asarray(size)
        if whole.shape != (2,) or (whole < 1).any() or (whole % 1 != 0).any():
            raise ValueError(f"{name} is (height, width) in whole pixels. Received: {size!r}")
        object.__setattr__(self, name, (int(size[0]), int(size[1])))


def _check_choice(name: str, value: object, choices: object) -> None:
    if value not in get_args(choices):
        raise ValueError(f"{name} is one of {list(get_args(choices))}. Received: {value!r}")
