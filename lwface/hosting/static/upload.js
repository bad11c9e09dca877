// Sends files by the tus protocol: in pieces with a checksum each, which go on where they broke off, another day too.
"use strict";
const PIECE = 8 * 1024 * 1024, PATIENCE = 12;
const form = document.getElementById("upload");
const csrf = form.elements.csrf.value;
const base = { "Tus-Resumable": "1.0.0", "X-CSRF-Token": csrf };
const encoded = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

function say(text, error) {
  const line = document.getElementById("says");
  line.textContent = text;
  line.className = error ? "error" : "soft";
}

async function ask(address, options) {
  const answer = await fetch(address, options);
  if (answer.ok || [409, 423, 460].includes(answer.status)) { return answer; }
  const error = new Error((await answer.json().catch(() => ({}))).error || "the server said " + answer.status);
  error.final = answer.status < 500 && answer.status !== 429;
  throw error;
}

async function start(file, fields) {
  const key = "upload:" + JSON.stringify([fields.track, fields.part, file.name, file.size, file.lastModified]);
  const kept = JSON.parse(localStorage.getItem(key) || "null");
  if (kept && (await fetch(kept.address, { method: "HEAD", headers: base })).ok) { return { ...kept, key }; }
  const metadata = Object.entries({ filename: file.name, ...fields })
    .filter(([, value]) => value).map(([name, value]) => name + " " + encoded(String(value))).join(",");
  const headers = { ...base, "Upload-Length": String(file.size), "Upload-Metadata": metadata };
  const answer = await ask("/uploads", { method: "POST", headers });
  const made = { address: answer.headers.get("Location"), submission: answer.headers.get("Submission") };
  localStorage.setItem(key, JSON.stringify(made));
  return { ...made, key };
}

async function offsetOf(upload) {
  const answer = await ask(upload.address, { method: "HEAD", headers: base });
  return Number(answer.headers.get("Upload-Offset"));
}

async function sendPiece(file, upload, offset) {
  const bytes = await file.slice(offset, offset + PIECE).arrayBuffer();
  const headers = { ...base, "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(offset) };
  if (window.crypto && crypto.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    headers["Upload-Checksum"] = "sha256 " + btoa(String.fromCharCode(...digest));
  }
  const answer = await ask(upload.address, { method: "PATCH", headers, body: bytes });
  return answer.status === 204 ? Number(answer.headers.get("Upload-Offset")) : await offsetOf(upload);
}

async function send(file, upload, bar) {
  let offset = await offsetOf(upload), failures = 0;
  while (offset < file.size) {
    try {
      const next = await sendPiece(file, upload, offset);
      failures = next > offset ? 0 : failures + 1;
      offset = next;
      if (failures) { await pause(Math.min(30, failures)); }
      bar.value = offset / file.size;
      say(file.name + ": " + Math.floor(100 * offset / file.size) + " %");
    } catch (error) {
      if (error.final || ++failures > PATIENCE) { throw error; }
      say("the connection broke; trying again");
      await pause(Math.min(30, failures));
      offset = await offsetOf(upload).catch(() => offset);
    }
    if (failures > PATIENCE) { throw new Error("the server takes no more of it: try again later"); }
  }
  localStorage.removeItem(upload.key);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button"), bar = form.querySelector("progress");
  button.disabled = true;
  bar.hidden = false;
  try {
    let submission = "";
    for (const input of form.querySelectorAll("input[type=file]")) {
      const file = input.files[0];
      const fields = { track: form.elements.track.value, part: input.name, note: form.elements.note.value, submission };
      const upload = await start(file, fields);
      submission = upload.submission;
      await send(file, upload, bar);
    }
    location.assign("/submissions");
  } catch (error) {
    say(error.message, true);
    button.disabled = false;
  }
});
