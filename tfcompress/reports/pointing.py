"""What a page needs so that its marks can be pointed at, and its tables sorted: a few lines of script and style.

Without the script the page holds everything all the same: a mark's text is its SVG title, which browsers show by
themselves. The script asks for nothing and stores nothing.
"""

SCRIPT = """
(() => {
  const box = document.createElement("div");
  box.className = "pointed";
  box.hidden = true;
  document.body.append(box);
  for (const mark of document.querySelectorAll(".mark")) {
    const title = mark.querySelector("title");
    if (!title) continue;
    mark.dataset.text = title.textContent;
    mark.setAttribute("aria-label", title.textContent);
    mark.setAttribute("role", "img");
    title.remove();
    if (mark.matches(".on-front")) mark.setAttribute("tabindex", "0");
  }
  const show = (target) => {
    const mark = target instanceof Element ? target.closest(".mark") : null;
    box.hidden = !mark;
    if (!mark) return;
    box.textContent = mark.dataset.text;
    const at = mark.getBoundingClientRect(), own = box.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - own.width / 2), innerWidth - own.width - 8);
    const above = at.top - own.height - 6;
    box.style.left = `${left}px`;
    box.style.top = `${above > 4 ? above : at.bottom + 6}px`;
  };
  document.addEventListener("pointerover", (event) => show(event.target));
  document.addEventListener("pointerdown", (event) => show(event.target));
  document.addEventListener("focusin", (event) => show(event.target));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") box.hidden = true; });
  addEventListener("scroll", () => { box.hidden = true; }, { passive: true });

  for (const head of document.querySelectorAll("table.sortable th")) {
    head.tabIndex = 0;
    const sort = () => {
      const table = head.closest("table"), place = head.cellIndex;
      const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
      const key = (row) => row.cells[place].dataset.key ?? "";
      const order = (one, two) => {
        if (!key(one) || !key(two)) return key(one) ? -1 : key(two) ? 1 : 0;
        const gap = Number(key(one)) - Number(key(two));
        return turn * (Number.isNaN(gap) ? key(one).localeCompare(key(two)) : gap);
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  }

  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.matches("details")) target.open = true;
  };
  addEventListener("hashchange", open);
  open();
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
  });
})();
"""

CSS = """
main { max-width: 1240px; }
.pointed { position: fixed; z-index: 9; max-width: min(320px, 90vw); padding: 7px 10px; border-radius: 8px;
  background: var(--ink); color: var(--page); font-size: 13px; line-height: 1.45; white-space: pre-line;
  pointer-events: none; font-variant-numeric: tabular-nums; }
.mark .reach { fill: transparent; stroke: none; pointer-events: all; }
.mark:hover .point, .mark:focus .point { stroke: var(--ink); stroke-width: 2; }
.mark:focus { outline: none; }
svg .mark .point { stroke: var(--card); stroke-width: 1.5; }
svg .mark.behind .point { fill-opacity: .6; }
svg .mark.outside .point { fill: none; stroke: currentColor; stroke-dasharray: 2 2; }
svg .mark.bin:hover .reach { fill: var(--ink); fill-opacity: .08; }
svg .steps { fill: none; stroke: var(--after); stroke-width: 1.5; opacity: .55; }
svg .whisker { stroke-width: 1.5; opacity: .4; }
svg .whisker.before { stroke: var(--before); }
svg .whisker.after { stroke: var(--after); }
svg .named { font-size: 12.5px; paint-order: stroke; stroke: var(--card); stroke-width: 3; stroke-linejoin: round; }
svg .middle { text-anchor: middle; }
svg .tick.end { text-anchor: end; }
svg .tick.start { text-anchor: start; }
svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .curve.before { stroke: var(--before); }
svg .curve.after { stroke: var(--after); }
svg .cell.right { fill: var(--before); }
svg .cell.wrong { fill: var(--bad); }
svg .count { text-anchor: middle; font-size: 11px; }
svg .signal { fill: none; stroke-width: 1.5; }
svg .s0 { stroke: var(--after); }
svg .s1 { stroke: var(--bad); }
svg .s2 { stroke: var(--before); }
table.sortable th { cursor: pointer; }
table.sortable th[aria-sort=ascending]::after { content: " ↑"; }
table.sortable th[aria-sort=descending]::after { content: " ↓"; }
.long { max-height: 640px; overflow: auto; }
.group { margin-top: 26px; }
.group > h2 { font-size: 19px; margin: 0 0 12px; overflow-wrap: anywhere; }
details.run { background: var(--card); border: 1px solid var(--line); border-radius: 12px; margin-top: 14px;
  padding: 14px 22px; }
details.run > summary { color: var(--ink); overflow-wrap: anywhere; }
details.run > summary b { margin-right: 8px; }
details.run > summary span { color: var(--soft); font-size: 13.5px; }
details.run h3 { margin: 26px 0 8px; font-size: 15px; }
details.run h4 { margin: 0 0 4px; font-size: 13.5px; font-weight: 500; color: var(--soft); }
details.run p { margin: 6px 0; }
.small-multiples { display: grid; gap: 14px 22px;
  grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); }
.pair { display: grid; gap: 16px 24px; grid-template-columns: repeat(auto-fill, minmax(min(440px, 100%), 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }
figcaption b { color: var(--ink); font-weight: 600; }
.cards { display: grid; gap: 12px; margin-top: 10px;
  grid-template-columns: repeat(auto-fill, minmax(min(230px, 100%), 1fr)); }
.card { border: 1px solid var(--line); border-radius: 10px; padding: 10px 12px; min-width: 0; }
.card .shown { display: flex; flex-wrap: wrap; gap: 8px; }
.card img { width: 84px; height: auto; image-rendering: pixelated; border-radius: 4px; display: block; }
.card svg { width: 200px; }
.card p { margin: 8px 0 2px; font-size: 13px; color: var(--soft); }
.card blockquote { margin: 0; font-size: 13.5px; overflow-wrap: anywhere; max-height: 9em; overflow: hidden; }
.card dl { display: grid; grid-template-columns: auto 1fr; gap: 1px 10px; margin: 0; font-size: 13.5px; }
.card dt { color: var(--soft); }
.card dd { margin: 0; overflow-wrap: anywhere; }
.verdict.lost { color: var(--bad); }
.verdict.gained { color: var(--good); }
a { color: var(--after); }
@media (max-width: 699px) {
  details.run { padding: 12px 14px; }
  svg .named { font-size: 15px; }
  svg .count { font-size: 13px; }
}
@media print {
  .pointed { display: none; }
  .long { max-height: none; overflow: visible; }
  .card, figure { break-inside: avoid; }
  details.run { break-inside: auto; }
}
"""
"""Beside the style that all pages have."""
