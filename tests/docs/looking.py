"""Questions to a page in a browser, answered by the browser, and to its print."""

import re
from typing import Final

OUTSIDE: Final = """(() => {
  const wide = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth > wide) found.push("the page scrolls sideways");
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode());) {
    if (!text.data.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    const box = text.parentElement.closest("td,th,dt,dd,li,p,h1,h2").getBoundingClientRect();
    for (const at of range.getClientRects())
      if (at.left < box.left - 1 || at.right > box.right + 1 || at.left < 0 || at.right > wide)
        found.push(text.data.slice(0, 60));
  }
  return found;
})()"""
"""Texts that stand outside the page or of what holds them (a cell: they would lie over its neighbour)."""

PALE: Final = """(paper => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = parts(colour).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = element => {
    for (; element && !paper; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  const judge = (element, style, text) => {
    const [a, b] = [light(style.color), light(behind(element))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) found.push(`${text.slice(0, 40)}: ${style.color} on ${behind(element)}`);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode());)
    if (text.data.trim()) judge(text.parentElement, getComputedStyle(text.parentElement), text.data);
  for (const cell of document.querySelectorAll("td")) judge(cell, getComputedStyle(cell, "::before"), "a cell's title");
  return found;
})"""
"""A function of whether backgrounds are left out; texts with less contrast than WCAG asks of ordinary ones (4.5)."""

ROWS: Final = (
    """[...document.querySelectorAll("tbody tr")].map(row => [...row.cells].map(cell => cell.innerText.trim()))"""
)
"""Cells of every table's rows, as they are seen."""


def printed_rows(structure: str) -> list[list[str]]:
    """Rows of the tables in a PDF, without spaces and titles, from what `pdfinfo -struct-text` says."""
    rows: list[list[str]] = []
    for line in structure.splitlines():
        word = line.strip()
        if re.fullmatch(r"TR( .*)?", word):
            rows.append([])
        elif re.match(r"TD\b", word) and rows:
            rows[-1].append("")
        elif re.match(r"TH\b|(H[1-6]|P|L|Table)\b", word):
            rows.append([])  # not of the row before
        elif word.startswith('"') and rows and rows[-1]:
            rows[-1][-1] += "".join(word[1:-1].split())
    return [row for row in rows if row]
