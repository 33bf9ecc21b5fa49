"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const wake = (part) => { for (const one of part.querySelectorAll(".js")) one.hidden = false; };
  wake(document);

  // In a large page the body of a section is text until it is opened. That text is the page's own
  // markup, escaped as all of it: what a browser without scripts reads from the start.
  const fill = (section) => {
    const still = section.querySelector(".body > noscript");
    if (!still) return;
    const parsed = new DOMParser().parseFromString(still.textContent, "text/html");
    wake(parsed);
    still.replaceWith(...parsed.body.childNodes);
  };
  document.addEventListener("toggle", (event) => {
    if (event.target.matches("[data-model]") && event.target.open) fill(event.target);
  }, true);

  // Light and dark: the reader's choice, kept where the browser lets a file keep anything.
  const remembered = {
    get() { try { return localStorage.getItem("hashbench-theme"); } catch { return null; } },
    set(value) { try { localStorage.setItem("hashbench-theme", value); } catch { return; } },
  };
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const before = remembered.get();
  if (before === "dark" || before === "light") root.dataset.theme = before;
  $("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    remembered.set(root.dataset.theme);
  });

  // The table: what is searched and sorted by is read from its cells once, when it is needed.
  const table = $("table");
  const view = { q: "", sort: "", down: false, filters: {} };
  if (table) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const keys = heads.map((head) => head.dataset.key);
    const column = (key) => keys.indexOf(key);
    const size = Number(table.dataset.size);
    const selects = [...document.querySelectorAll("[data-filter]")];
    const parts = [...document.querySelectorAll(".part")].map((part) => [part, [...part.querySelectorAll("[data-model]")]]);
    const text = new Map();
    const told = (row) => {
      if (!text.has(row)) text.set(row, row.textContent.toLowerCase());
      return text.get(row);
    };
    let limit = size;

    const value = (row, at, kind) => {
      const cell = row.cells[at];
      if (kind === "text") return cell.textContent.trim().toLowerCase() || null;
      return cell.dataset.v ? Number(cell.dataset.v) : null;
    };
    const fits = (row, words, tests) => tests.every((test) => test(row)) && words.every((word) => told(row).includes(word));
    const flagged = { "": () => true, no: (row) => !row.dataset.f, any: (row) => Boolean(row.dataset.f) };
    const test = (name, wanted) => {
      if (name !== "flags") return (row) => row.cells[column(name)].textContent.trim() === wanted;
      return Object.hasOwn(flagged, wanted) ? flagged[wanted] : (row) => row.dataset.f.split(" ").includes(wanted);
    };

    const sorted = () => {
      const at = column(view.sort);
      if (at < 0) return rows;
      const kind = heads[at].dataset.sort;
      const sign = view.down ? -1 : 1;
      const keyed = rows.map((row, place) => [value(row, at, kind), place, row]);
      keyed.sort(([a, i], [b, j]) => {
        if (a === null || b === null) return (a === null) - (b === null) || i - j;
        return (a < b ? -sign : a > b ? sign : 0) || i - j;
      });
      return keyed.map(([, , row]) => row);
    };
    let order = rows;
    const show = () => {
      const wanted = sorted();
      if (wanted.some((row, place) => row !== order[place])) {
        const all = document.createDocumentFragment();
        all.append(...wanted);
        body.append(all);
        order = wanted;
      }
      const tests = Object.entries(view.filters).filter(([, wanted]) => wanted).map(([name, wanted]) => test(name, wanted));
      const words = view.q.toLowerCase().split(/\s+/).filter(Boolean);
      const there = new Set();
      let count = 0;
      for (const row of order) {
        const fit = fits(row, words, tests);
        if (fit) { count += 1; there.add(row.dataset.m); }
        row.hidden = !fit || count > limit;
      }
      if (there.size < rows.length || parts.some(([part]) => part.hidden) || view.narrowed) {
        for (const [part, models] of parts) {
          let any = false;
          for (const model of models) { model.hidden = !there.has(model.id); any ||= !model.hidden; }
          part.hidden = !any;
        }
      }
      view.narrowed = there.size < rows.length;
      const all = `${rows.length.toLocaleString("en")} ${rows.length === 1 ? "model" : "models"}`;
      const shown = Math.min(count, limit);
      $("count").textContent = (count === rows.length ? all : `${count.toLocaleString("en")} of ${all}`)
        + (shown < count ? `, the first ${shown.toLocaleString("en")} shown` : "");
      $("none").hidden = count > 0;
      table.parentElement.hidden = count === 0;
      $("more").hidden = shown >= count;
      table.toggleAttribute("data-ready", true);
      table.toggleAttribute("data-sorted", view.sort !== "");
      for (const head of heads) {
        if (head.dataset.key === view.sort) head.setAttribute("aria-sort", view.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      }
    };

    // A view is a link: #view?q=cgat&bits=32&sort=-worst
    const link = () => {
      const said = new URLSearchParams();
      if (view.q) said.set("q", view.q);
      for (const [name, wanted] of Object.entries(view.filters)) if (wanted) said.set(name, wanted);
      if (view.sort) said.set("sort", (view.down ? "-" : "") + view.sort);
      const all = said.toString();
      return all ? `#view?${all}` : "#board";
    };
    const read = () => {
      if (!location.hash.startsWith("#view?") && location.hash !== "#board" && location.hash !== "") return false;
      const said = new URLSearchParams(location.hash.slice(6));
      const asked = location.hash.startsWith("#view?") ? said : new URLSearchParams();
      view.q = asked.get("q") || "";
      view.filters = {};
      for (const select of selects) {
        const wanted = asked.get(select.dataset.filter) || "";
        const known = [...select.options].some((option) => option.value === wanted);
        view.filters[select.dataset.filter] = known ? wanted : "";
        select.value = known ? wanted : "";
      }
      $("q").value = view.q;
      const sort = asked.get("sort") || "";
      view.down = sort.startsWith("-");
      const key = view.down ? sort.slice(1) : sort;
      view.sort = column(key) < 0 ? "" : key;
      return true;
    };
    const change = (typed) => {
      limit = size;
      show();
      // Every letter of a search is no step of its own to go back by.
      try { history[typed ? "replaceState" : "pushState"](null, "", link()); } catch { return; }
    };

    for (const head of heads) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.append(button);
      button.addEventListener("click", () => {
        const first = "down" in head.dataset;
        view.down = view.sort === head.dataset.key ? !view.down : first;
        view.sort = head.dataset.key;
        change(false);
      });
    }
    for (const select of selects) {
      select.addEventListener("change", () => { view.filters[select.dataset.filter] = select.value; change(false); });
    }
    $("q").addEventListener("input", () => { view.q = $("q").value.trim(); change(true); });
    $("reset").addEventListener("click", () => {
      Object.assign(view, { q: "", sort: "", down: false, filters: {} });
      for (const select of selects) select.value = "";
      $("q").value = "";
      change(false);
    });
    $("more").addEventListener("click", () => { limit += size; show(); });
    addEventListener("popstate", () => { if (read()) { limit = size; show(); } });
    read();
    show();
  }

  // What a link names is opened, and so is all that it lies in.
  const reveal = () => {
    const name = location.hash.slice(1);
    if (!/^[a-z]+-?[\w-]*$/.test(name)) return;
    const section = name.startsWith("m-") && $(name.split("-", 2).join("-"));
    if (section) fill(section);
    const there = $(name);
    if (!there) return;
    for (let one = there; one; one = one.parentElement) {
      one.hidden = false;
      if (one.tagName === "DETAILS") one.open = true;
    }
    there.scrollIntoView({ behavior: "instant" });
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const mark = event.target.closest("[data-go]");
    if (mark) location.hash = mark.dataset.go;
    const anchor = event.target.closest("a[href^='#']");
    if (anchor && anchor.hash === location.hash) reveal();
    const copy = event.target.closest(".copy");
    if (copy) {
      const code = copy.parentElement.querySelector("code");
      const said = (word) => { copy.textContent = word; setTimeout(() => { copy.textContent = "Copy"; }, 1500); };
      const marked = () => { getSelection().selectAllChildren(code); said("Selected"); };
      if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(() => said("Copied"), marked);
      else marked();
    }
    const open = event.target.closest(".gallery .open");
    if (open) look(open.closest(".gallery"), open);
  });

  // The viewer: one query at a time, large; arrow keys step, Escape closes, focus stays inside.
  const viewer = $("viewer");
  let exhibits = [];
  let at = 0;
  let from = null;
  const draw = () => {
    const copy = exhibits[at].cloneNode(true);
    for (const image of copy.querySelectorAll("img")) image.loading = "eager";
    $("viewer-body").replaceChildren(copy);
    $("viewer-title").textContent = copy.getAttribute("aria-label");
    $("viewer-count").textContent = `${at + 1} of ${exhibits.length}`;
    $("viewer-back").disabled = at === 0;
    $("viewer-on").disabled = at === exhibits.length - 1;
  };
  const step = (by) => {
    const next = Math.min(exhibits.length - 1, Math.max(0, at + by));
    if (next !== at) { at = next; draw(); }
  };
  const look = (gallery, opener) => {
    exhibits = [...gallery.querySelectorAll(".exhibit")];
    at = 0;
    from = opener;
    draw();
    viewer.showModal();
    $("viewer-close").focus();
  };
  $("viewer-close").addEventListener("click", () => viewer.close());
  $("viewer-back").addEventListener("click", () => step(-1));
  $("viewer-on").addEventListener("click", () => step(1));
  viewer.addEventListener("close", () => { $("viewer-body").replaceChildren(); if (from) from.focus(); });
  viewer.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -exhibits.length, End: exhibits.length }[event.key];
    if (by) { event.preventDefault(); step(by); return; }
    if (event.key !== "Tab") return;
    const stops = [...viewer.querySelectorAll("button:not(:disabled)")];
    const edge = event.shiftKey ? stops[0] : stops[stops.length - 1];
    if (document.activeElement === edge) {
      event.preventDefault();
      (event.shiftKey ? stops[stops.length - 1] : stops[0]).focus();
    }
  });

  reveal();
  performance.mark("hashbench-interactive");
})();
