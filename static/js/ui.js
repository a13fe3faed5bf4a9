// What the frame does beyond HTML. Everything here is a comfort: the pages work without it.

const on = (type, selector, act, target = document) =>
  target.addEventListener(type, (event) => {
    const found = event.target instanceof Element && event.target.closest(selector);
    if (found) act(found, event);
  });

// Theme: system, light or dark.
function storedTheme() {
  try {
    return localStorage.getItem("drydock-theme") || "system";
  } catch {
    return "system";
  }
}

function showTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll("[data-theme-choice]"))
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme));
}

on("click", "[data-theme-choice]", (button) => {
  try {
    localStorage.setItem("drydock-theme", button.dataset.themeChoice);
  } catch {
    // Storage is off: the choice holds for this page.
  }
  showTheme(button.dataset.themeChoice);
});
addEventListener("storage", (event) => event.key === "drydock-theme" && showTheme(storedTheme()));
showTheme(storedTheme());

// Left menu as a drawer on narrow screens.
function setNav(open) {
  document.body.classList.toggle("nav-open", open);
  const button = document.querySelector("[data-open-nav]");
  button?.setAttribute("aria-expanded", String(open));
  if (open) document.querySelector("#side a")?.focus();
  else if (document.activeElement?.closest("#side")) button?.focus();
}

on("click", "[data-open-nav]", () => setNav(!document.body.classList.contains("nav-open")));
on("click", "[data-close-nav]", () => setNav(false));
on("focusout", ".nav-open #side", (side, event) => {
  if (event.relatedTarget && !side.contains(event.relatedTarget)) setNav(false);
});

// Menus close on a click elsewhere, on Escape, and when another one opens.
function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
}

document.addEventListener("click", (event) => closeMenus(event.target.closest?.("details.menu")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  } else if (document.body.classList.contains("nav-open")) setNav(false);
});

// Where tabs do not fit beside each other, the current one is in view.
for (const tab of document.querySelectorAll(".tabs a[aria-current]"))
  tab.parentElement.scrollLeft = tab.offsetLeft + tab.offsetWidth - tab.parentElement.offsetLeft - tab.parentElement.clientWidth;

// A short word about something that happened on this page.
function toast(text) {
  const region = document.querySelector("[data-toasts]");
  if (!region) return;
  const note = Object.assign(document.createElement("div"), { className: "toast", textContent: text });
  region.append(note);
  setTimeout(() => note.remove(), 4000);
}

on("click", "[data-dismiss]", (button) => button.closest("li, .notice").remove());

// Copy: the text of [data-copy] itself, or of the element its value names.
on("click", "[data-copy]", async (button) => {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText((source ?? button).textContent.trim());
    toast("Copied.");
  } catch {
    if (source) getSelection().selectAllChildren(source);
    toast("Press Ctrl+C to copy the selected text.");
  }
});

// A form is sent once, with the CSRF token the browser holds now (signing in in another tab changes it), and only while
// one is signed in: otherwise what was typed would be lost.
const signedOut = document.querySelector("[data-signed-out-dialog]");
const SURE_FOR = 30000;
let sureAt = Date.now();
let waiting = null;

async function isSignedIn() {
  if (!signedOut || Date.now() - sureAt < SURE_FOR) return true;
  try {
    const answer = await fetch(signedOut.dataset.session, { headers: { Live: "1" }, redirect: "manual", cache: "no-store" });
    if (answer.type === "opaqueredirect") return false;
  } catch {
    return true; // no connection: sending will say so
  }
  sureAt = Date.now();
  return true;
}

on("submit", "form[method=post]", (form, event) => {
  if (event.defaultPrevented) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  if (Date.now() - sureAt >= SURE_FOR && signedOut) {
    event.preventDefault();
    askFirst(form, event.submitter);
  } else sending(form, event.submitter);
});

function sending(form, button) {
  refreshToken(form);
  button?.setAttribute("aria-busy", "true");
  setTimeout(() => settle(form), 8000); // a download leaves the page where it is
}

async function askFirst(form, button) {
  const signedIn = await isSignedIn();
  delete form.dataset.sent;
  if (signedIn) {
    sureAt = Date.now();
    return form.requestSubmit(button);
  }
  waiting = [form, button];
  if (!signedOut.open) signedOut.showModal();
}

// Back in this tab: whoever signed in again goes on where the form stopped.
document.addEventListener("visibilitychange", async () => {
  if (document.hidden || !waiting || !signedOut.open || !(await isSignedIn())) return;
  const [form, button] = waiting;
  waiting = null;
  signedOut.close();
  form.requestSubmit(button);
});
document.addEventListener("live:alive", () => (sureAt = Date.now()));

function refreshToken(form) {
  const token = /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  const field = form.elements.namedItem("csrfmiddlewaretoken");
  if (token && field) field.value = token;
}

function settle(form) {
  delete form.dataset.sent;
  for (const busy of form.querySelectorAll("[aria-busy]")) busy.removeAttribute("aria-busy");
}

addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(settle));

// Links marked data-dialog open the form of the page they lead to here, and lead there when that fails.
on("click", "a[data-dialog]", async (link, event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const answer = await fetch(link.href, { redirect: "error" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const form = answer.ok && page.querySelector("[data-dialog-body]");
    if (!form) throw new Error("no dialog there");
    openDialog(form, link.href);
  } catch {
    location.assign(link.href);
  }
});

function openDialog(form, address) {
  const dialog = Object.assign(document.createElement("dialog"), { className: "dialog" });
  if (!form.getAttribute("action")) form.setAttribute("action", address);
  dialog.append(document.adoptNode(form));
  const heading = dialog.querySelector("h1, h2");
  if (heading) dialog.setAttribute("aria-labelledby", (heading.id ||= "dialog-title"));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  checkName(dialog);
}

on("click", "dialog [data-cancel]", (button, event) => {
  event.preventDefault();
  button.closest("dialog").close();
});

// Type the name to confirm: the button wakes up when the name is right.
function checkName(root) {
  for (const input of root.querySelectorAll("input[data-confirm-name]")) {
    const button = input.form.querySelector("[type=submit]");
    button.disabled = input.value.trim() !== input.dataset.confirmName;
  }
}

on("input", "input[data-confirm-name]", (input) => checkName(input.form));
checkName(document);

// Filters apply as they are chosen.
on("change", "form[data-autosubmit]", (form) => form.requestSubmit());

// Fields that belong to one choice: shown while [data-when="field=value"] holds.
function showDependents() {
  for (const part of document.querySelectorAll("[data-when]")) {
    const [name, values] = part.dataset.when.split("=");
    const form = part.closest("form");
    const chosen = form && [...new FormData(form).getAll(name)];
    part.hidden = !values.split("|").some((value) => chosen?.includes(value));
  }
}

document.addEventListener("change", showDependents);
document.addEventListener("live:updated", showDependents);
showDependents();

// Relative times keep moving; the server's words are the same (console/templatetags/ui.py).
const UNITS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [2592000, 86400, "day"], [31536000, 2592000, "month"]];

function relative(at, now = Date.now()) {
  const gap = Math.floor(Math.abs(now - at) / 1000);
  if (gap < 10) return "just now";
  const [, unit, word] = UNITS.find(([limit]) => gap < limit) ?? [Infinity, 31536000, "year"];
  const full = at > now ? gap + 59 : gap;
  const count = unit === 1 ? gap - (gap % 10) : Math.floor(full / unit);
  const words = `${count} ${word}${count > 1 && unit >= 86400 ? "s" : ""}`;
  return at > now ? `in ${words}` : `${words} ago`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const words = relative(Date.parse(time.dateTime));
    if (time.textContent !== words) time.textContent = words;
  }
}

setInterval(() => document.hidden || tick(), 5000);

// The first field with an error gets the focus after a refused form.
document.querySelector("[data-form-errors]")?.focus();
