// Before and after: one sound at a time, and a switch that goes on at the same place.
const parts = (player) => ({
  sounds: [...player.querySelectorAll("audio")],
  sights: [...player.querySelectorAll(".sight")],
  play: player.querySelector(".play"),
  place: player.querySelector(".place"),
  time: player.querySelector(".time"),
});
const chosen = (player) => Number(player.querySelector(".switch input:checked").value);
const current = (player) => parts(player).sounds[chosen(player)];
const of = (target) => target.closest(".player");

const show = (player) => {
  const { sights, play, place, time } = parts(player);
  const sound = current(player);
  const seconds = Number(player.dataset.seconds);
  const now = Math.min(sound.currentTime, seconds);
  const share = `${(100 * now) / seconds}%`;
  for (const sight of sights) {
    sight.classList.toggle("chosen", sight.dataset.place === String(chosen(player)));
    sight.querySelector(".playhead").style.left = share;
  }
  play.setAttribute("aria-pressed", String(!sound.paused));
  play.setAttribute("aria-label", sound.paused ? "Play" : "Pause");
  place.value = now;
  place.setAttribute("aria-valuetext", `${now.toFixed(1)} of ${seconds.toFixed(1)} seconds`);
  time.textContent = `${now.toFixed(1)} s`;
  if (!sound.paused) requestAnimationFrame(() => show(player));
};

const toggle = (player) => {
  const sound = current(player);
  if (!sound.paused) return sound.pause();
  for (const other of element.querySelectorAll("audio")) if (other !== sound) other.pause();
  if (sound.ended) sound.currentTime = 0;
  return sound.play();
};

const go = (player, seconds) => {
  for (const sound of parts(player).sounds) sound.currentTime = seconds;
  show(player);
};

const change = (player) => {
  const { sounds } = parts(player);
  const next = current(player);
  const last = sounds.find((sound) => !sound.paused) ?? sounds[Number(player.dataset.last ?? 1)];
  const playing = !last.paused;
  if (last !== next) {
    next.currentTime = last.currentTime;
    last.pause();
    if (playing) next.play();
  }
  player.dataset.last = String(chosen(player));
  show(player);
};

element.addEventListener("click", (event) => {
  const player = of(event.target);
  if (!player) return;
  if (event.target.closest(".play")) toggle(player);
  const image = event.target.closest(".image");
  if (image) {
    const box = image.getBoundingClientRect();
    const place = image.closest(".sight").dataset.place;
    if (place !== undefined) {
      player.querySelector(`.switch input[value="${place}"]`).checked = true;
      change(player);
    }
    go(player, (Number(player.dataset.seconds) * (event.clientX - box.left)) / box.width);
    if (current(player).paused) toggle(player);
  }
});
element.addEventListener("change", (event) => {
  if (event.target.closest(".switch")) change(of(event.target));
});
element.addEventListener("input", (event) => {
  if (event.target.matches(".place")) go(of(event.target), Number(event.target.value));
});
for (const name of ["play", "pause", "seeked", "ended"]) // these do not bubble
  element.addEventListener(name, (event) => of(event.target) && show(of(event.target)), true);

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=radio]), textarea, select, [contenteditable]");
  const player = of(event.target) ?? element.querySelector(".player");
  if (!player || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key.toLowerCase() === "b") {
    const inputs = [...player.querySelectorAll(".switch input")];
    const back = Number(player.dataset.after ?? 1);
    const now = chosen(player);
    if (now !== 0) player.dataset.after = String(now);
    inputs[now === 0 ? back : 0].checked = true;
    change(player);
  }
  if (event.key === " " && !event.target.closest?.("button, summary, a, input, label")) {
    event.preventDefault();
    toggle(player);
  }
});
