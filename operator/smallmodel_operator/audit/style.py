"""How the page of a report looks: on a screen, light or dark, on a phone, on paper. Pure.

Nothing is loaded: the fonts are the reader's. `POLICY` lets a browser apply this style and nothing else, so that even
a name that became markup by some mistake could run and fetch nothing.
"""

from base64 import b64encode
from hashlib import sha256
from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1d2430;--paper:#fff;--quiet:#566072;--line:#d3d8e0;--faint:#f5f7f9;
--good:#16703f;--good-tint:#eaf6ef;--bad:#a8211a;--bad-tint:#fcedec;--open:#7f5200;--open-tint:#fdf4e3}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e7eaef;--paper:#151a21;--quiet:#a9b2c0;--line:#3b4452;
--faint:#1d242e;--good:#6fd6a2;--good-tint:#14281f;--bad:#ff9d94;--bad-tint:#351b1b;
--open:#f0b95c;--open-tint:#2f2513}}
body{font:15px/1.5 "Segoe UI",Roboto,Helvetica,Arial,sans-serif;color:var(--ink);background:var(--paper);
max-width:62rem;margin:2.5rem auto;padding:0 1.25rem;overflow-wrap:anywhere}
header{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:baseline;column-gap:2rem}
h1{font-size:1.9rem;line-height:1.2;margin:0}
.period{font-size:1.3rem;margin:0}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem}
p{margin:.6rem 0}
.quiet{color:var(--quiet)}
.verdict{font-size:1.15rem;font-weight:600;padding:.9rem 1.2rem;border-left:6px solid;margin:1.2rem 0}
.good{color:var(--good);background:var(--good-tint)}.bad{color:var(--bad);background:var(--bad-tint)}
.open{color:var(--open);background:var(--open-tint)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.8rem;margin:1.2rem 0}
dl div{border:1px solid var(--line);padding:.6rem .9rem}
dt{color:var(--quiet);font-size:.87rem}
dd{font-size:1.5rem;line-height:1.3;font-variant-numeric:tabular-nums;margin:0}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{background:var(--faint);vertical-align:bottom;overflow-wrap:normal}
th.n,td.n{text-align:right;font-variant-numeric:tabular-nums}
td.n{white-space:nowrap}
td:nth-child(-n+2):not(.n){min-width:7.5em}
code{font:13px/1.5 Consolas,Menlo,"Liberation Mono",monospace}
@media screen and (max-width:61rem){
thead{display:none}
table,tbody,tr,td{display:block}
tr{border-bottom:2px solid var(--line);padding:.4rem 0}
td,td.n{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.15rem 0;text-align:right;
white-space:normal}
td::before{content:attr(data-title);color:var(--quiet);text-align:left;overflow-wrap:normal;flex:none;max-width:45%}
}
@page{margin:16mm 13mm;@bottom-right{content:"Page " counter(page) " of " counter(pages);font:9pt sans-serif}}
@media print{
:root{color-scheme:light}
body{font-size:10pt;margin:0;padding:0;max-width:none}
table{font-size:8pt}code{font-size:7.5pt}th,td{padding:.2rem .3rem}
h2{break-after:avoid}tr,dl,.verdict{break-inside:avoid}
dl{grid-template-columns:repeat(4,1fr)}
}
"""

POLICY: Final = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'"
"""Of the browser, for this page (`Content-Security-Policy`)."""
