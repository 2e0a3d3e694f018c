"""The README's picture, made of what `make demo` has trained: digits from noise, and a graph coloured by prediction."""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure

from renote import evaluate, load_run
from renote.experiment import NodeRun, SampleRun

ROOT = Path(__file__).resolve().parents[1]


def main(folder: Path) -> None:
    """Draw from the runs below a demo's folder."""
    digits, graph = load_run(folder / "digits"), load_run(folder / "graph")
    assert isinstance(digits, SampleRun)
    assert isinstance(graph, NodeRun)
    film = evaluate.film_strip(
        digits.film(8, frames=9, label=[0, 1, 2, 3, 5, 6, 8, 9], sampler="ddim", steps=25, guidance_scale=2.0)
    )
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(film, cmap="gray")
    left.set_title("digits from noise: 25 steps, one row a sample")
    left.set_axis_off()
    drawn = graph.draw()
    drawn.savefig(ROOT / "runs" / "graph.png", dpi=150)
    from PIL import Image

    right.imshow(Image.open(ROOT / "runs" / "graph.png"))
    right.set_title(f"{graph.evaluate()['test_accuracy']:.1f} % of test nodes right, 100 labels known")
    right.set_axis_off()
    evaluate.save_figure(figure, ROOT / "docs" / "pages" / "figures" / "hero.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "runs" / "demo")
