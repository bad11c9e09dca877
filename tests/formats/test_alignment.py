"""The similarity against a numeric least-squares solution and against Umeyama's SVD, and what must not change it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.formats.alignment import ARCFACE_TEMPLATE, align, five_from_68, similarity_transform
from lwface.synthetic.render import sample_image


def umeyama(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """Umeyama, PAMI 1991, equations 40 to 42, with its sign matrix against reflections."""
    src_centred, dst_centred = src - src.mean(0), dst - dst.mean(0)
    covariance = dst_centred.T @ src_centred / len(src)
    u, d, vt = np.linalg.svd(covariance)
    sign = np.diag([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ sign @ vt
    scale = np.trace(np.diag(d) @ sign) / src_centred.var(0).sum()
    return np.hstack([scale * rotation, (dst.mean(0) - scale * rotation @ src.mean(0))[:, None]])


def normal_equations(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """Least squares over (a, b, tx, ty) of x' = a x - b y + tx, y' = b x + a y + ty."""
    rows, right = [], []
    for (x, y), (u, v) in zip(src, dst, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        right += [u, v]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
    return np.array([[a, -b, tx], [b, a, ty]])


def similarity(angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 70), st.booleans())
def test_equals_both_oracles(seed: int, count: int, mirrored: bool) -> None:
    dice = np.random.default_rng(seed)
    src = dice.normal(0, 40, (count, 2)) + dice.uniform(-300, 300, 2)
    dst = dice.normal(0, 10, (count, 2)) + src @ similarity(dice.uniform(-3, 3), dice.uniform(0.1, 4), (0, 0))[:, :2].T
    if mirrored:
        dst[:, 0] *= -1
    try:
        got = similarity_transform(src, dst)
    except UserError:
        assert mirrored  # a mirrored line of points fits no similarity better than a point
        return
    np.testing.assert_allclose(got, normal_equations(src, dst), atol=1e-6)
    np.testing.assert_allclose(got, umeyama(src, dst), atol=1e-6)
    assert np.linalg.det(got[:, :2]) > 0


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi, -2.5])
def test_recovers_an_exact_similarity(angle: float) -> None:
    wanted = similarity(angle, 2.5, (30.0, -7.0))
    src = np.random.default_rng(1).normal(size=(5, 2))
    got = similarity_transform(src, src @ wanted[:, :2].T + wanted[:, 2])
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_order_of_points_does_not_matter() -> None:
    dice = np.random.default_rng(2)
    src, dst, order = dice.normal(size=(5, 2)), dice.normal(size=(5, 2)), dice.permutation(5)
    np.testing.assert_allclose(similarity_transform(src, dst), similarity_transform(src[order], dst[order]), atol=1e-12)


def test_template_is_arcface() -> None:
    np.testing.assert_array_equal(
        ARCFACE_TEMPLATE,
        np.float32(
            [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
        ),
    )
    assert ARCFACE_TEMPLATE.dtype == np.float32


def test_points_on_the_template_leave_the_image_alone() -> None:
    image = np.random.default_rng(3).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    np.testing.assert_array_equal(align(image, ARCFACE_TEMPLATE), image)


def test_whole_pixel_shift_moves_pixels_and_fills_black() -> None:
    image = np.random.default_rng(4).integers(1, 256, (112, 112, 3), dtype=np.uint8)
    crop = align(image, ARCFACE_TEMPLATE.astype(np.float64) + np.array([10, -20]))
    np.testing.assert_array_equal(crop[20:, :102], image[:92, 10:])
    assert not crop[:20].any()
    assert not crop[:, 102:].any()


def test_pixels_against_naive_bilinear() -> None:
    """Each crop pixel is the frame's bilinear value at the inverse of the similarity, black outside."""
    y, x = np.mgrid[0:90, 0:80]
    frame = np.stack([x * 2.5, y * 2.5, 100 + 50 * np.sin(x / 9) * np.cos(y / 7)], axis=2).round().astype(np.uint8)
    points = ARCFACE_TEMPLATE @ similarity(0.3, 0.6, (0, 0))[:, :2].T + [25, -2]
    crop = align(frame, points)
    matrix = np.vstack([similarity_transform(points, ARCFACE_TEMPLATE), [0, 0, 1]])
    v, u = np.mgrid[0:112, 0:112]
    sx, sy, _ = np.linalg.inv(matrix) @ np.stack([u.ravel(), v.ravel(), np.ones(112 * 112)])
    padded = np.pad(frame.astype(float), ((200, 200), (200, 200), (0, 0)))
    x0, y0 = np.floor(sx).astype(int), np.floor(sy).astype(int)
    fx, fy = (sx - x0)[:, None], (sy - y0)[:, None]
    at = [padded[y0 + 200 + dy, x0 + 200 + dx] for dy in (0, 1) for dx in (0, 1)]
    naive = (at[0] * (1 - fx) + at[1] * fx) * (1 - fy) + (at[2] * (1 - fx) + at[3] * fx) * fy
    # OpenCV rounds positions to 1/32 pixel in some versions: small, and large only at the frame's edge
    error = np.abs(crop.reshape(-1, 3) - naive)
    assert np.quantile(error, 0.97) < 2
    assert error.mean() < 0.5
    assert (crop == 0).all(axis=2).any()


# Every 20th pixel of the crop of a procedural face, the mean of its channels, by OpenCV 5.0.0.
GOLDEN = np.array(
    [
        [93, 59, 65, 89, 96, 76],
        [115, 129, 174, 178, 182, 59],
        [92, 140, 113, 122, 163, 97],
        [93, 135, 173, 188, 170, 130],
        [97, 99, 83, 105, 175, 100],
        [111, 98, 89, 92, 89, 100],
    ]
)


def exact_crop(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The bilinear crop (112, 112, 3) in float64, black outside the frame."""
    v, u = np.mgrid[0:112, 0:112]
    sx, sy, _ = np.linalg.inv(np.vstack([matrix, [0, 0, 1]])) @ np.stack([u.ravel(), v.ravel(), np.ones(112 * 112)])
    padded = np.pad(frame.astype(float), ((300, 300), (300, 300), (0, 0)))
    x, y = np.floor(sx).astype(int), np.floor(sy).astype(int)
    fx, fy = (sx - x)[:, None], (sy - y)[:, None]
    at = [padded[y + 300 + dy, x + 300 + dx] for dy in (0, 1) for dx in (0, 1)]
    return ((at[0] * (1 - fx) + at[1] * fx) * (1 - fy) + (at[2] * (1 - fx) + at[3] * fx) * fy).reshape(112, 112, 3)


@pytest.mark.parametrize("person", [0, 1])
def test_crop_of_a_face_by_the_opencv_that_is_meant(person: int) -> None:
    """OpenCV 5 rounds the exact value; 4.x rounds places to 1/32 pixel first, as docs/data.md says and how much."""
    sample = sample_image(0, person, 0)
    crop = align(sample.frame, sample.landmarks5).astype(float)
    wanted = exact_crop(sample.frame, similarity_transform(sample.landmarks5, ARCFACE_TEMPLATE))
    error = np.abs(crop - wanted)
    exact = int(cv2.__version__.partition(".")[0]) >= 5
    assert error.max() <= (0.51 if exact else 4.5)
    assert (crop != np.rint(wanted)).mean() <= (0.002 if exact else 0.1)
    if person == 0:
        np.testing.assert_allclose(crop[5::20, 5::20].mean(axis=2), GOLDEN, atol=1 if exact else 4)


def test_68_points_reduce_to_five() -> None:
    points = np.random.default_rng(5).normal(size=(68, 2))
    five = five_from_68(points)
    np.testing.assert_allclose(five[0], sum(points[i] for i in range(36, 42)) / 6)
    np.testing.assert_allclose(five[1], sum(points[i] for i in range(42, 48)) / 6)
    np.testing.assert_array_equal(five[2:], points[[30, 48, 54]])
    image = np.random.default_rng(6).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(align(image, points * 20 + 30), align(image, five_from_68(points * 20 + 30)))


def test_size_scales_the_template() -> None:
    image = np.random.default_rng(7).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    np.testing.assert_array_equal(align(image, ARCFACE_TEMPLATE.astype(np.float64) * 2, size=224), image)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.full((5, 2), 33.0), "all at one place"),
        (np.full((68, 2), 1e4), "all at one place"),
        (np.zeros((4, 2)), "shape"),
        (np.zeros((5, 3)), "shape"),
        (np.array([[0, 0], [1, 1], [2, np.nan], [0, 1], [1, 0]]), "finite"),
        (np.array([[0, 0], [1, 1], [2, np.inf], [0, 1], [1, 0]]), "finite"),
    ],
)
def test_degenerate_points_are_an_error(points: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        align(np.zeros((50, 50, 3), np.uint8), points)


def test_points_that_fit_only_mirrored_are_an_error() -> None:
    square = np.array([[1.0, 1], [-1, 1], [-1, -1], [1, -1]])
    with pytest.raises(UserError, match="not arranged"):
        similarity_transform(square * [-1, 1], square)
    with pytest.raises(UserError, match="cannot be aligned"):
        similarity_transform(square, square[:3])
