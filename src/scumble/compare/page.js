"use strict";
const facts = JSON.parse(document.getElementById("cells").textContent);
const byId = (id) => document.getElementById(id);
const zoom = byId("zoom"), slide = byId("slide"), range = byId("at"), tray = byId("tray");
const spots = [...document.querySelectorAll("td.spot")];
const picked = [];
let shown = null;

const placeOf = (spot) => spot.dataset.spot.split("-").map(Number);
const pictureOf = (spot) => spot.querySelector("img");
const nameOf = (spot) => facts[spot.dataset.spot].labels.join(" · ");
const isOpen = (spot) => spot.offsetParent !== null;

function neighbour(spot, right, down) {
  let [column, row, table] = placeOf(spot);
  for (;;) {
    column += right; row += down;
    const next = document.querySelector(`td.spot[data-spot="${column}-${row}-${table}"]`);
    if (!next || (isOpen(next) && pictureOf(next))) return next;
  }
}

function showZoom(spot) {
  shown = spot;
  const fact = facts[spot.dataset.spot];
  byId("zoom-title").textContent = nameOf(spot);
  byId("zoom-picture").src = pictureOf(spot).src;
  byId("zoom-picture").alt = nameOf(spot);
  byId("zoom-facts").replaceChildren(...fact.facts.map(([what, value]) => {
    const line = document.createElement("tr"), head = document.createElement("th"), cell = document.createElement("td");
    head.textContent = what; cell.textContent = value; line.append(head, cell);
    return line;
  }));
  byId("zoom-recipe").textContent = fact.recipe;
  byId("copy").textContent = "Copy recipe";
  if (!zoom.open) zoom.showModal();
}

function copyRecipe() {
  const text = facts[shown.dataset.spot].recipe, said = (words) => { byId("copy").textContent = words; };
  const selected = () => {
    const chosen = document.createRange();
    chosen.selectNodeContents(byId("zoom-recipe"));
    getSelection().removeAllRanges(); getSelection().addRange(chosen);
    said(document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C");
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => said("Copied"), selected);
  else selected();
}

function pick(spot) {
  const at = picked.indexOf(spot);
  if (at >= 0) picked.splice(at, 1);
  else { if (picked.length === 2) picked.shift(); picked.push(spot); }
  showPicked();
  if (at < 0 && picked.length === 2) showSlide();
}

function showPicked() {
  for (const spot of spots) {
    const button = spot.querySelector("button.pick");
    if (!button) continue;
    const at = picked.indexOf(spot);
    button.textContent = at < 0 ? "+" : "AB"[at];
    button.classList.toggle("picked", at >= 0);
    button.setAttribute("aria-pressed", at >= 0);
  }
  tray.hidden = picked.length === 0;
  byId("tray-words").textContent = picked.map((spot, at) => `${"AB"[at]}: ${nameOf(spot)}`).join(", ")
    + (picked.length === 1 ? ": now choose another with +" : "");
  byId("tray-slide").hidden = picked.length < 2;
}

function showSlide() {
  const [left, right] = picked;
  byId("slide-over").src = pictureOf(left).src;
  byId("slide-under").src = pictureOf(right).src;
  byId("slide-left").textContent = "A: " + nameOf(left);
  byId("slide-right").textContent = "B: " + nameOf(right);
  moveTo(50);
  zoom.close();
  if (!slide.open) slide.showModal();
  range.focus();
}

function moveTo(percent) {
  range.value = percent;
  byId("slide-box").style.setProperty("--at", `${percent}%`);
}

function follow(event) {
  const box = byId("slide-box").getBoundingClientRect();
  moveTo(Math.min(100, Math.max(0, 100 * (event.clientX - box.left) / box.width)));
}

function filter() {
  const words = byId("filter").value.trim().toLowerCase();
  const has = (place) => place !== null && place.textContent.toLowerCase().includes(words);
  let found = false;
  for (const table of document.querySelectorAll("table.cells")) {
    const rows = [...table.tBodies[0].rows], heads = [...table.tHead.rows[0].cells];
    const columns = heads.map((head, at) => at === 0 || has(head));
    const anyColumn = columns.slice(1).some(Boolean), anyRow = rows.some((row) => has(row.cells[0]));
    for (const row of rows) row.hidden = anyRow && !has(row.cells[0]);
    for (const row of [table.tHead.rows[0], ...rows]) {
      [...row.cells].forEach((cell, at) => { cell.hidden = anyColumn && !columns[at]; });
    }
    found ||= anyColumn || anyRow;
  }
  byId("filter-none").hidden = found;
}

for (const spot of spots) {
  spot.querySelector("button.cell")?.addEventListener("click", () => showZoom(spot));
  spot.querySelector("button.pick")?.addEventListener("click", () => pick(spot));
}
byId("copy").addEventListener("click", copyRecipe);
byId("zoom-pick").addEventListener("click", () => { zoom.close(); pick(shown); });
byId("tray-slide").addEventListener("click", showSlide);
byId("tray-clear").addEventListener("click", () => { picked.length = 0; showPicked(); });
byId("swap").addEventListener("click", () => { picked.reverse(); showPicked(); showSlide(); });
byId("filter").addEventListener("input", filter);
byId("width").addEventListener("input", (event) => document.body.style.setProperty("--cell", `${event.target.value}px`));
range.addEventListener("input", () => moveTo(Number(range.value)));
byId("slide-box").addEventListener("pointerdown", (event) => { event.target.setPointerCapture(event.pointerId); follow(event); });
byId("slide-box").addEventListener("pointermove", (event) => { if (event.buttons || event.pointerType === "mouse") follow(event); });
for (const button of document.querySelectorAll("button.close")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey || slide.open) return;
  const spot = zoom.open ? shown : event.target.closest?.("td.spot");
  if (!spot) return;
  if (event.key in STEPS) {
    const next = neighbour(spot, ...STEPS[event.key]);
    event.preventDefault();
    if (!next) return;
    if (zoom.open) showZoom(next);
    next.querySelector("button.cell").focus();
  } else if (event.key === "c" && pictureOf(spot)) {
    if (zoom.open) zoom.close();
    pick(spot);
  }
});
slide.addEventListener("keydown", (event) => {
  if (event.key === "s") byId("swap").click();
  if (event.key === " " && event.target === range) { event.preventDefault(); moveTo(Number(range.value) < 50 ? 100 : 0); }
});
