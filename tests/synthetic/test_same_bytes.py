"""The same faces whatever instructions, threads and BLAS there are, and the arithmetic that makes it so."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from lwface.formats.alignment import ARCFACE_TEMPLATE, align, similarity_transform
from lwface.synthetic import arithmetic, filters, kernel, render, wide
from lwface.synthetic.options import USUAL, Ranges
from lwface.synthetic.render import sample_image

# Of the pinned packages. NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES= NUMBA_CACHE_DIR=DIR before pytest compares the
# loops compiled without wide instructions with it.
DIGEST = "ce0c98be88cb74f7b0f8b4f9860bb93f40c078a8fc4a2aa97ddb1379d3681550"
PLAIN = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
    "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX512-ICL,AVX2,FMA3,AVX",
    "OPENBLAS_CORETYPE": "Nehalem",
    "OMP_NUM_THREADS": "2",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
}
SCRIPT = "from tests.synthetic.test_same_bytes import MORE, LATER, digest; print(digest(), digest(MORE), digest(LATER))"
# Of pictures with all that is drawn only where asked for.
MORE_DIGEST = "fb99c6e219722ad19a53de68079eb37bc96399c56ad27d4d4c855e0b6cbe4dd8"
MORE = Ranges(form=1, looks=1, skin=1, lights=2, background=1, video=0.5, restyle=0.5)
# And of what came after those.
LATER_DIGEST = "30f0dc3ca9a587f5293ffd82400cd5addbf0c6a59f3791623fc3580ecd144f8a"
LATER = Ranges(skin=1, makeup=1, teeth=1, lens=0.7, sensor=0.7)


def digest(ranges: Ranges = USUAL) -> str:
    """Of frames, crops and points of pictures with everything from glasses to a hand."""
    found = hashlib.sha256()
    for identity, difficulty in ((0, 0.4), (1, 1.0), (2, 1.5), (5, 3.0), (7, 1.5)):
        sample = sample_image(11, identity, identity, difficulty=difficulty, ranges=ranges)
        for array in (sample.frame, sample.crop, sample.landmarks68, sample.landmarks5):
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def test_faces_have_the_bytes_that_they_have_everywhere() -> None:
    assert digest() == DIGEST
    assert digest(MORE) == MORE_DIGEST
    assert digest(LATER) == LATER_DIGEST


def test_other_instructions_threads_and_blas_change_no_byte() -> None:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment = {**os.environ, **PLAIN, "PYTHONPATH": root}
    run = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, env=environment, capture_output=True, text=True)
    assert run.stdout.split() == [DIGEST, MORE_DIGEST, LATER_DIGEST], run.stderr


@pytest.mark.parametrize("name", ["exp", "sin", "cos", "tanh"])
def test_elementary_functions(name: str) -> None:
    x = np.linspace(-30, 30, 20_001)
    exact = getattr(np, name)(x)
    np.testing.assert_allclose(getattr(arithmetic, name)(x), exact, rtol=1e-14, atol=1e-14)
    for module, tolerance in ((kernel, 1e-7), (wide, 1e-5)):
        if hasattr(module, name):
            at = x[(x < 19) & (x > -30)][::50].astype(np.float32)
            found = [getattr(module, name)(value) for value in at]
            np.testing.assert_allclose(found, getattr(np, name)(at.astype(float)), rtol=tolerance, atol=tolerance)


def test_powers_logarithms_and_angles() -> None:
    x = np.linspace(1e-6, 40, 5001)
    np.testing.assert_allclose(arithmetic.log(x), np.log(x), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(arithmetic.power(x, 2.1), x**2.1, rtol=1e-13)
    np.testing.assert_allclose(arithmetic.arctan(x), np.arctan(x), rtol=1e-12)
    assert arithmetic.power(0.0, 0.7) == 0
    assert arithmetic.exp(-1000.0) == 0


def test_between_pixels() -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert arithmetic.between(image, 1.5, 1.0) == 5.5
    assert arithmetic.between(image, -3.0, 9.0) == 8  # the border's value
    assert arithmetic.between(image[..., None], np.zeros((2, 5)), np.zeros((2, 5))).shape == (2, 5, 1)


def test_blur_is_a_weighted_sum_of_mirrored_pixels() -> None:
    image = np.random.default_rng(0).random((9, 12, 3)).astype(np.float32)
    taps = np.exp(-0.5 * (np.arange(-4, 5) / 1.0) ** 2)
    taps /= taps.sum()
    padded = np.pad(image.astype(float), ((4, 4), (4, 4), (0, 0)), mode="reflect")
    wanted = sum(a * b * padded[i : i + 9, j : j + 12] for i, a in enumerate(taps) for j, b in enumerate(taps))
    np.testing.assert_allclose(filters.gaussian(image, 1.0), wanted, atol=1e-5)


def test_motion_keeps_the_mean_and_moves_a_point_along_its_way() -> None:
    image = np.zeros((21, 21, 1), np.float32)
    image[10, 10] = 1
    moved = filters.spread(image, *filters.motion_taps(6.0, 0.0))
    assert moved.sum() == pytest.approx(1, abs=1e-5)
    assert set(np.flatnonzero(moved[10, :, 0]).tolist()) == set(range(7, 14))
    assert moved[:10].max() == moved[11:].max() == 0


def test_crops_are_those_of_the_aligner() -> None:
    """But for a grey level in a few pixels, where OpenCV's rounding depends on the processor."""
    for identity in range(4):
        sample = sample_image(3, identity, identity)
        away = np.abs(align(sample.frame, sample.landmarks5).astype(int) - sample.crop)
        assert away.max() <= 1
        assert (away > 0).mean() < 0.002
        found = np.reshape(render.to_crop(sample.landmarks5), (2, 3))
        np.testing.assert_allclose(found, similarity_transform(sample.landmarks5, ARCFACE_TEMPLATE), atol=1e-9)
