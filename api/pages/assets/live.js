// Keeps the parts of a page that are marked data-live as the server has them, without reloading.
// The server tells that something happened (server-sent events); what there is to see is fetched.
(() => {
  "use strict";
  const root = document.querySelector("[data-source]");
  if (!root) return;

  const KINDS = ["submitted", "claimed", "released", "lost", "finished", "failed", "paused",
    "resumed", "cancelled", "retried", "labelled", "complete", "deleted", "operation",
    "scaled"];
  const APART = 1000, // milliseconds between two looks, however much happens
    ANYWAY = 15000; // ages and workers that fell silent make no event
  const announcement = document.getElementById("announcement");
  const parts = () => root.querySelectorAll("[data-live]");
  const known = new Map([...parts()].map((part) => [part.id, part.outerHTML]));
  let said = words(root), events = null, timer = null, last = 0, busy = false;

  function words(of) {
    return of.querySelector("[data-announce]")?.dataset.announce ?? "";
  }

  // What the reader opened, focused and scrolled to stays as it is.
  function replace(old, part) {
    for (const details of old.querySelectorAll("details[id]")) {
      const same = part.querySelector(`#${CSS.escape(details.id)}`);
      if (same) same.open = details.open;
    }
    const wide = [...part.querySelectorAll(".wide")];
    const scrolled = [...old.querySelectorAll(".wide")].map((box) => box.scrollLeft);
    const active = old.contains(document.activeElement) ? document.activeElement : null;
    const tags = active ? [...old.querySelectorAll(active.tagName)].indexOf(active) : -1;
    old.replaceWith(part);
    wide.forEach((box, place) => { box.scrollLeft = scrolled[place] ?? 0; });
    if (active) {
      const same = active.id ? document.getElementById(active.id)
        : part.querySelectorAll(active.tagName)[tags];
      same?.focus({ preventScroll: true });
    }
  }

  function show(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const heard = words(fresh); // before its parts move into this page
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = document.getElementById(part.id);
      if (!old || known.get(part.id) === part.outerHTML) continue;
      known.set(part.id, part.outerHTML);
      replace(old, document.adoptNode(part));
    }
    if (heard !== said) {
      said = heard;
      announcement.textContent = said;
    }
  }

  async function look() {
    timer = null;
    last = Date.now();
    busy = true;
    try {
      const answer = await fetch(root.dataset.source, { cache: "no-store" });
      if (answer.ok && !answer.redirected) show(await answer.text());
      else if (answer.status < 500 && answer.status !== 429) location.reload(); // logged out, deleted
    } catch {
      // The server is away; the next look may find it.
    } finally {
      busy = false;
      if (root.querySelector("[data-soon]")) soon(); // something is being made
    }
  }

  function soon() {
    if (timer === null && !document.hidden) {
      timer = setTimeout(look, Math.max(busy ? APART : 0, last + APART - Date.now()));
    }
  }

  // A page in the background holds no connection: browsers allow six to a server.
  function follow() {
    events?.close();
    events = null;
    if (document.hidden) return;
    events = new EventSource(root.dataset.events);
    events.addEventListener("open", soon);
    for (const kind of KINDS) events.addEventListener(kind, soon);
  }

  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => events?.close());
  addEventListener("pageshow", (event) => { if (event.persisted) follow(); });
  setInterval(() => {
    if (events?.readyState === EventSource.CLOSED) follow();
    soon();
  }, ANYWAY);
  follow();
  if (root.querySelector("[data-soon]")) soon();
})();
