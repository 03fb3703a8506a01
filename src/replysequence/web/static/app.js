// Comfort on top of pages that work without it. No dependencies, no inline code, nothing is evaluated.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// The time zone of this browser: told at sign-in, where the person's is not known yet, and offered in the settings.
const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
function tellTimeZone(root) {
  for (const field of all("[data-browser-zone]", root)) field.value = browserZone;
  for (const button of all("[data-take-zone]", root)) {
    const field = document.getElementById(button.dataset.takeZone);
    button.hidden = !browserZone || field.value === browserZone;
    button.textContent = `Take this browser's, ${browserZone}`;
    button.addEventListener("click", () => { field.value = browserZone; button.hidden = true; field.focus(); });
  }
}

// The seconds until a send leaves. They are counted from what the server said: this clock may be wrong.
function countDown(root) {
  for (const shown of all("[data-seconds]", root)) {
    shown.removeAttribute("data-seconds");
    const end = performance.now() + 1000 * Number(shown.textContent);
    const ticking = setInterval(() => {
      const left = Math.ceil((end - performance.now()) / 1000);
      if (left > 0) shown.textContent = String(left);
      else shown.parentNode.textContent = "Sending now";
      if (left <= 0 || !shown.isConnected) clearInterval(ticking);
    }, 200);
  }
}

function say(text) {
  const toast = document.getElementById("toast");
  toast.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { toast.textContent = ""; }, 6000);
}

// Copy buttons.
function offerCopying(root) {
  for (const button of all("[data-copy]", root)) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
      say("Copied.");
    });
  }
}

// One press is enough; a second one while the first is on its way does nothing.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button?.dataset.confirm && !window.confirm(button.dataset.confirm)) {
    event.preventDefault();
    return;
  }
  if (event.target.dataset.sent) {
    event.preventDefault();
  } else if (button?.hasAttribute("data-once")) {
    event.target.dataset.sent = "yes";
    setTimeout(() => { button.disabled = true; }, 0);
  }
});
window.addEventListener("pageshow", (event) => { // coming back with the Back button
  if (!event.persisted) return;
  for (const form of all("form[data-sent]")) delete form.dataset.sent;
  for (const button of all("[data-once]")) button.disabled = false;
});

// The account menu closes when something else is pressed.
document.addEventListener("click", (event) => {
  for (const menu of all("details.who[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const menu of all("details.who[open]")) menu.open = false;
});

// Recipients: what is typed before a comma, Enter or Tab becomes a chip; the form still gets one line of text.
const address = /^[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+$/;
function splitPeople(text) {
  const found = [];
  let start = 0, quoted = false, bracketed = false;
  for (let at = 0; at <= text.length; at += 1) {
    const mark = text[at];
    if (mark === "\\") at += 1;
    else if (mark === '"' && !bracketed) quoted = !quoted;
    else if (quoted && at < text.length) continue;
    else if (mark === "<" || mark === ">") bracketed = mark === "<";
    else if (at === text.length || (!bracketed && ",;\n".includes(mark))) {
      if (text.slice(start, at).trim()) found.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  return found;
}
function makeChips(field) {
  const box = document.createElement("div");
  box.className = "chips";
  const entry = field.cloneNode();
  entry.removeAttribute("name");
  entry.removeAttribute("data-people");
  entry.value = "";
  const kept = document.createElement("input");
  kept.type = "hidden";
  kept.name = field.name;
  const placeholder = field.placeholder;
  let people = splitPeople(field.value);
  field.replaceWith(box);
  box.append(entry);
  box.after(kept);
  if (entry.getAttribute("aria-invalid") === "true") box.setAttribute("aria-invalid", "true");

  function show(changed) {
    all(".chip", box).forEach((chip) => chip.remove());
    for (const person of people) {
      const bare = /<([^<>]*)>\s*$/.exec(person)?.[1] ?? person;
      const chip = document.createElement("span");
      chip.className = address.test(bare.trim()) ? "chip" : "chip odd";
      const label = document.createElement("span");
      label.textContent = person;
      const remove = document.createElement("button");
      remove.type = "button";
      remove.textContent = "×";
      remove.setAttribute("aria-label", `Remove ${person}`);
      remove.addEventListener("click", () => { people = people.filter((one) => one !== person); show(true); entry.focus(); });
      chip.append(label, remove);
      entry.before(chip);
    }
    entry.placeholder = people.length ? "" : placeholder;
    kept.value = [...people, entry.value.trim()].filter(Boolean).join(", ");
    if (changed) kept.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function take() {
    const typed = splitPeople(entry.value);
    if (!typed.length) return;
    people = [...new Set([...people, ...typed])];
    entry.value = "";
    show(true);
  }
  entry.addEventListener("input", (event) => { event.stopPropagation(); if (/[,;\n]\s*$/.test(entry.value)) take(); else show(true); });
  entry.addEventListener("paste", () => setTimeout(take, 0));
  entry.addEventListener("blur", take);
  entry.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && entry.value.trim()) { event.preventDefault(); take(); }
    if (event.key === "Backspace" && !entry.value && people.length) { people.pop(); show(true); }
  });
  box.addEventListener("click", (event) => { if (event.target === box) entry.focus(); });
  show(false);
}

// Formatted text. Only simple markup is edited in place; richer HTML stays source, so that nothing of it is lost.
const simple = { P: [], DIV: [], BR: [], B: [], STRONG: [], I: [], EM: [], U: [], A: ["href"], UL: [], OL: [], LI: [], BLOCKQUOTE: [] };
const linkable = /^(https?:|mailto:)/i;
function copySimple(from, to) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) to.append(node.data);
    else if (node.nodeType === Node.ELEMENT_NODE) {
      const allowed = simple[node.tagName];
      if (!allowed || [...node.attributes].some((one) => !allowed.includes(one.name))) return false;
      if (node.tagName === "A" && !linkable.test(node.getAttribute("href") ?? "")) return false;
      const copy = document.createElement(node.tagName);
      if (node.tagName === "A") copy.setAttribute("href", node.getAttribute("href"));
      if (!copySimple(node, copy)) return false;
      to.append(copy);
    } else return false;
  }
  return true;
}
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const asParagraphs = (text) => text.trim() ? text.trim().split(/\n{2,}/).map((part) => `<p>${escaped(part).replaceAll("\n", "<br>")}</p>`).join("\n") : "";

function makeRich(holder, form) {
  const source = holder.querySelector("textarea");
  const text = form.querySelector("#text");
  const page = document.createElement("div");
  page.className = "rich";
  page.contentEditable = "true";
  page.setAttribute("role", "textbox");
  page.setAttribute("aria-multiline", "true");
  page.setAttribute("aria-label", holder.dataset.rich || "Formatted message");
  const tools = document.createElement("div");
  tools.className = "tools";
  tools.setAttribute("role", "toolbar");
  tools.setAttribute("aria-label", "Formatting");
  const hint = holder.querySelector("[data-source-hint]");

  function keep() {
    source.value = page.textContent.trim() || page.querySelector("li") ? page.innerHTML : "";
    source.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function run(command, value) {
    page.focus();
    document.execCommand(command, false, value);
    mark();
    keep();
  }
  function link() {
    const typed = window.prompt("Address of the link", "https://");
    if (typed && linkable.test(typed)) run("createLink", typed);
  }
  const commands = [
    ["bold", "Bold", "B", () => run("bold")],
    ["italic", "Italic", "I", () => run("italic")],
    ["insertUnorderedList", "Bullets", "Bullets", () => run("insertUnorderedList")],
    ["insertOrderedList", "Numbers", "Numbers", () => run("insertOrderedList")],
    ["", "Link", "Link", link],
    ["", "Clear formatting", "Clear", () => { run("removeFormat"); run("unlink"); }],
  ];
  const toggles = [];
  for (const [command, name, label, act] of commands) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.title = name;
    button.setAttribute("aria-label", name);
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("click", act);
    if (command) { button.setAttribute("aria-pressed", "false"); toggles.push([command, button]); }
    tools.append(button);
  }
  function mark() {
    for (const [command, button] of toggles) button.setAttribute("aria-pressed", String(document.queryCommandState(command)));
  }
  const swap = document.createElement("button");
  swap.type = "button";
  swap.className = "far";
  tools.append(swap);

  function load() {
    if (/\sstyle\s*=|<style/i.test(source.value)) return false; // not simple; and parsing it would trip our own policy
    const parsed = new DOMParser().parseFromString(source.value, "text/html"); // inert: nothing in it is loaded or run
    const into = document.createElement("div");
    if (!copySimple(parsed.body, into)) return false;
    page.replaceChildren(...into.childNodes);
    return true;
  }
  function show(rich) {
    page.hidden = !rich;
    source.hidden = rich;
    for (const button of all("button:not(.far)", tools)) button.hidden = !rich;
    swap.textContent = rich ? "Edit HTML" : "Edit visually";
    if (hint) hint.textContent = rich ? "" : "(HTML)";
  }
  swap.addEventListener("click", () => {
    if (!page.hidden) show(false);
    else if (load()) show(true);
    else say("This message has formatting that the simple editor would lose. It stays as HTML.");
  });
  document.execCommand("defaultParagraphSeparator", false, "p");
  page.addEventListener("input", keep);
  document.addEventListener("selectionchange", () => { if (document.activeElement === page) mark(); });
  page.addEventListener("paste", (event) => { // text only: foreign markup brings foreign style
    event.preventDefault();
    document.execCommand("insertText", false, event.clipboardData.getData("text/plain"));
  });
  source.before(tools, page);
  show(load());

  for (const mode of all('[name="format"]', form)) {
    mode.addEventListener("change", () => {
      if (mode.value === "html" && mode.checked && !source.value.trim()) {
        source.value = asParagraphs(text.value);
        text.value = "";
        show(load());
      } else if (mode.value === "text" && mode.checked && !text.value.trim() && !page.hidden) {
        text.value = page.innerText.trim();
      }
    });
  }
}

// A preview that follows what is typed. A fresh frame each time, so that the Back button does not go through all of them.
function preview(form) {
  const button = form.querySelector("[data-preview]");
  function show() {
    const frame = document.getElementById(form.dataset.live);
    const fresh = frame.cloneNode();
    frame.replaceWith(fresh);
    form.requestSubmit(button);
  }
  form.addEventListener("input", () => { clearTimeout(preview.timer); preview.timer = setTimeout(show, 600); });
  show();
}

// The editor: do not lose what was typed; keep checks and preview up to date.
function guard(form) {
  let changed = false;
  const saved = document.getElementById("saved");
  form.addEventListener("input", () => { changed = true; if (saved) saved.textContent = form.hasAttribute("hx-post") ? "Saving…" : "Not saved yet"; });
  form.addEventListener("submit", () => { changed = false; });
  form.addEventListener("htmx:beforeRequest", () => { changed = false; });
  form.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) {
      const preview = document.getElementById("preview");
      if (preview) preview.src = preview.getAttribute("src");
    } else {
      changed = true;
      if (saved) saved.textContent = "Not saved";
    }
  });
  window.addEventListener("beforeunload", (event) => { if (changed || form.querySelector('[type="file"]').files.length && !form.dataset.sent && !form.dataset.left) event.preventDefault(); });
  form.addEventListener("submit", () => { form.dataset.left = "yes"; });
}

document.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  if (status === 401) { window.location.reload(); return; }
  try { say(JSON.parse(responseText).error.message); } catch { say("That did not work. Please reload the page."); }
});
document.addEventListener("htmx:sendError", () => say("The server cannot be reached. Trying again."));
document.addEventListener("htmx:load", (event) => { countDown(event.detail.elt); offerCopying(event.detail.elt); });

tellTimeZone(document);
countDown(document);
offerCopying(document);
for (const field of all("[data-people]")) makeChips(field);
for (const form of all("form[data-write]")) {
  for (const holder of all("[data-rich]", form)) makeRich(holder, form);
  if (form.dataset.live) preview(form);
}
for (const form of all("form[data-guard]")) {
  for (const holder of all("[data-rich]", form)) makeRich(holder, form);
  guard(form);
}
