// My submissions, live: what the server tells of each goes into its row.
"use strict";
const table = document.getElementById("submissions");
if (table && window.EventSource) {
  const source = new EventSource("/submissions/events");
  const ended = ["scored", "refused", "failed", "cancelled"];
  source.addEventListener("out", () => { source.close(); location.reload(); });
  source.addEventListener("submissions", (event) => {
    for (const told of JSON.parse(event.data)) {
      const row = document.getElementById("submission-" + told.id);
      if (!row) { location.reload(); return; }
      const state = row.querySelector(".state");
      if (state.textContent !== told.state && ended.includes(told.state)) { location.reload(); return; }
      state.textContent = told.state;
      state.className = "state " + told.state;
      const bar = row.querySelector("progress");
      if (bar) { bar.value = told.progress; bar.hidden = told.state !== "running"; }
      const doing = row.querySelector(".doing");
      if (doing) { doing.textContent = told.state === "running" ? told.doing : ""; }
    }
  });
}
