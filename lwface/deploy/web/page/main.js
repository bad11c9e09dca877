// The page: starts the network out of the bytes in this very file, and compares the two faces whenever they are there.
"use strict";

const facts = JSON.parse(document.getElementById("facts").textContent);
const result = document.getElementById("result");

const BROWSERS = "Chrome or Edge 91, Firefox 113, Safari 16.4 or later";

/** Bytes that this file carries, base64 of gzip, which has a checksum. */
async function bytesOf(id) {
  try {
    const text = atob(document.getElementById(id).textContent);
    const packed = new Uint8Array(text.length);
    for (let at = 0; at < text.length; at++) packed[at] = text.charCodeAt(at);
    const stream = new Response(packed).body.pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Error("this file is damaged: copy it again");
  }
}

/** onnxruntime-web with the network. A page from disk may fetch nothing, so everything is handed over as bytes. */
async function start() {
  const takes = `it takes ${BROWSERS}`;
  if (typeof WebAssembly !== "object") throw new Error(`this browser has no WebAssembly; ${takes}, with it switched on`);
  if (typeof DecompressionStream !== "function") throw new Error(`this browser is too old; ${takes}`);
  const glue = new Blob([await bytesOf("runtime-glue")], { type: "text/javascript" });
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1; // more need headers that only some servers send
  ort.env.wasm.wasmBinary = (await bytesOf("runtime-wasm")).buffer;
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(glue) };
  const session = await ort.InferenceSession.create(await bytesOf("model"), { executionProviders: ["wasm"] });
  ort.env.wasm.wasmBinary = undefined;
  return session;
}

/** f(x) + f(mirrored x), float32: what the toolbox writes into feature files of images. */
async function featureOf(session, crop) {
  const { side, input, output, type } = facts;
  const run = async (mirrored) => {
    const tensor = new ort.Tensor(type, planes(crop, side, mirrored, facts), [1, 3, side, side]);
    return (await session.run({ [input]: tensor }))[output].data;
  };
  const [plain, mirrored] = [await run(false), await run(true)];
  const sum = Float32Array.from(plain, (value, number) => value + mirrored[number]);
  if (!sum.some(Boolean) || !sum.every(Number.isFinite)) throw new Error("the network makes no feature of this face");
  return sum;
}

function say(text, kind = "") {
  const line = document.getElementById("verdict");
  line.textContent = text;
  line.className = kind;
}

/** The cosine, and at which of the thresholds it would be one person. */
function show(value) {
  result.classList.toggle("known", value !== null);
  const number = document.getElementById("cosine");
  number.textContent = value === null ? "" : value.toFixed(4).replace("-", "−");
  number.dataset.value = value === null ? "" : value; // all digits
  const passed = facts.thresholds.map(({ threshold }) => value !== null && value >= threshold);
  document.querySelectorAll("#thresholds tbody tr").forEach((row, at) => {
    const known = facts.thresholds[at].threshold !== null;
    row.classList.toggle("passed", known && passed[at]);
    const cell = row.querySelector(".here");
    if (cell) cell.textContent = value === null || !known ? "–" : passed[at] ? "alike" : "not";
  });
  if (value === null) return;
  const known = facts.thresholds.filter(({ threshold }) => threshold !== null);
  const best = known.filter(({ threshold }) => value >= threshold).sort((one, other) => one.rate - other.rate)[0];
  if (!known.length) say("");
  else if (best) say(`Alike enough for the threshold at which ${best.words} of two people is called one person.`, "yes");
  else say("Not alike enough for any of these thresholds.", "no");
}

function main() {
  const features = new Map(); // crop -> promise of its feature
  let [session, latest, queue] = [null, 0, Promise.resolve()];

  /** The feature of a crop, made one after the other; of one that was moved on meanwhile, nothing. */
  function feature(face) {
    if (!features.has(face)) {
      const wanted = () => photographs.some((photograph) => photograph.face === face);
      queue = queue.catch(() => {}).then(() => wanted() && featureOf(session, face));
      features.set(face, queue);
    }
    return features.get(face);
  }

  async function compare() {
    const turn = ++latest;
    const faces = photographs.map(({ face }) => face);
    const missing = faces.flatMap((face, at) => (face ? [] : [["first", "second"][at]]));
    show(null);
    if (!session) return;
    if (missing.length) return say(`Waiting for the ${missing.join(" and the ")} face.`);
    say("Comparing …");
    for (const face of features.keys()) if (!faces.includes(face)) features.delete(face);
    try {
      const [one, other] = await Promise.all(faces.map(feature));
      if (turn === latest) show(cosine(one, other));
    } catch (error) {
      if (turn === latest) say(`The faces cannot be compared: ${error.message}`, "problem");
    }
  }

  const places = [...document.querySelectorAll(".photograph")];
  const photographs = places.map((place) => new Photograph(place, facts, compare));
  const imageIn = (transfer) => [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
  places.forEach((place, at) => {
    place.addEventListener("dragover", () => place.classList.add("over"));
    for (const kind of ["dragleave", "drop"]) place.addEventListener(kind, () => place.classList.remove("over"));
    place.addEventListener("drop", (event) => {
      const [file] = event.dataTransfer.files;
      if (file) photographs[at].open(file);
      else photographs[at].refuse("What was dropped is no file: save the picture first, then drop the file.");
    });
  });
  document.addEventListener("paste", (event) => {
    const file = imageIn(event.clipboardData);
    const focused = places.findIndex((place) => place.contains(document.activeElement));
    const empty = photographs.findIndex(({ bitmap }) => !bitmap);
    if (file) photographs[focused >= 0 ? focused : Math.max(0, empty)].open(file);
  });

  say("Starting the network …");
  start().then(
    (started) => {
      session = started;
      result.dataset.ready = "yes";
      compare();
    },
    (error) => say(`The network cannot run here: ${error.message}.`, "problem"),
  );
}

main();
