"""Surfaces: triangular meshes, their Laplacian, distances along them."""
