"""The way from noise to samples, by the form of the data: a strip of pictures, a page of text, a strip of graphs."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from renote.data import SampleData
from renote.errors import UsageError
from renote.evaluate.graph_picture import write_graph_film
from renote.evaluate.picture import write_film
from renote.train.checkpoint import write_atomic

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>from noise to text</title>
<style>:root { color-scheme: light dark } body { font: 14px/1.5 ui-monospace, monospace; margin: 2rem }
td { padding: .2rem 1rem .2rem 0; vertical-align: top; white-space: pre-wrap } td:first-child { color: #888 }
.new { background: #3ca95155 } .hidden { color: #8888 }</style></head><body>
"""


def write_film_of(data: SampleData, frames: Sequence[Tensor], path: Path) -> None:
    """Write a film-strip.

    Args:
        data: what the samples are of.
        frames: each (n, *shape) in [-1, 1] as the model has them, NaN where a mask is.
        path: of a picture or array (.npy), of label maps grey or one more than the last label where a mask is; of text a text (.txt) or a page (.html), where what a step changed is marked.

    Raises:
        UsageError: for another ending.
    """
    raw = [data.raw(frame) for frame in frames]
    if data.graphs is not None:
        unknown = data.graphs.absent + 1
        write_graph_film([r.masked_fill(f.isnan(), unknown) for r, f in zip(raw, frames)], data.graphs, path)
    elif data.alphabet and path.suffix.lower() != ".npy":
        hidden = [frame.isnan() for frame in frames]
        texts = [data.text(r, h) for r, h in zip(raw, hidden)]
        if path.suffix.lower() == ".txt":
            written = _plain(texts)
        elif path.suffix.lower() in (".html", ".htm"):
            written = _page(texts, data.blank)
        else:
            raise UsageError(
                f"film = {path}: the way to text is written as text (.txt), a page (.html) or an array (.npy)"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, written.encode())
    elif path.suffix.lower() != ".npy":
        write_film([data.shown(r, f.isnan()) for r, f in zip(raw, frames)], path)
    elif data.categories:
        unknown = len(data.categories)
        wide = [r.int() if unknown > 255 else r for r in raw]
        write_film([r.masked_fill(f.isnan(), unknown) for r, f in zip(wide, frames)], path)
    else:
        write_film(raw, path)


def _plain(texts: Sequence[Sequence[str]]) -> str:
    parts = []
    for sample in range(len(texts[0])):
        parts.append(f"[sample {sample}]\n")
        parts += [f"--- {number + 1} of {len(texts)}\n{frame[sample]}\n" for number, frame in enumerate(texts)]
        parts.append("\n")
    return "".join(parts)


def _page(texts: Sequence[Sequence[str]], blank: str) -> str:
    parts = [_PAGE]
    for sample in range(len(texts[0])):
        parts.append(f"<h3>sample {sample}</h3><table>")
        before = blank * len(texts[0][sample])
        for number, frame in enumerate(texts):
            parts.append(f"<tr><td>{number + 1}</td><td>{_marked(before, frame[sample], blank)}</td></tr>")
            before = frame[sample]
        parts.append("</table>")
    return "".join([*parts, "</body></html>\n"])


def _marked(before: str, after: str, blank: str) -> str:
    out = []
    for old, new in zip(before, after):
        kind = "hidden" if new == blank else "new" if new != old else ""
        out.append(f'<span class="{kind}">{html.escape(new)}</span>' if kind else html.escape(new))
    return "".join(out)
