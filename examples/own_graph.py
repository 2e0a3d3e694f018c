"""A graph from plain lists, a convolution on it, and gradients through its edges."""

import torch

from renote.graph import Adjacency, Graph, KipfConvolution, batch, spmm

path = Adjacency.from_edges([0, 1, 1, 2], [1, 0, 2, 1], num_nodes=3)
graph = Graph(torch.eye(3), path)
convolution = KipfConvolution(3, 2)
print(convolution(graph.x, graph.adjacency))

both = batch([graph, graph])
print(f"{both.num_graphs} graphs, {both.num_nodes} nodes, {both.num_edges} edges")

weight = torch.ones(4, requires_grad=True)
spmm(path, torch.eye(3), weight).square().sum().backward()
print("gradient of each edge:", weight.grad)
