"""The page's style: light and dark by the reader's own setting, nothing loaded from elsewhere."""

CSS = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #16202c; --soft: #5c6b7d; --line: #e2e6ec;
  --before: #8b98a9; --after: #0b7f74; --good: #12805c; --bad: #b4540a; --bar: #d9efec; }
@media screen and (prefers-color-scheme: dark) { :root { --page: #0f141a; --card: #182029; --ink: #e8edf3;
  --soft: #9aa9ba; --line: #2a3542; --before: #8594a6; --after: #35c2b3; --good: #4ecb9b; --bad: #f0a35e;
  --bar: #173f3c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 36px 20px 60px; }
header p { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
h1 { margin: 2px 0 4px; font-size: 28px; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 0 0 14px; font-size: 16px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 20px 22px; min-width: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 14px; margin: 22px 0 14px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 18px; }
.tile b { display: block; font-size: 26px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; display: block; overflow-wrap: anywhere; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(460px, 100%), 1fr)); gap: 14px; }
.grid { grid-auto-flow: dense; }
.wide { grid-column: 1 / -1; }
.note { color: var(--soft); font-size: 13px; margin: 10px 0 0; }
.scroll { overflow-x: auto; }
.scroll + h3 { margin-top: 18px; }
h3 { margin: 0 0 6px; font-size: 14px; font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 13px; vertical-align: bottom; }
th, td { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); }
td { vertical-align: top; }
td:last-child, th:last-child { padding-right: 0; }
tr:last-child td { border-bottom: 0; }
.name { min-width: 7em; }
.value { min-width: 12em; overflow-wrap: anywhere; }
.number { text-align: right; }
td.number { white-space: nowrap; }
.first { position: sticky; left: 0; background: var(--card); }
.deep { display: inline-block; padding-left: calc(var(--depth) * 1.1em); }
.share { white-space: nowrap; color: var(--soft); }
th.share { white-space: normal; min-width: 9em; }
.share span { display: inline-block; width: 64px; margin-right: 8px; }
.share i { display: block; height: 10px; border-radius: 3px; background: var(--after); opacity: .75; }
@media (min-width: 700px) { .name { white-space: nowrap; } }
ul { list-style: none; margin: 0; padding: 0; }
li { padding: 5px 0 5px 26px; position: relative; overflow-wrap: anywhere; }
li::before { content: "·"; position: absolute; left: 4px; font-weight: 700; color: var(--soft); }
li.good::before { content: "✓"; color: var(--good); }
li.bad::before { content: "!"; left: 6px; color: var(--bad); }
li em { font-style: normal; color: var(--soft); margin-right: 6px; }
details { margin-top: 4px; }
summary { cursor: pointer; color: var(--soft); }
pre { overflow-x: auto; font-size: 13px; margin: 8px 0 0; }
code { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
svg { display: block; width: 100%; max-width: 640px; height: auto; font-size: 13px; fill: var(--ink); }
svg .label, svg .tick { fill: var(--soft); }
svg .end { text-anchor: end; }
svg .tick { text-anchor: middle; font-size: 11.5px; }
svg .grid { stroke: var(--line); }
svg .limit { stroke: var(--soft); stroke-dasharray: 5 4; }
svg .before { fill: var(--before); }
svg .after { fill: var(--after); }
svg .soft { opacity: .55; }
svg .span { stroke-width: 4; stroke-linecap: round; opacity: .45; }
svg .before.span, svg .before.median { stroke: var(--before); }
svg .after.span, svg .after.median { stroke: var(--after); }
svg .median { stroke-width: 1.5; stroke-dasharray: 4 3; }
svg .area { opacity: .38; }
svg .line { fill: none; stroke: var(--after); stroke-width: 2; stroke-linejoin: round; }
@media (max-width: 699px) {
  main { padding: 20px 10px 40px; }
  section { padding: 16px 14px; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(145px, 1fr)); gap: 10px; }
  .tile { padding: 12px 14px; }
  .tile b { font-size: 21px; }
  .grid { grid-template-columns: minmax(0, 1fr); gap: 10px; }
  h1 { font-size: 22px; }
  table { font-size: 13.5px; }
  th, td { padding-right: 9px; }
  svg { font-size: 15px; }
  svg .tick { font-size: 13.5px; }
}
@media print {
  body { background: #fff; font-size: 12px; }
  main { max-width: none; padding: 0; }
  section, .tile { break-inside: avoid; }
  h2, h3, h4, summary { break-after: avoid; }
  .scroll { overflow: visible; }
  table { font-size: 10px; }
  table th { font-size: 9.5px; }
  th, td { padding: 3px 5px 3px 0; }
  td.name, th.name { min-width: 4em; white-space: normal; overflow-wrap: anywhere; }
  table td.number { white-space: normal; }
  td.first, th.first { position: static; }
  pre, pre code { white-space: pre-wrap; }
}
"""
