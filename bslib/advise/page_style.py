"""The report's style sheet: one column on a telephone, two of pictures where there is room."""

CSS = """
:root {
  color-scheme: light dark;
  --ink: #1c1e21; --pale: #8a9099; --line: #e3e6ea; --ground: #ffffff; --panel: #f5f7f9;
  --accent: #00715a; --doubt: #9a4a00;
  --type: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e8ea; --pale: #7d848d; --line: #33383e; --ground: #15181b; --panel: #1e2226;
    --accent: #4cc2a2; --doubt: #f0a35e;
  }
  figure svg { filter: brightness(1.4); }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 1rem/1.55 var(--type); }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1.25rem 3rem; overflow-wrap: anywhere; }
header { border-left: .4rem solid var(--accent); padding: .2rem 0 .2rem 1.1rem; }
header.unsure { border-color: var(--doubt); }
h1 { font-size: 1.05rem; font-weight: 600; margin: 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem; }
p { margin: .3rem 0; max-width: 44rem; }
.of { color: var(--ink); opacity: .75; font-size: .9rem; }
.number { font-size: clamp(3rem, 12vw, 5rem); font-weight: 700; line-height: 1.1; margin: .2rem 0;
  color: var(--accent); }
.unsure .number { color: var(--doubt); }
.headline { font-size: 1.25rem; font-weight: 600; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .35rem 1rem;
  margin: 0; }
dt { font-weight: 600; }
dd { margin: 0; max-width: 44rem; }
ul { margin: .3rem 0; padding-left: 1.2rem; max-width: 46rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1rem; }
figure { margin: 0; padding: .8rem; background: var(--panel); border-radius: .5rem; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { font-size: .9rem; margin-top: .4rem; }
table { border-collapse: collapse; width: 100%; max-width: 52rem; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; font-weight: normal; }
thead th { font-weight: 600; }
td:nth-child(2) { font-weight: 600; font-variant-numeric: tabular-nums; }
td:nth-child(3) { font-size: .9rem; opacity: .85; }
@media (max-width: 34rem) {
  main { padding: 1rem .9rem 2rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; }
}
@media print {
  :root { --ink: #000; --pale: #777; --line: #ccc; --ground: #fff; --panel: #fff; }
  figure, tr, dl > * { break-inside: avoid; }
  .pictures { grid-template-columns: 1fr 1fr; }
}
"""
