// onnxruntime-web, in Node, for benchmarks/deployment.py: as deployed.py, with the program's name left out.
//
//     NODE_PATH=build/peers/web/node_modules node deployed_web.js MODEL IMAGES FEATURES
//
// FEATURES is float32 without a header.
"use strict";
const fs = require("fs");
const readline = require("readline");
const ort = require("onnxruntime-web");

const SIDE = 112;

/** The bytes of a NumPy file, without its header. */
function bytesOf(file) {
  const data = fs.readFileSync(file);
  return data.subarray(10 + data.readUInt16LE(8));
}

/** Image `number` of `bytes` (N, 112, 112, 3) uint8 as a tensor (1, 3, 112, 112). */
function planes(bytes, number) {
  const size = SIDE * SIDE;
  const image = bytes.subarray(number * 3 * size, (number + 1) * 3 * size);
  const data = new Float32Array(3 * size);
  for (let pixel = 0; pixel < size; pixel++) {
    for (let colour = 0; colour < 3; colour++) data[colour * size + pixel] = image[3 * pixel + colour];
  }
  return new ort.Tensor("float32", data, [1, 3, SIDE, SIDE]);
}

async function main() {
  const [model, imagesFile, featuresFile] = process.argv.slice(2);
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(new Uint8Array(fs.readFileSync(model)));
  const images = bytesOf(imagesFile);
  const count = images.length / (3 * SIDE * SIDE);
  const run = async (number) => (await session.run({ data: planes(images, number % count) })).fc1.data;
  const rows = [];
  for (let number = 0; number < count; number++) rows.push(Buffer.from(Float32Array.from(await run(number)).buffer));
  fs.writeFileSync(featuresFile, Buffer.concat(rows));
  console.log("ready");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const start = process.hrtime.bigint();
    for (let number = 0; number < Number(line); number++) await run(number);
    console.log(Number(process.hrtime.bigint() - start) / 1e9);
  }
}

main();
