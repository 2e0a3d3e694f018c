"""Classify the nodes of a graph from a few that are known, with edges and without."""

from pathlib import Path

import renote

graph = renote.data.load("digits-knn")
for name in ("gcn", "mlp", "label-propagation"):
    run = renote.systems.get(name).train(graph, seed=0, progress=False)
    print(f"{name:18} test accuracy {run.evaluate()['test_accuracy']:.1f} %")

run = renote.systems.get("gcn").train(graph, out="runs/example-graph", progress=False)
print("classes of the first nodes:", run.predict()[:8].tolist())
renote.evaluate.save_figure(run.draw(), Path("runs/graph.png"))
