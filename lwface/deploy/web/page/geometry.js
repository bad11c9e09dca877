// Alignment of a face and features of it, as the toolbox has them: lwface/formats/alignment.py, lwface/features.
// Points are [x, y]; the centre of the first pixel is [0, 0]. Nothing here knows of the page.
"use strict";

const centre = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);

/**
 * The similarity that takes `points` nearest to `template`, least squares: [x, y] becomes
 * [a x - b y + c, b x + a y + d]. null where the points do not determine one.
 */
function similarity(points, template) {
  const [[px, py], [tx, ty]] = [centre(points), centre(template)];
  let [power, wanted, real, imaginary] = [0, 0, 0, 0];
  points.forEach(([x, y], number) => {
    const [sx, sy, dx, dy] = [x - px, y - py, template[number][0] - tx, template[number][1] - ty];
    power += sx * sx + sy * sy;
    wanted += dx * dx + dy * dy;
    real += sx * dx + sy * dy;
    imaginary += sx * dy - sy * dx;
  });
  if (!(power > 0) || Math.hypot(real, imaginary) <= 1e-6 * Math.sqrt(power * wanted)) return null;
  const [a, b] = [real / power, imaginary / power];
  return { a, b, c: tx - (a * px - b * py), d: ty - (b * px + a * py) };
}

const forward = ({ a, b, c, d }, [x, y]) => [a * x - b * y + c, b * x + a * y + d];

function backward({ a, b, c, d }, [x, y]) {
  const [u, v, power] = [x - c, y - d, a * a + b * b];
  return [(a * u + b * v) / power, (a * v - b * u) / power];
}

/** Root mean square distance of `points` from `template` after `move`, in pixels of the crop. */
function residual(points, template, move) {
  const squares = points.map((point, number) => {
    const [x, y] = forward(move, point);
    return (x - template[number][0]) ** 2 + (y - template[number][1]) ** 2;
  });
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / points.length);
}

/** The part of a photograph of `width` x `height` that the crop of `side` pixels is made of. */
function sourceBox(move, side, width, height) {
  const corners = [[0, 0], [side - 1, 0], [0, side - 1], [side - 1, side - 1]].map((corner) => backward(move, corner));
  const range = (axis, size) => {
    const values = corners.map((corner) => corner[axis]);
    const start = Math.min(Math.max(0, Math.floor(Math.min(...values))), size - 1);
    return [start, Math.max(1, Math.min(size, Math.ceil(Math.max(...values)) + 1) - start)];
  };
  const [[left, boxWidth], [top, boxHeight]] = [range(0, width), range(1, height)];
  return { left, top, width: boxWidth, height: boxHeight };
}

/**
 * The crop, RGBA of `side` x `side`: bilinear, black outside the photograph, rounded to the nearest (half to even).
 * `part` is what `box` cuts out of the photograph, RGBA.
 */
function warp(part, box, move, side) {
  const crop = new Uint8ClampedArray(4 * side * side);
  const value = (x, y, channel) =>
    x < 0 || y < 0 || x >= box.width || y >= box.height ? 0 : part[4 * (y * box.width + x) + channel];
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const [sourceX, sourceY] = backward(move, [column, row]);
      const [x, y] = [Math.floor(sourceX), Math.floor(sourceY)];
      const [right, below, i, j] = [sourceX - x, sourceY - y, x - box.left, y - box.top];
      const at = 4 * (row * side + column);
      for (let channel = 0; channel < 3; channel++) {
        const upper = value(i, j, channel) * (1 - right) + value(i + 1, j, channel) * right;
        const lower = value(i, j + 1, channel) * (1 - right) + value(i + 1, j + 1, channel) * right;
        crop[at + channel] = upper * (1 - below) + lower * below;
      }
      crop[at + 3] = 255;
    }
  }
  return crop;
}

/** The planes (3, side, side) that the network takes of an RGBA `crop`, `mirrored` or not. */
function planes(crop, side, mirrored, { mean, scale, order, array }) {
  const data = new globalThis[array](3 * side * side);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const at = 4 * (row * side + (mirrored ? side - 1 - column : column));
      for (let plane = 0; plane < 3; plane++) {
        const pixel = crop[at + (order === "BGR" ? 2 - plane : plane)];
        data[(plane * side + row) * side + column] = Math.fround(pixel - mean) * Math.fround(scale);
      }
    }
  }
  return data;
}

/** The cosine of two features, in float64. */
function cosine(one, other) {
  const dot = (a, b) => a.reduce((sum, value, number) => sum + value * b[number], 0);
  const [left, right] = [Array.from(one), Array.from(other)];
  return Math.min(1, Math.max(-1, dot(left, right) / Math.sqrt(dot(left, left) * dot(right, right))));
}
