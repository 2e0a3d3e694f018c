"""One HTML file that holds everything: figures, tables, settings."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from renote.train.checkpoint import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2.5rem auto; padding: 0 1.2rem }
h1 { font-size: 1.8rem } h2 { margin-top: 2.6rem; border-bottom: 1px solid #8884; padding-bottom: .2rem }
figure { margin: 1.2rem 0 } figure img { max-width: 100%; height: auto; background: #fff; border-radius: 4px }
img.pixels { image-rendering: pixelated }
figcaption { color: #777; font-size: .92rem } table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .3rem .9rem .3rem 0; text-align: left; border-bottom: 1px solid #8883; font-variant-numeric: tabular-nums }
code { background: #8882; padding: .1rem .3rem; border-radius: 3px }
"""


class Report:
    """A self-contained page, built from top to bottom.

    Args:
        title: its heading.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> None:
        """Add a paragraph; `code` between backticks."""
        pieces = html.escape(text).split("`")
        self._parts.append("<p>" + "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(pieces)) + "</p>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table."""
        head = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in header)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
        self._parts.append(f"<table><tr>{head}</tr>{body}</table>")

    def settings(self, values: Mapping[str, Any]) -> None:
        """Add a folded table of settings."""
        rows = "".join(
            f"<tr><td>{html.escape(str(k))}</td><td>{html.escape(str(v))}</td></tr>" for k, v in values.items()
        )
        self._parts.append(f"<details><summary>settings</summary><table>{rows}</table></details>")

    def picture(self, picture: Image.Image | Figure, caption: str) -> None:
        """Add a picture, kept within the page."""
        buffer = io.BytesIO()
        if isinstance(picture, Image.Image):
            picture.save(buffer, "PNG")
        else:
            picture.savefig(buffer, format="png", dpi=120)
        encoded = base64.b64encode(buffer.getvalue()).decode()
        kind = ' class="pixels"' if isinstance(picture, Image.Image) else ""
        self._parts.append(
            f'<figure><img{kind} src="data:image/png;base64,{encoded}" alt="{html.escape(caption)}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )

    def save(self, path: Path) -> None:
        """Write the page."""
        title = html.escape(self.title)
        page = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
            f"<body><h1>{title}</h1>{''.join(self._parts)}</body></html>\n"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, page.encode())
