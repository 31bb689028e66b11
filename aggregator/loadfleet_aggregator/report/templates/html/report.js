"use strict";
// What the page can do besides being read. Without it nothing is missing but this.
(() => {
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  const one = (id) => document.getElementById(id);
  const say = (text) => { one("said").textContent = text; };
  const made = (name, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    return node;
  };

  // Light and dark, for as long as the page is open.
  const root = document.documentElement, theme = one("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const told = () => { theme.textContent = dark() ? "Light mode" : "Dark mode"; };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; told(); });
  system.addEventListener("change", told);
  told();

  // Tables are sorted by their heads.
  const text = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v ?? cell.textContent.trim();
  };
  const key = (value, numeric) => {
    if (!numeric) return value;
    const parsed = parseFloat(value.replace(/,/g, "").replace("\u2212", "-"));
    return Number.isNaN(parsed) ? null : parsed;
  };
  const sort = (table, head, column) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const body = table.tBodies[0];
    const numeric = head.classList.contains("n") || body.rows[0]?.cells[column].dataset.v !== undefined;
    const rows = [...body.rows].map((row) => [key(text(row, column), numeric), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = numeric ? a - b : a.localeCompare(b, "en", { numeric: true });
      return down ? -order : order;
    });
    body.append(...rows.map(([, row]) => row));
    for (const other of all("th[aria-sort]", table.tHead)) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    say(`${table.caption.textContent}: sorted by ${head.textContent}, ${down ? "descending" : "ascending"}`);
  };
  for (const table of all("table.sort")) {
    if (table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (head.classList.contains("bar")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sort(table, head, column));
    });
  }

  // A table that does not fit is scrolled with the keyboard too.
  const reachable = () => {
    for (const box of all(".scroll, pre, nav .wide")) {
      const fits = box.scrollWidth <= box.clientWidth + 1 && box.scrollHeight <= box.clientHeight + 1;
      if (fits || box.closest("nav")) box.removeAttribute("tabindex");
      else box.tabIndex = 0;
    }
  };
  addEventListener("resize", reachable);
  document.addEventListener("toggle", reachable, true);
  reachable();

  // The table of hosts is searched.
  const tools = one("tools"), hosts = one("host-table");
  if (tools) {
    tools.hidden = false;
    const names = [...hosts.tBodies[0].rows].map((row) => [row.cells[0].textContent.toLowerCase(), row]);
    const filter = () => {
      const word = one("find").value.trim().toLowerCase(), wanting = one("wanting").checked;
      let shown = 0;
      for (const [name, row] of names) {
        row.hidden = !name.includes(word) || (wanting && !row.classList.contains("look"));
        shown += !row.hidden;
      }
      one("found").textContent = shown < names.length ? `${shown} of ${names.length}` : "";
      say(`${shown} hosts`);
      reachable();
    };
    one("find").addEventListener("input", filter);
    one("wanting").addEventListener("change", filter);
  }

  // One stop of the Tab key for all cells of the fleet; the arrow keys go on from there.
  for (const strip of all(".strip")) {
    const cells = all("a", strip);
    cells.forEach((cell, index) => { cell.tabIndex = index ? -1 : 0; });
    strip.addEventListener("keydown", (event) => {
      const at = cells.indexOf(document.activeElement);
      const wide = cells.findIndex((cell) => cell.offsetTop > cells[0].offsetTop);
      const line = wide < 0 ? cells.length : wide;
      const to = {
        ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + line, ArrowUp: at - line,
        Home: 0, End: cells.length - 1,
      }[event.key];
      if (at < 0 || to === undefined || !cells[to]) return;
      event.preventDefault();
      cells[at].tabIndex = -1;
      cells[to].tabIndex = 0;
      cells[to].focus();
    });
  }

  // A link to a host opens its section.
  const open = () => {
    const target = location.hash && one(decodeURIComponent(location.hash.slice(1)));
    const section = target && target.closest("details");
    if (!section) return;
    for (let outer = section; outer; outer = outer.parentElement.closest("details")) outer.open = true;
    section.scrollIntoView();
    section.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", open);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#host-']");
    if (link && link.getAttribute("href") === location.hash) { event.preventDefault(); open(); }
  });
  open();
  for (const button of all("button[data-details]")) {
    button.parentElement.hidden = false;
    button.addEventListener("click", () => {
      for (const section of all("details.host, details.others")) section.open = Boolean(button.dataset.details);
    });
  }

  // A line of a chart is hidden and shown by its name in the legend.
  for (const item of all(".legend li[data-series]")) {
    const figure = item.closest("figure"), button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(...item.childNodes);
    item.append(button);
    button.addEventListener("click", () => {
      const off = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!off));
      for (const part of all(".chart [data-series]", figure)) {
        if (part.dataset.series === item.dataset.series) part.classList.toggle("off-series", off);
      }
    });
  }

  // Values under the pointer, read back from the curves.
  const tip = one("tip");
  const pieces = (path) => {
    path.pieces ??= path.getAttribute("d").split("M").slice(1).map((piece) => {
      const numbers = piece.match(/-?\d+/g).map(Number);
      let x = 0, y = 0;
      return numbers.flatMap((number, i) => (i % 2 ? [[(x += numbers[i - 1]), (y += number)]] : []));
    });
    return path.pieces;
  };
  // Where a line crosses `at` on one axis (0: across, 1: down), its place on the other.
  const crossing = (path, axis, at) => {
    for (const piece of pieces(path)) {
      for (let i = 1; i < piece.length; i += 1) {
        const a = piece[i - 1], b = piece[i], from = a[axis], to = b[axis];
        if ((at - from) * (at - to) > 0) continue;
        return from === to ? b[1 - axis] : a[1 - axis] + ((at - from) / (to - from)) * (b[1 - axis] - a[1 - axis]);
      }
    }
    return null;
  };
  const short = (value) => value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 2 : 1 });
  const cursor = (box, attributes) => {
    const area = box.parentNode;
    let line = area.querySelector(".cursor");
    if (!line) area.append((line = made("line", { class: "cursor" })));
    for (const name in attributes) line.setAttribute(name, attributes[name]);
  };
  const clear = (plot) => {
    tip.hidden = true;
    for (const line of all(".cursor", plot)) line.remove();
  };
  for (const plot of all(".plot")) {
    plot.addEventListener("pointerleave", () => clear(plot));
    plot.addEventListener("pointermove", (event) => {
      const boxes = all(".curves", plot);
      const box = boxes.find((item) => {
        const place = item.getBoundingClientRect();
        return event.clientY >= place.top - 4 && event.clientY <= place.bottom + 4;
      });
      if (!box) { clear(plot); return; }
      const place = box.getBoundingClientRect();
      const right = Math.min(Math.max((event.clientX - place.left) / place.width, 0), 1);
      const down = Math.min(Math.max((event.clientY - place.top) / place.height, 0), 1);
      const found = [];
      const paths = all("path[data-name]", box).filter((path) => !path.classList.contains("off-series"));
      let head;
      if (plot.dataset.plot === "across") {
        const { start, seconds, width, height } = plot.dataset;
        head = new Date((+start + right * seconds) * 1000).toISOString().slice(11, 19) + " UTC";
        const { low, high } = box.dataset;
        for (const path of paths) {
          const y = crossing(path, 0, right * width);
          if (y !== null) found.push([path.dataset.name, +high - (y / height) * (high - low)]);
        }
        for (const other of boxes) cursor(other, { x1: `${right * 100}%`, x2: `${right * 100}%`, y1: "0", y2: "100%" });
      } else {
        const { low, high } = plot.dataset;
        head = `p${short((1 - down) * 100)}`;
        for (const path of paths) {
          const x = crossing(path, 1, down * 1000);
          if (x !== null) found.push([path.dataset.name, +low + (x / 1000) * (high - low)]);
        }
        cursor(box, { x1: "0", x2: "100%", y1: `${down * 100}%`, y2: `${down * 100}%` });
      }
      const unit = plot.dataset.unit ? ` ${plot.dataset.unit}` : "";
      tip.textContent = [head, ...found.map(([name, value]) => `${name.slice(0, 40)}  ${short(value)}${unit}`)].join("\n");
      tip.hidden = false;
      const left = event.clientX + 16 + tip.offsetWidth > innerWidth ? event.clientX - 16 - tip.offsetWidth : event.clientX + 16;
      tip.style.left = `${Math.max(4, left)}px`;
      tip.style.top = `${Math.min(event.clientY + 12, innerHeight - tip.offsetHeight - 4)}px`;
    });
  }
})();
