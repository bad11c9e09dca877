#!/usr/bin/env bash
# onnxruntime-web 1.30.0 does not start in a page that Chromium opens from disk unless three things are given as bytes.
#
# With `<script src="ort.wasm.min.js">` and `InferenceSession.create("model.onnx")`, as its documentation has it, nothing
# runs from file://: the script imports a module (ort-wasm-simd-threaded.mjs), which fetches the .wasm, and then the model
# is fetched; Chromium gives a page from disk none of the three, as each file there is an origin of its own. Handing over
# some of them is not enough. What is needed: env.wasm.wasmBinary, the .wasm; env.wasm.wasmPaths.mjs, an address
# made by URL.createObjectURL of the module's text; and a Uint8Array as the model. Classic scripts are loaded from disk.
#
# Seen with Chromium 156 on Linux:
#   all by name:                    no available backend found. ERR: [wasm] TypeError: Failed to fetch dynamically imported module
#   .wasm as bytes:                 no available backend found. ERR: [wasm] TypeError: Failed to fetch dynamically imported module
#   .wasm and module as bytes:      Failed to fetch
#   .wasm, module, model as bytes:  runs: 2,4
#
# Needs npm and Chromium. Exit status 0: as described; 1: otherwise; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "no Chromium found"
    exit 2
}
npm install --silent --no-audit --no-fund --ignore-scripts onnxruntime-web@1.30.0 > /dev/null || exit 2
cp node_modules/onnxruntime-web/dist/{ort.wasm.min.js,ort-wasm-simd-threaded.mjs,ort-wasm-simd-threaded.wasm} .
# A model of ONNX that adds two numbers to themselves.
echo CAg6NQoOCgF4CgF4EgF5IgNBZGQSAWdaDwoBeBIKCggIARIECgIIAmIPCgF5EgoKCAgBEgQKAggCQgQKABAR | base64 -d > model.onnx
for file in ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm model.onnx; do
    printf '(self.given ??= {})["%s"] = Uint8Array.from(atob("%s"), (c) => c.charCodeAt(0));\n' \
        "${file##*.}" "$(base64 -w0 "$file")"
done > bytes.js
cat > listen.js << 'JAVASCRIPT'
// Prints the port that it listens at, then what the first visitor asks for.
const server = require("http").createServer((request) => {
  console.log(decodeURIComponent(request.url.slice(2)));
  process.exit();
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
setTimeout(() => process.exit(2), 60000);
JAVASCRIPT
try() { # NAME WHAT: a page that hands over WHAT (mjs wasm onnx) as bytes; it asks the listener for an image called as the outcome
    coproc listener { node listen.js; }
    read -r port <&"${listener[0]}"
    cat > page.html << HTML
<!doctype html><meta charset="utf-8"><body><script src="bytes.js"></script><script src="ort.wasm.min.js"></script>
<script>
const bytes = (kind) => "$2".split(" ").includes(kind) && given[kind];
ort.env.wasm.numThreads = 1;
if (bytes("wasm")) ort.env.wasm.wasmBinary = bytes("wasm").buffer;
if (bytes("mjs")) ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([bytes("mjs")], { type: "text/javascript" })) };
const x = new ort.Tensor("float32", [1, 2], [2]);
ort.InferenceSession.create(bytes("onnx") || "model.onnx")
  .then((session) => session.run({ x }))
  .then(({ y }) => "runs: " + y.data, (error) => error.message.split(": file:")[0])
  .then((text) => (new Image().src = "http://127.0.0.1:$port/?" + encodeURIComponent(text)));
</script>
HTML
    "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" "file://$work/page.html" \
        --remote-debugging-port=0 > /dev/null 2>&1 &
    chromium=$!
    read -r outcome <&"${listener[0]}" || outcome=nothing
    kill "$chromium"
    wait "$chromium" || true
    printf '%-31s %s\n' "$1:" "$outcome"
    outcomes+=("${outcome%%:*}")
}
outcomes=()
try "all by name" ""
try ".wasm as bytes" "wasm"
try ".wasm and module as bytes" "wasm mjs"
try ".wasm, module, model as bytes" "wasm mjs onnx"
[ "${outcomes[3]}" = runs ] || exit 2
if [[ " ${outcomes[*]:0:3} " == *" runs "* ]]; then
    echo "CHANGED: less is enough"
    exit 1
fi
echo "as described: a page from disk runs when all three are handed over as bytes"
