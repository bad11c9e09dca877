// Runs in the page that holds a report in frames of several widths: measures each from outside and writes what it
// found into its own document as JSON. Contrast is that of WCAG 2.1, with the backgrounds laid over each other.
"use strict";

const LARGEST_FAULT = 0.5; // pixels that rounding may add

const rgba = (text) => {
  const numbers = text.match(/[\d.]+/g).map(Number);
  return numbers.length < 4 ? [...numbers, 1] : numbers;
};
const over = (front, back) => [0, 1, 2].map((i) => front[i] * front[3] + back[i] * (1 - front[3])).concat(1);
const luminance = (colour) =>
  colour
    .slice(0, 3)
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);

function contrast(view, element) {
  let back = [255, 255, 255, 1];
  const above = [];
  for (let at = element; at; at = at.parentElement) above.unshift(rgba(view.getComputedStyle(at).backgroundColor));
  for (const layer of above) back = over(layer, back);
  const both = [luminance(over(rgba(view.getComputedStyle(element).color), back)), luminance(back)];
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}

function measure(frame) {
  const view = frame.contentWindow;
  const page = frame.contentDocument;
  const start = (element) => element.outerHTML.slice(0, 90);
  const shown = [...page.body.querySelectorAll("*")].filter((element) => element.checkVisibility());
  const texts = shown.filter((element) => [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  const outside = (box) => box.right > view.innerWidth + LARGEST_FAULT || box.left < -LARGEST_FAULT;
  return {
    width: view.innerWidth,
    scroll: page.documentElement.scrollWidth,
    // what is inside a box that scrolls may be wider, the box itself may not
    wide: shown.filter((e) => !e.parentElement.closest(".scroll") && outside(e.getBoundingClientRect())).map(start),
    faint: texts.map((e) => [contrast(view, e), start(e)]).filter(([ratio]) => ratio < 4.5),
    small: texts.map((e) => [parseFloat(view.getComputedStyle(e).fontSize), start(e)]).filter(([size]) => size < 12),
    texts: texts.length,
    // of each box that scrolls: whether columns are cut off, and whether a line says so
    cut: [...page.querySelectorAll(".scroll")].filter((box) => box.checkVisibility()).map((box) => ({
      table: box.querySelector("table").id,
      hidden: box.scrollWidth > box.clientWidth + 1,
      told: box.querySelector(".more").getBoundingClientRect().height > 8,
    })),
    images: [...page.images].map((image) => ({
      loaded: image.complete && image.naturalWidth > 0,
      width: image.getBoundingClientRect().width,
      kind: image.currentSrc.split(";")[0],
    })),
    dark: [...page.querySelectorAll("picture")].map(
      (picture) => picture.querySelector("img").currentSrc === picture.querySelector("source").srcset,
    ),
    background: rgba(view.getComputedStyle(page.body).backgroundColor).slice(0, 3),
    resources: view.performance.getEntriesByType("resource").map((entry) => entry.name),
    table: [...page.querySelectorAll("#operating-points tr")].map((row) => [...row.cells].map((c) => c.innerText)),
  };
}

// What depends on how far a box can be scrolled is right from the second frame drawn on: before it nothing is told.
let frames = 0;
requestAnimationFrame(function drawn() {
  frames += 1;
  requestAnimationFrame(drawn);
});

onload = () => {
  const found = [...document.querySelectorAll("iframe")].map((frame) => [frame.id, measure(frame)]);
  const output = document.createElement("pre");
  output.id = "found";
  output.textContent = frames < 2 ? "" : JSON.stringify(Object.fromEntries(found));
  document.body.append(output);
};
