// For test_page_browser.py: does with the functions of the page what `asked` lists, and prints it into the document.
"use strict";

const asked = JSON.parse(document.getElementById("asked").textContent);
const done = asked.faces.map(({ points, pixels, width, height }) => {
  const move = similarity(points, asked.template);
  const box = sourceBox(move, asked.side, width, height);
  const part = [];
  for (let y = box.top; y < box.top + box.height; y++) {
    for (let x = box.left; x < box.left + box.width; x++) part.push(...pixels[y][x], 255);
  }
  return { move, residual: residual(points, asked.template, move), crop: [...warp(part, box, move, asked.side)] };
});
const fed = asked.takes.map(({ mirrored, ...takes }) => [...planes(done[0].crop, asked.side, mirrored, takes)]);
const lines = asked.degenerate.map((points) => similarity(points, asked.template));
const output = document.createElement("pre");
output.id = "found";
output.textContent = JSON.stringify({ done, fed, lines, cosine: cosine(...asked.features) });
document.body.append(output);
