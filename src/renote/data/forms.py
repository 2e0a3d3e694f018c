"""The kinds of data, and what each is in memory."""

from __future__ import annotations

from renote.data.facts_data import FactData
from renote.data.links import LinkData
from renote.data.mesh_data import MeshData
from renote.data.ratings_data import RatingData
from renote.data.types import GraphData, NodeData, SampleData

Data = SampleData | NodeData | GraphData | LinkData | FactData | RatingData | MeshData

FORMS: dict[str, tuple[type[Data], str]] = {
    "samples": (SampleData, "samples to generate"),
    "nodes": (NodeData, "a graph with node classes"),
    "graphs": (GraphData, "graphs with a class each, or values"),
    "links": (LinkData, "a graph whose missing links are looked for"),
    "clusters": (NodeData, "a graph"),
    "meshes": (MeshData, "meshes whose vertices correspond"),
    "facts": (FactData, "a knowledge graph, facts of a head, a relation and a tail"),
    "ratings": (RatingData, "ratings, which user took which item"),
}
"""By `kind` of a card: the class, and what it is in words."""
