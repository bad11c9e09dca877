// One of the two photographs: chosen, turned upright, taken as it is or aligned by five points.
"use strict";

const POINT_NAMES = [
  "the eye on the picture’s left",
  "the eye on the picture’s right",
  "the tip of the nose",
  "the corner of the mouth on the picture’s left",
  "the corner of the mouth on the picture’s right",
];

class Photograph {
  /** `face` is the crop, RGBA, or null; `changed(photograph)` is called when it is another. */
  constructor(root, facts, changed) {
    this.root = root;
    this.facts = facts;
    this.changed = changed;
    this.face = null;
    this.view = new PointView(this.find(".view"), POINT_NAMES, (settled) => this.#align(settled));
    for (const input of root.querySelectorAll("input[type=file]")) {
      input.addEventListener("change", () => input.files[0] && this.open(input.files[0]));
      input.addEventListener("click", () => (input.value = "")); // the same file may be chosen again
    }
    const actions = {
      closer: () => this.view.zoomBy(1.5),
      farther: () => this.view.zoomBy(1 / 1.5),
      back: () => this.view.removeLast(),
      all: () => this.view.placeAll(facts.template, facts.side),
    };
    for (const [name, action] of Object.entries(actions)) this.find(`.${name}`).addEventListener("click", action);
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  /** Show the photograph in `file`, a File or Blob. */
  async open(file) {
    const turn = (this.turn = {}); // of two that are opened at once the later counts
    this.view.hide();
    this.bitmap?.close();
    this.bitmap = null;
    this.#show({ problem: "", view: false, note: "" });
    this.#put(null);
    let bitmap;
    try {
      if (!file.size) throw new Error("it is empty");
      // The values in the file, as the toolbox reads them: no colours converted. Turned upright they are by default.
      const asStored = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
      bitmap = await createImageBitmap(file, asStored);
    } catch (error) {
      const reason = error.message.replace(/\.$/, "");
      const problem = `${file.name ?? "This"}: not a picture that this browser can read (${reason}).`;
      if (turn === this.turn) this.refuse(`${problem} Choose a JPEG, PNG or WebP.`);
      return;
    }
    if (turn !== this.turn) return bitmap.close();
    this.bitmap = bitmap;
    const [width, height, side] = [bitmap.width, bitmap.height, this.facts.side];
    if (width === side && height === side) {
      this.#put(this.#pixels({ left: 0, top: 0, width, height }));
      this.#show({ note: `${width} × ${height}, the network’s own size: taken as it is` });
    } else {
      this.#show({ view: true }); // before it is measured
      this.view.show(bitmap);
    }
  }

  /** Say why nothing is shown. */
  refuse(problem) {
    this.#show({ problem });
  }

  /** RGBA of a part of the photograph, each pixel as it is stored. */
  #pixels({ left, top, width, height }) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.bitmap, left, top, width, height, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  }

  /** The crop by the points so far; `settled` once no point is being dragged. */
  #align(settled) {
    const [{ points }, { template, side, largestResidual }] = [this.view, this.facts];
    this.find(".back").disabled = !points.length;
    this.#mark(points.length);
    if (points.length < template.length) {
      const step = `Tap ${POINT_NAMES[points.length]} (${points.length + 1} of ${template.length}).`;
      this.#show({ step, problem: "" });
      this.#put(null);
      return;
    }
    this.#show({ step: "Drag the points, or move them by the arrow keys, until each is where it belongs." });
    const move = similarity(points, template);
    const off = move ? residual(points, template, move) : Infinity;
    if (!(off <= largestResidual)) {
      const order = "Are they in the order asked for, the picture’s left first?";
      this.#show({ problem: `These five points do not lie like those of a face. ${order}`, note: "" });
      this.#put(null);
      return;
    }
    const { width, height } = this.bitmap;
    const box = sourceBox(move, side, width, height);
    const note = `${width} × ${height}, aligned by five points, which fit to ${off.toFixed(1)} pixels`;
    this.#show({ problem: "", note });
    this.#put(warp(this.#pixels(box), box, move, side), settled);
  }

  /** Which of the points of the drawing is asked for. */
  #mark(next) {
    this.root.querySelectorAll(".guide circle").forEach((circle, number) => {
      circle.classList.toggle("next", number === next);
      circle.classList.toggle("done", number < next);
    });
  }

  #put(face, settled = true) {
    this.face = face;
    this.find(".face").hidden = !face;
    if (face) {
      const { side } = this.facts;
      this.find(".face canvas").getContext("2d").putImageData(new ImageData(face.slice(), side, side), 0, 0);
    }
    if (settled) this.changed(this);
  }

  /** Change what is given of: the problem, the note under the face, the step asked for, whether the view is there. */
  #show({ problem, note, step, view }) {
    if (problem !== undefined) {
      this.find(".problem").textContent = problem;
      this.find(".problem").hidden = !problem;
    }
    if (note !== undefined) this.find(".note").textContent = note;
    if (step !== undefined) this.find(".step").textContent = step;
    if (view !== undefined) this.find(".align").hidden = !view;
  }
}
