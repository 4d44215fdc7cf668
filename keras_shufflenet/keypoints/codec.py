"""Heatmap codecs: keypoints to training targets, and predicted heatmaps to keypoints.

Each encoding comes with the decoding, the crop and the flip test that belong to it. The published
ShuffleNet and MobileNet pose networks use `"msra"`. Source: mmpose v0.29.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from keras_shufflenet._checks import (
    check_choice,
    check_integer,
    check_positive,
    check_size,
    is_positive,
)
from keras_shufflenet._requirements import FLOAT, PIXEL, check_memory
from keras_shufflenet._types import Size
from keras_shufflenet.keypoints import heatmaps as encoders
from keras_shufflenet.keypoints import refinement, skeletons
from keras_shufflenet.keypoints.boxes import PIXEL_STD, get_udp_warp_matrix, get_warp_matrix
from keras_shufflenet.keypoints.skeletons import Skeleton

GaussianEncoding = Literal["msra", "unbiased", "udp"]
Encoding = Literal[GaussianEncoding, "udp_combined", "megvii"]
DEFAULT_ENCODING: GaussianEncoding = "msra"
Decoding = Literal["none", "quarter_offset", "unbiased", "udp", "udp_v0", "udp_combined", "megvii"]

MIN_SIGMA = 0.01
MAX_BLUR = 999

_DECODERS: dict[Decoding, Callable[[np.ndarray, int], refinement.Keypoints]] = {
    "none": refinement.find_maxima,
    "quarter_offset": refinement.refine_quarter_offset,
    "unbiased": refinement.refine_dark,
    "udp": refinement.refine_udp,
    "udp_v0": refinement.refine_udp_v0,
    "udp_combined": refinement.refine_udp_combined,
    "megvii": refinement.refine_megvii,
}


@dataclass(frozen=True)
class HeatmapCodec:
    """Encoder and decoder of heatmaps for one input size.

    Points are (x, y) in pixels of the network's input unless stated otherwise, sizes are
    (height, width), heatmaps are channels last.

    Attributes:
        input_size: Input size of the network.
        heatmap_size: Output size of the network; by default a quarter of `input_size`.
        sigma: Standard deviation of the Gaussian in heatmap pixels; by default 2 for inputs of up
            to 256 rows, else 3.
        encoding: How targets are generated: `"msra"` (Gaussian at the nearest pixel),
            `"unbiased"` (Gaussian at the exact position, DARK), `"udp"` (the same, with lengths
            measured in pixel intervals), `"udp_combined"` (disc and offsets, three channels per
            keypoint) or `"megvii"` (blurred pixel with peak value 255).
        decoding: How maxima are refined: `"none"`, `"quarter_offset"` (a quarter pixel towards the
            higher neighbor), `"unbiased"` (DARK's Newton step), `"udp"` (UDP's, as in mmpose 1.x),
            `"udp_v0"` (as in mmpose 0.x, less exact near the border), `"udp_combined"` or
            `"megvii"`; by default the decoding of the encoding.
        shift_heatmap: Whether `flip_back` shifts heatmaps by one column, which compensates most of
            the misalignment of flipped heatmaps; by default True for `"msra"` and `"unbiased"`.
        blur_kernel_size: Odd kernel size of the Gaussian blur in encoding and decoding; by default
            3 for `"udp_combined"`, else 11 for a sigma of up to 2, else 17.
        keypoint_weights: Factors on the target weights of the K keypoints; None for no factors.

    Raises:
        ValueError: If a value is not allowed, or only one of encoding and decoding is
            `"udp_combined"`.
    """

    input_size: Size
    # None stands for a default that depends on the others; no field is None once it is built.
    heatmap_size: Size = None  # type: ignore[assignment]
    sigma: float = None  # type: ignore[assignment]
    encoding: Encoding = DEFAULT_ENCODING
    decoding: Decoding = None  # type: ignore[assignment]
    shift_heatmap: bool = None  # type: ignore[assignment]
    blur_kernel_size: int = None  # type: ignore[assignment]
    keypoint_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Fill in the defaults and check the values."""
        check_choice("encoding", self.encoding, get_args(Encoding))
        height, width = check_size("input_size", self.input_size)
        self._set("input_size", (height, width))
        heatmap_size = self.heatmap_size or (height // 4, width // 4)
        self._set("heatmap_size", check_size("heatmap_size", heatmap_size))
        self._default("sigma", 2.0 if height <= 256 else 3.0)
        check_positive("sigma", self.sigma)
        self._default("decoding", "quarter_offset" if self.encoding == "msra" else self.encoding)
        self._default("shift_heatmap", self.encoding in ("msra", "unbiased"))
        kernel = 11 if self.sigma <= 2 else 17
        self._default("blur_kernel_size", 3 if self.encoding == "udp_combined" else kernel)
        check_choice("decoding", self.decoding, get_args(Decoding))
        for name, pixel in {"input_size": PIXEL, "heatmap_size": FLOAT}.items():
            size = getattr(self, name)
            check_memory(name, size, size[0] * size[1] * pixel)
        if not MIN_SIGMA <= self.sigma <= max(self.heatmap_size):
            raise ValueError(
                f"`sigma` must be at least {MIN_SIGMA} pixels, and at most the longer side of the "
                f"heatmap, {max(self.heatmap_size)}. Received: sigma={self.sigma!r}"
            )
        check_integer("blur_kernel_size", self.blur_kernel_size)
        if self.blur_kernel_size % 2 == 0 or self.blur_kernel_size > MAX_BLUR:
            raise ValueError(
                f"`blur_kernel_size` must be odd, and at most {MAX_BLUR}. "
                f"Received: blur_kernel_size={self.blur_kernel_size!r}"
            )
        weights = self.keypoint_weights
        is_list = isinstance(weights, tuple | list | np.ndarray)
        if weights is not None and not (is_list and all(map(_is_weight, weights))):
            raise ValueError(
                "`keypoint_weights` must be a finite number for each keypoint, none below 0. "
                f"Received: keypoint_weights={weights!r}"
            )
        if (self.encoding == "udp_combined") != (self.decoding == "udp_combined"):
            raise ValueError(
                "`decoding` must be 'udp_combined' if and only if `encoding` is 'udp_combined'. "
                f"Received: encoding={self.encoding!r}, decoding={self.decoding!r}"
            )

    @property
    def stride(self) -> np.ndarray:
        """Input pixels per heatmap pixel, (2,) as (x, y)."""
        return self.extent(self.input_size) / self.extent(self.heatmap_size)

    def encode(
        self, keypoints: ArrayLike, keypoints_visible: ArrayLike
    ) -> tuple[np.ndarray, np.ndarray]:
        """Generate the heatmaps of keypoints.

        Args:
            keypoints: (..., K, 2).
            keypoints_visible: (..., K), weights of the labeled keypoints, and 0 for the others.

        Returns:
            Heatmaps (..., h, w, K) float32 (3K channels for `"udp_combined"`) and target weights
            (..., K) float32. Both are zero for keypoints that are not labeled or too far outside.

        Raises:
            ValueError: If the shapes do not match, or a weight is NaN.
        """
        keypoints = np.asarray(keypoints, np.float64)
        visible = np.asarray(keypoints_visible, np.float64)
        if keypoints.shape != (*visible.shape, 2):
            raise ValueError(
                "`keypoints` must have shape (..., K, 2) and `keypoints_visible` (..., K). "
                f"Received: shapes {keypoints.shape} and {visible.shape}"
            )
        if np.isnan(visible).any():
            raise ValueError("`keypoints_visible` must be numbers. Received: NaN among them")
        heatmaps, weights = self._generate(keypoints / self.stride, visible)
        if self.keypoint_weights is not None:
            weights = weights * np.asarray(self.keypoint_weights, np.float32)
        return heatmaps, weights

    def decode(self, heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decode heatmaps to keypoints.

        Args:
            heatmaps: (N, h, w, K), or 3K channels for `"udp_combined"`.

        Returns:
            Keypoints (N, K, 2) and scores (N, K), float32. The keypoint of a heatmap without a
            positive value is at heatmap position (-1, -1).

        Raises:
            ValueError: If the heatmaps have another shape.
        """
        heatmaps = np.asarray(heatmaps, np.float32)
        if heatmaps.ndim != 4 or heatmaps.shape[1:3] != self.heatmap_size:
            height, width = self.heatmap_size
            raise ValueError(
                f"`heatmaps` must have shape (N, {height}, {width}, K). "
                f"Received: shape {heatmaps.shape}"
            )
        points, scores = _DECODERS[self.decoding](
            refinement.channels_first(heatmaps), self.blur_kernel_size
        )
        return (points * self.stride).astype(np.float32), scores

    def flip_back(self, heatmaps: np.ndarray, skeleton: str | Skeleton = "coco") -> np.ndarray:
        """Flip the heatmaps of horizontally flipped images back, for averaging in the flip test.

        Args:
            heatmaps: (N, h, w, K), the network's output for flipped images.
            skeleton: Skeleton whose `flip_pairs` are swapped.

        Returns:
            An array of the same shape, shifted by one column if `shift_heatmap`.
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
        """Return the matrices (..., 2, 3) that map image points to input points."""
        build = get_udp_warp_matrix if self._uses_pixel_intervals else get_warp_matrix
        return build(center, scale, rotation_degrees, self.input_size)

    def input_to_image(self, points: ArrayLike, center: ArrayLike, scale: ArrayLike) -> np.ndarray:
        """Map input points back to the image, for crops without rotation.

        Args:
            points: (..., K, 2).
            center: (..., 2), center of the crop.
            scale: (..., 2), scale of the crop.

        Returns:
            (..., K, 2) float64, image pixels.
        """
        size = PIXEL_STD * np.asarray(scale, np.float64)[..., None, :]
        corner = np.asarray(center, np.float64)[..., None, :] - size / 2
        return np.asarray(points) * (size / self.extent(self.input_size)) + corner

    @property
    def _uses_pixel_intervals(self) -> bool:
        return self.encoding in ("udp", "udp_combined")

    def extent(self, size: Size) -> np.ndarray:
        """Return (width, height) in the unit of the encoding: pixels or pixel intervals.

        Args:
            size: (height, width) in pixels.
        """
        return np.array([size[1], size[0]], np.float64) - self._uses_pixel_intervals

    def _generate(self, points: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = self.heatmap_size
        if self.encoding == "megvii":
            return encoders.blurred_pixels(points, visible, size, self.blur_kernel_size)
        if self.encoding == "udp_combined":
            return encoders.offset_discs(points, visible, size)
        return encoders.gaussians(points, visible, size, self.sigma, self.encoding)

    def _default(self, name: str, value: object) -> None:
        if getattr(self, name) is None:
            self._set(name, value)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _is_weight(value: Any) -> bool:
    return is_positive(value) or (np.ndim(value) == 0 and value == 0)
