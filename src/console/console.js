// What pages can do with JavaScript; each works without. The server pushes changes, and a page holds still while it is used.
"use strict";

const main = document.getElementById("main");

/** Whether something on the page is in use: a new page would take it away. */
function isInUse() {
  const active = document.activeElement;
  const writes = active && main.contains(active) && active.matches("input, textarea, select");
  const selects = String(document.getSelection()).length > 0;
  const typed = [...main.querySelectorAll("textarea, input:not([type=hidden]):not([type=checkbox])")];
  return writes || selects || main.querySelector("input[name=id][type=checkbox]:checked") !== null
    || typed.some((field) => field.value !== field.defaultValue);
}

async function reload() {
  const response = await fetch(location.href, { headers: { accept: "text/html" } });
  // The page took too long: it is read again when the database has more time.
  if (response.status === 503) return void setTimeout(refresh, 2000);
  if (!response.ok || response.redirected) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const open = [...main.querySelectorAll("details")].map((part) => part.open);
  if (isInUse()) return offer();
  main.replaceChildren(...page.getElementById("main").childNodes);
  main.querySelectorAll("details").forEach((part, place) => { part.open = open[place] ?? part.open; });
  document.querySelector(".side").replaceChildren(...page.querySelector(".side").childNodes);
  document.querySelector(".pill")?.remove();
  prepare();
}

/** Shows what is new, or offers it. */
function refresh() {
  return isInUse() ? offer() : reload();
}

/** Says that there is something new, instead of showing it. */
function offer() {
  if (document.querySelector(".pill")) return;
  const pill = document.createElement("button");
  pill.className = "primary pill";
  pill.textContent = "Something changed: reload";
  pill.addEventListener("click", () => location.reload());
  document.body.append(pill);
}

/** The switch of the keys that are letters: they would surprise who dictates, and stay off once switched off. */
function keySwitch() {
  const label = main.querySelector("[data-keys]");
  const box = label?.querySelector("input");
  if (!box) return;
  label.hidden = false;
  box.checked = localStorage.getItem("keys") !== "off";
  box.addEventListener("change", () => localStorage.setItem("keys", box.checked ? "on" : "off"));
}

/** One box selects all, and says how many are selected. */
function prepare() {
  const all = main.querySelector("input[data-all]");
  const boxes = [...main.querySelectorAll("input[name=id][type=checkbox]")];
  const counter = main.querySelector("[data-selected]");
  const count = () => { if (counter) counter.textContent = boxes.filter((box) => box.checked).length; };
  all?.addEventListener("change", () => { boxes.forEach((box) => { box.checked = all.checked; }); count(); });
  boxes.forEach((box) => box.addEventListener("change", count));
  keySwitch();
}

/** Listens while the page is seen: browsers allow few connections to one host. */
function listen() {
  if (!main?.dataset.live || !main.querySelector("[data-moves]")) return;
  let events = null;
  const open = () => {
    events = new EventSource(main.dataset.live);
    events.addEventListener("changed", refresh);
  };
  const close = () => { events?.close(); events = null; };
  document.addEventListener("visibilitychange", () => {
    close();
    if (document.hidden) return;
    refresh();
    open();
  });
  addEventListener("pagehide", close);
  open();
}

/** The keys: Ctrl K goes anywhere; where the switch is on, j and k go to the next and the previous one, a claims, r replies. */
addEventListener("keydown", (event) => {
  const field = document.querySelector(".goto input");
  if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    return field?.focus();
  }
  if (event.metaKey || event.ctrlKey || event.altKey || event.target.matches("input, textarea, select")) return;
  if (!main.querySelector("[data-keys] input")?.checked) return;
  const selectors = { j: "a[data-next]", k: "a[data-previous]", a: "button[data-claim]" };
  const target = main.querySelector(selectors[event.key] ?? "none");
  if (target) target.click();
  if (event.key === "r") {
    const reply = main.querySelector("textarea[name=text]");
    if (reply) { event.preventDefault(); reply.focus(); }
  }
});

if (main) { prepare(); listen(); }
