// <live-fragment src="…" interval="300">: asks the server again and again, and puts what changed in place.
//
// The server says how long to wait (Live-Interval, milliseconds) and answers 304 when nothing changed. Polling rests
// while the tab is hidden. A lost connection is said, with since when; signing out and losing the right to see the page
// end it with a sentence. Focus, open menus, selection and what is typed survive an update: nodes are changed in place.

const RETRY_AFTER = [1000, 2000, 4000, 8000];
const TIMEOUT = 10000;
const regions = new Set();

class LiveFragment extends HTMLElement {
  connectedCallback() {
    this.failures = 0;
    this.failedSince = 0;
    this.ended = false;
    this.interval = Number(this.getAttribute("interval")) || 5000;
    regions.add(this);
    this.plan(this.interval);
  }

  disconnectedCallback() {
    regions.delete(this);
    clearTimeout(this.timer);
    this.pending?.abort();
    showStale();
  }

  plan(wait) {
    clearTimeout(this.timer);
    if (!this.ended) this.timer = setTimeout(() => this.poll(), wait);
  }

  async poll() {
    if (document.hidden || this.ended) return; // visibilitychange plans the next one
    this.pending?.abort();
    const pending = (this.pending = new AbortController());
    const limit = setTimeout(() => pending.abort(), TIMEOUT);
    try {
      await this.take(await this.ask(pending.signal));
    } catch {
      if (this.isConnected && this.pending === pending) this.failed();
    } finally {
      clearTimeout(limit);
    }
  }

  ask(signal) {
    const headers = { Live: "1" };
    if (this.etag) headers["If-None-Match"] = this.etag;
    return fetch(this.getAttribute("src") || location.href, { headers, signal, redirect: "manual", cache: "no-store" });
  }

  async take(answer) {
    if (answer.type === "opaqueredirect" || answer.status === 401) return this.end("signed-out");
    if (answer.status === 403 || answer.status === 404) return this.end("gone");
    if (answer.status !== 304 && !answer.ok) throw new Error(`HTTP ${answer.status}`);
    if (answer.status !== 304) this.put(await answer.text());
    this.etag = answer.headers.get("ETag") || this.etag;
    this.interval = Number(answer.headers.get("Live-Interval")) || this.interval;
    this.failures = this.failedSince = 0;
    document.dispatchEvent(new CustomEvent("live:alive")); // still signed in
    showStale();
    this.plan(this.interval);
    const target = answer.headers.get("Live-Location");
    if (target) location.assign(target);
  }

  failed() {
    this.failedSince ||= Date.now();
    this.plan(RETRY_AFTER[Math.min(this.failures++, RETRY_AFTER.length - 1)]);
    showStale();
  }

  end(why) {
    this.ended = why;
    showStale();
  }

  put(html) {
    const next = document.createElement("template");
    next.innerHTML = html;
    const before = this.announcement();
    morph(this, next.content);
    const after = this.announcement();
    if (after && after !== before) say(after);
    this.dispatchEvent(new CustomEvent("live:updated", { bubbles: true }));
  }

  announcement() {
    return [...this.querySelectorAll("[data-announce]")].map((part) => part.dataset.announce).join(". ");
  }
}

// What a screen reader is told: only the texts marked data-announce, and only when they change.
function say(text) {
  const region = document.querySelector("[data-live-says]");
  if (region) region.textContent = text;
}

// Changes `now`'s children into those of `next`, keeping nodes that stay the same thing: same id, else same tag in the
// same place.
function morph(now, next) {
  let current = now.firstChild;
  for (const wanted of [...next.childNodes]) {
    const match = sameThing(current, wanted) ? current : byId(now, wanted);
    if (!match) {
      now.insertBefore(wanted, current);
      continue;
    }
    if (match !== current) now.insertBefore(match, current);
    else current = current.nextSibling;
    if (match.nodeType === Node.ELEMENT_NODE) morphElement(match, wanted);
    else if (match.data !== wanted.data) match.data = wanted.data;
  }
  while (current) {
    const after = current.nextSibling;
    current.remove();
    current = after;
  }
}

function sameThing(a, b) {
  return a && a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

function byId(parent, wanted) {
  if (!wanted.id) return null;
  return [...parent.children].find((child) => child.id === wanted.id && child.nodeName === wanted.nodeName) ?? null;
}

function morphElement(now, wanted) {
  if (now.isEqualNode(wanted)) return;
  const kept = now.nodeName === "DETAILS" || now.nodeName === "DIALOG" ? ["open"] : [];
  for (const { name } of [...now.attributes])
    if (!wanted.hasAttribute(name) && !kept.includes(name)) now.removeAttribute(name);
  for (const { name, value } of wanted.attributes)
    if (now.getAttribute(name) !== value && !kept.includes(name)) now.setAttribute(name, value);
  if (now.nodeName === "TEXTAREA" || now.hasAttribute("data-live-keep")) return; // the person's own
  morph(now, wanted);
}

// One banner for the page, whichever of its fragments is worst off.
function showStale() {
  const banner = document.querySelector("[data-stale]");
  if (!banner) return;
  const ends = [...regions].map((region) => region.ended);
  const failing = [...regions].filter((region) => region.failures > 1).map((region) => region.failedSince);
  const kind = ends.includes("signed-out") ? "signed-out" : ends.includes("gone") ? "gone" : failing.length ? "lost" : "";
  if (kind && banner.hidden) say(banner.querySelector(`[data-stale-kind="${kind}"]`).dataset.staleSays);
  banner.hidden = !kind;
  for (const text of banner.querySelectorAll("[data-stale-kind]")) text.hidden = text.dataset.staleKind !== kind;
  const since = banner.querySelector("[data-stale-since]");
  if (kind === "lost" && since) since.textContent = `${Math.round((Date.now() - Math.min(...failing)) / 1000)} s`;
}

setInterval(showStale, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const region of regions) region.plan(0);
});
addEventListener("online", () => regions.forEach((region) => region.plan(0)));
customElements.define("live-fragment", LiveFragment);
