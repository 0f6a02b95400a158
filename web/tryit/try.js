// Shows what /try/events says, and sends the forms without leaving the page.

const format = new Intl.NumberFormat("en-US");
const note = document.getElementById("note");
const doing = document.getElementById("state");

// tell says what became of a form that was sent; nothing, if all is well.
function tell(text) {
  note.textContent = text;
  note.classList.toggle("unseen", text === "");
}

// say shows how the page is doing, as the other pages do.
function say(kind, text) {
  doing.dataset.state = kind;
  if (doing.textContent !== text) doing.textContent = text;
}

function set(parent, field, value) {
  const cell = parent.querySelector(`[data-field="${field}"]`);
  if (cell && cell.textContent !== value) cell.textContent = value;
}

function show(state) {
  set(document, "exact", state.exact ? "yes" : "no");
  set(document, "away", state.away ? "being started" : "running");
  for (const table of state.tables) {
    const row = document.querySelector(`[data-table="${CSS.escape(table.name)}"]`);
    if (!row) {
      location.reload(); // the page came before the processors
      return;
    }
    for (const [field, value] of Object.entries(table)) {
      if (typeof value === "number") set(row, field, format.format(value));
    }
  }
  for (const scene of state.scenes) {
    const row = document.querySelector(`[data-scene="${CSS.escape(scene.name)}"]`);
    set(row, "on", scene.on ? "on" : "off");
    const button = row.querySelector("button");
    button.value = scene.on ? "off" : "on";
    button.textContent = scene.on ? "Stop" : "Start";
  }
  const kills = document.getElementById("kills");
  document.getElementById("killed").hidden = state.kills.length === 0;
  kills.tBodies[0].replaceChildren(...state.kills.map((kill) => {
    const row = document.createElement("tr");
    for (const text of [`${kill.at.slice(11, 19)} UTC`, kill.back_ms, kill.exact_ms]) {
      const cell = row.insertCell();
      if (typeof text === "number") cell.className = "number";
      cell.textContent = typeof text === "number" ? (text ? format.format(text) : "–") : text;
    }
    return row;
  }));
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new URLSearchParams({ do: event.submitter.value });
  try {
    const answer = await fetch(event.target.action, { method: "POST", body });
    tell(answer.ok ? "" : (await answer.text()).trim());
  } catch {
    tell("The demo does not answer.");
  }
});

const events = new EventSource("/try/events");
events.onmessage = (event) => { say("live", "live"); show(JSON.parse(event.data)); };
events.onerror = () => say("lost", "no answer");
