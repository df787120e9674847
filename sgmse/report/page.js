"use strict";
document.documentElement.classList.add("scripted");
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Tables: the head of a column sorts by it, once more in the other direction. Empty cells stay last.
const order = (a, b) => {
  if (a === "" || b === "") return (a === "") - (b === "");
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
};
for (const button of all("table.scores thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const column = head.cellIndex;
    const now = head.getAttribute("aria-sort");
    const other = { ascending: "descending", descending: "ascending" };
    const next = other[now] ?? button.dataset.first;
    for (const one of head.parentElement.cells) one.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", next);
    const body = head.closest("table").tBodies[0];
    const sign = next === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [row.cells[column].dataset.value, row]);
    rows.sort(([a], [b]) => (a === "" || b === "" ? order(a, b) : sign * order(a, b)));
    body.append(...rows.map(([, row]) => row));
  });
}

// Charts and lists of the worst: of the chosen measure; systems can be left out of all but scores.
for (const [id, kind] of [["measure", "measure"], ["worst-measure", "worst"]]) {
  const select = document.getElementById(id);
  if (!select) continue;
  const choose = () => {
    for (const part of all(`[data-${kind}]`))
      part.classList.toggle("off", select.value !== "" && part.dataset[kind] !== select.value);
  };
  select.addEventListener("change", choose);
  choose();
}
for (const box of all(".systems input")) {
  const apply = () => {
    for (const part of all(`[data-kind="${box.value}"]`)) part.classList.toggle("off", !box.checked);
  };
  box.addEventListener("change", apply);
  apply(); // a browser may remember what was chosen before the page was loaded again
}

// Recordings: one sound at a time; another version of a recording goes on where the last one was.
const same = document.getElementById("same-place");
let last = null;
for (const player of all("audio")) {
  const card = player.closest(".card");
  const head = card.querySelector(".head");
  const seconds = Number(player.dataset.seconds);
  const follow = () => {
    head.hidden = false;
    head.style.left = `${(100 * Math.min(player.currentTime / seconds, 1)).toFixed(2)}%`;
    if (!player.paused) requestAnimationFrame(follow);
  };
  player.addEventListener("play", () => {
    const before = last;
    last = player;
    if (before && before !== player) {
      before.pause();
      const together = before.closest(".cards") === player.closest(".cards");
      if (together && same.checked && !before.ended && before.currentTime < seconds)
        player.currentTime = before.currentTime;
    }
    follow();
  });
  player.addEventListener("seeked", follow);
  card.querySelector(".picture").addEventListener("click", (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    player.currentTime = (seconds * (event.clientX - box.left)) / box.width;
    player.play();
  });
}
