// A photograph that can be zoomed and moved, with five points on it that are set, dragged and moved by keys.
"use strict";

const CLICK = 6; // CSS pixels that a finger may slip in a tap
const LARGEST_PIXEL = 12; // CSS pixels of one of the photograph's, zoomed in as far as can be
const LOUPE = 4; // times the size of the view
const KEY_STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const distance = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);

class PointView {
  /** `names` of the points in their order; `changed(settled)` is called when one is, `settled` once it is let go. */
  constructor(root, names, changed) {
    this.root = root;
    this.names = names;
    this.changed = changed;
    this.canvas = root.querySelector(".photo");
    this.loupe = root.querySelector(".loupe");
    this.layer = root.querySelector(".points");
    this.fingers = new Map();
    this.points = [];
    root.addEventListener("pointerdown", (event) => this.#press(event));
    root.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) root.addEventListener(end, (event) => this.#release(event));
    root.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    new ResizeObserver(() => this.#fit()).observe(root);
  }

  /** Show nothing: what was shown is about to be closed. */
  hide() {
    this.bitmap = null;
  }

  /** Show `bitmap`, without points. */
  show(bitmap) {
    this.bitmap = bitmap;
    this.zoom = 1;
    this.corner = [0, 0]; // of the photograph, in CSS pixels of the view
    this.#fit();
    this.clear();
  }

  clear() {
    this.points = [];
    this.#rebuild(true);
  }

  removeLast() {
    this.points.pop();
    this.#rebuild(true);
  }

  /** Put all five where `template` has them in a crop of `side`, in the middle of what is seen. */
  placeAll(template, side) {
    const size = 0.8 * Math.min(this.width, this.height);
    const [left, top] = [(this.width - size) / 2, (this.height - size) / 2];
    this.points = template.map(([x, y]) => this.#inPhotograph([left + (x / side) * size, top + (y / side) * size]));
    this.#rebuild(true);
    this.layer.firstElementChild.focus();
  }

  zoomBy(factor, at = [this.width / 2, this.height / 2]) {
    const before = this.#inPhotograph(at);
    this.zoom = Math.min(Math.max(1, this.zoom * factor), Math.max(1, LARGEST_PIXEL / this.fitted));
    const after = this.#inView(before);
    this.corner = this.corner.map((value, axis) => value + at[axis] - after[axis]);
    this.#draw();
  }

  get scale() {
    return this.fitted * this.zoom; // CSS pixels of one of the photograph's
  }

  // A photograph's pixel reaches half a pixel to each side of its centre.
  #inPhotograph([x, y]) {
    const size = [this.bitmap.width, this.bitmap.height];
    return [x, y]
      .map((value, axis) => (value - this.corner[axis]) / this.scale - 0.5)
      .map((value, axis) => Math.min(Math.max(-0.5, value), size[axis] - 0.5));
  }

  #inView(point) {
    return point.map((value, axis) => (value + 0.5) * this.scale + this.corner[axis]);
  }

  #fit() {
    this.width = this.root.getBoundingClientRect().width;
    if (!this.bitmap || !this.width) return;
    const { width, height } = this.bitmap;
    this.height = Math.min(Math.round((this.width * height) / width), Math.max(240, Math.round(0.7 * innerHeight)));
    this.fitted = Math.min(this.width / width, this.height / height);
    this.root.style.height = `${this.height}px`;
    this.canvas.width = Math.round(this.width * devicePixelRatio);
    this.canvas.height = Math.round(this.height * devicePixelRatio);
    this.#draw();
  }

  #draw() {
    const size = [this.width, this.height];
    const drawn = [this.bitmap.width * this.scale, this.bitmap.height * this.scale];
    this.corner = this.corner.map((value, axis) => {
      const room = size[axis] - drawn[axis];
      return room >= 0 ? room / 2 : Math.min(0, Math.max(room, value));
    });
    const context = this.canvas.getContext("2d");
    context.setTransform(this.canvas.width / size[0], 0, 0, this.canvas.height / size[1], 0, 0);
    context.clearRect(0, 0, ...size);
    context.imageSmoothingEnabled = this.scale < 2;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.bitmap, ...this.corner, ...drawn);
    this.canvas.classList.toggle("zoomed", this.zoom > 1); // a finger then moves the photograph, not the page
    this.points.forEach((_, number) => this.#put(number));
  }

  #rebuild(settled) {
    this.layer.replaceChildren(...this.points.map((_, number) => this.#button(number)));
    this.points.forEach((_, number) => this.#put(number));
    this.changed(settled);
  }

  #button(number) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "point";
    button.textContent = number + 1;
    button.addEventListener("blur", () => (this.loupe.hidden = true));
    button.addEventListener("keydown", (event) => {
      const step = KEY_STEPS[event.key];
      if (!step) return;
      event.preventDefault();
      const size = event.shiftKey ? 10 : 1;
      this.#set(number, this.#inView(this.points[number]).map((value, axis) => value + size * step[axis]), true);
    });
    return button;
  }

  #add(place) {
    if (this.points.length === this.names.length) return;
    this.points.push(this.#inPhotograph(place));
    this.#rebuild(true);
  }

  #set(number, place, settled) {
    this.points[number] = this.#inPhotograph(place);
    this.#put(number);
    this.#magnify(number);
    this.changed(settled);
  }

  #put(number) {
    const [button, point] = [this.layer.children[number], this.points[number]];
    const [x, y] = this.#inView(point);
    button.style.left = `${x}px`;
    button.style.top = `${y}px`;
    button.hidden = x < 0 || y < 0 || x > this.width || y > this.height;
    button.dataset.point = point.join();
    button.setAttribute("aria-label", `${number + 1}, ${this.names[number]}: ${point.map(Math.round).join(", ")}`);
  }

  /** What lies around a point, in the corner that is farther from it: a finger hides it. */
  #magnify(number) {
    const [size, context] = [this.loupe.width, this.loupe.getContext("2d")];
    const [x, y] = this.points[number];
    const seen = size / LOUPE / this.scale;
    context.imageSmoothingEnabled = LOUPE * this.scale < 2;
    context.fillRect(0, 0, size, size);
    context.drawImage(this.bitmap, x + 0.5 - seen / 2, y + 0.5 - seen / 2, seen, seen, 0, 0, size, size);
    context.strokeStyle = "#fff";
    context.strokeRect(size / 2 - 5, size / 2 - 5, 10, 10);
    this.loupe.hidden = false;
    this.loupe.classList.toggle("right", this.#inView([x, y])[0] < this.width / 2);
  }

  #at(event) {
    const box = this.root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #press(event) {
    if (event.button) return; // not the main one of a mouse
    const at = this.#at(event);
    this.root.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, at);
    this.tap = this.fingers.size === 1 ? at : null;
    if (this.held) this.#set(this.held.number, this.held.from, true); // a second finger: the two zoom
    this.held = null;
    const number = [...this.layer.children].indexOf(event.target);
    if (this.tap && number >= 0) this.held = { number, from: this.#inView(this.points[number]) };
  }

  #move(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    const now = this.#at(event);
    if (this.tap && distance(now, this.tap) <= CLICK) return;
    this.tap = null;
    this.fingers.set(event.pointerId, now);
    const change = now.map((value, axis) => value - before[axis]);
    const other = [...this.fingers].find(([finger]) => finger !== event.pointerId)?.[1];
    if (this.held) {
      const { from, number } = this.held;
      this.held.at = (this.held.at ?? from).map((value, axis) => value + change[axis]);
      this.#set(number, this.held.at, false);
    } else if (other) {
      const middle = before.map((value, axis) => (value + other[axis]) / 2);
      this.zoomBy(distance(now, other) / Math.max(1, distance(before, other)), middle);
      this.#shift(change.map((value) => value / 2));
    } else {
      this.#shift(change);
    }
  }

  #release(event) {
    this.fingers.delete(event.pointerId);
    // A tap on a point sets another that lies near it: a finger meets both.
    if (event.type === "pointerup" && this.tap) this.#add(this.tap);
    else if (this.held) this.changed(true);
    this.tap = this.held = null;
    this.loupe.hidden = true;
  }

  #shift(change) {
    this.corner = this.corner.map((value, axis) => value + change[axis]);
    this.#draw();
  }

  #wheel(event) {
    if (!event.ctrlKey) return; // the page scrolls on; two fingers on a touch pad come as Ctrl and the wheel
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / 200), this.#at(event));
  }
}
