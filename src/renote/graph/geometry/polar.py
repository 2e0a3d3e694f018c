"""Geodesic polar coordinates: how far, and in which direction, the vertices near a vertex lie along the surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from renote.errors import DataError, UsageError
from renote.graph.geometry.mesh import Integers, Mesh, Reals

_TABLE = 4_000_000
"""Distances that are in memory at once."""


@dataclass(frozen=True, eq=False)
class Polar:
    """For each vertex, itself and all within a radius.

    Args:
        start: (vertices + 1,) where the entries of each vertex begin, and the end of the last.
        vertex: (entries,) which vertex lies there, in order within a row.
        distance: (entries,) along the surface; 0 for the vertex itself.
        angle: (entries,) of [0, 2π), counter-clockwise as seen from outside; 0 for the vertex itself.
    """

    start: Integers
    vertex: Integers
    distance: Reals
    angle: Reals

    @cached_property
    def center(self) -> Integers:
        """(entries,) the vertex that each is near of."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    def turned(self, by: Reals) -> Polar:
        """Angles from other directions on: those of vertex i less `by[i]`."""
        angle = np.where(self.distance > 0, (self.angle - by[self.center]) % (2 * np.pi), 0.0)
        return Polar(self.start, self.vertex, self.distance, angle)


@dataclass(frozen=True, eq=False)
class Fans:
    """The edges that leave each vertex, and their angles, which go once around: at an inner vertex the corners' angles are scaled to add up to 2π.

    Args:
        tail: (edges,) from which vertex, each edge in both directions.
        head: (edges,) to which.
        angle: (edges,) from the first edge of its vertex on, counter-clockwise.
        first: (vertices,) the head of the edge whose angle is 0.
    """

    tail: Integers
    head: Integers
    angle: Reals
    first: Integers


def fans(mesh: Mesh) -> Fans:
    """The edges around each vertex by angle.

    Args:
        mesh: its triangles going round in one way.

    Raises:
        DataError: two triangles go round in opposite ways, or surfaces touch in a vertex; the message names them.

    Source:
        Knöppel, Crane, Pinkall & Schröder (2013), section 6; Sharp, Soliman & Crane (2019), section 5.1.
    """
    return mesh.once("fans", lambda: _fans(mesh))  # type: ignore[no-any-return]


def _fans(mesh: Mesh) -> Fans:
    faces, count = mesh.faces, len(mesh.vertices)
    # half-edge 3 f + c leaves corner c of face f for the next
    tail, head = faces.ravel(), np.roll(faces, -1, 1).ravel()
    key, back = tail * count + head, head * count + tail
    order = np.argsort(key, kind="stable")
    again = key[order][1:] == key[order][:-1]
    if again.any():
        one, other = sorted((order[:-1][again][0] // 3, order[1:][again][0] // 3))
        raise DataError(
            f"faces {one} and {other} go round in opposite ways: orient all alike, e.g. by trimesh.repair.fix_winding"
        )
    place = np.minimum(np.searchsorted(key[order], back), len(key) - 1)
    twin = np.where(key[order][place] == back, order[place], -1)
    half = np.arange(len(key))
    before = half - half % 3 + (half + 2) % 3
    side = mesh.sides
    cosine = (np.roll(side, -1, 1) ** 2 + np.roll(side, -2, 1) ** 2 - side**2) / (
        2 * np.roll(side, -1, 1) * np.roll(side, -2, 1)
    )
    corner = np.arccos(np.clip(cosine, -1, 1)).ravel()
    # a border's fan begins at the edge that has a triangle on its left alone
    begin = np.full(count, -1)
    begin[tail[::-1]] = half[::-1]
    border = twin < 0
    begin[tail[border]] = half[border]
    angle, total, seen = np.zeros(len(key)), np.zeros(count), np.zeros(count, np.int64)
    current, ends = begin.copy(), []
    while len(current):
        vertex = tail[current]
        angle[current] = total[vertex]
        total[vertex] += corner[current]
        seen[vertex] += 1
        last = before[current]
        following = twin[last]
        ends.append(last[following < 0])
        current = following[(following >= 0) & (following != begin[vertex])]
    wrong = seen != np.bincount(tail, minlength=count)
    if wrong.any():
        raise DataError(
            f"vertex {int(wrong.argmax())} joins surfaces that touch in it alone: give each a vertex of its own"
        )
    end = np.concatenate(ends)
    inner = np.ones(count, bool)
    inner[tail[border]] = False
    scale = np.where(inner | (total > 2 * np.pi), 2 * np.pi / total, 1.0)
    outgoing, incoming = (tail, head, angle), (head[end], tail[end], total[head[end]])
    tails, heads, angles = (np.concatenate(pair) for pair in zip(outgoing, incoming))
    return Fans(tails, heads, angles * scale[tails], head[begin])


def polar_coordinates(mesh: Mesh, radius: float) -> Polar:
    """Distances and angles of all vertices within a radius of each, by fronts that grow from triangle to triangle.

    A triangle (j, k, i) whose j and k are known is laid in the plane with the source; if the source sees i through the edge jk, then i is as far as it is there, and its
    angle divides that between j and k as it does there; else the way leads along an edge. Each vertex takes its nearest way. In the plane this is exact.

    Args:
        mesh: its triangles going round in one way; it may have borders and several parts.
        radius: in the mesh's unit.

    Raises:
        UsageError: the radius is not positive.
        DataError: as `fans`.

    Source:
        Melvær & Reimers (2012), "Geodesic polar coordinates on polygonal meshes", section 3.
    """
    if not radius > 0:
        raise UsageError(f"radius = {radius}: it must be positive")
    return mesh.once(("polar", radius), lambda: _polar(mesh, radius))  # type: ignore[no-any-return]


def _polar(mesh: Mesh, radius: float) -> Polar:
    from scipy.sparse.csgraph import dijkstra

    count, ring = len(mesh.vertices), fans(mesh)
    length = np.linalg.norm(mesh.vertices[ring.head] - mesh.vertices[ring.tail], axis=1)
    graph = coo_array((length, (ring.tail, ring.head)), shape=(count, count)).tocsr()
    # corners by the vertex that they lie at
    corner = np.argsort(mesh.faces.ravel(), kind="stable")
    corners = np.bincount(mesh.faces.ravel(), minlength=count)
    first = np.cumsum(corners) - corners
    size, rows = max(1, _TABLE // count), []
    for start in range(0, count, size):
        source = np.arange(start, min(start + size, count))
        # along edges the way is longer than along the surface, by a sixth where triangles are equilateral
        near = dijkstra(graph, indices=source, limit=1.5 * radius)
        row, vertex = np.nonzero(np.isfinite(near))
        many = corners[vertex]
        pair = np.repeat(np.arange(len(row)), many)
        place = corner[np.repeat(first[vertex] - (np.cumsum(many) - many), many) + np.arange(len(pair))]
        mine = (ring.tail >= source[0]) & (ring.tail <= source[-1])
        here = ring.tail[mine] - source[0], ring.head[mine]
        distance, angle = np.full(near.shape, np.inf), np.zeros(near.shape)
        distance[here], angle[here] = length[mine], ring.angle[mine]
        distance[np.arange(len(source)), source] = 0
        _grow(mesh, row, vertex, pair, place, distance, angle)
        kept = distance[row, vertex] <= radius
        row, vertex = row[kept], vertex[kept]
        rows.append((row + start, vertex, distance[row, vertex], angle[row, vertex]))
    center, vertex, distance, angle = (np.concatenate(parts) for parts in zip(*rows))
    begin = np.concatenate([[0], np.cumsum(np.bincount(center, minlength=count))])
    return Polar(begin, vertex, distance, np.where(distance > 0, angle % (2 * np.pi), 0.0))


def _grow(
    mesh: Mesh, row: Integers, vertex: Integers, pair: Integers, place: Integers, distance: Reals, angle: Reals
) -> None:
    """Lower `distance` (sources, vertices), in place, until no triangle gives a nearer way.

    Args:
        mesh: the surface.
        row: (pairs,) of a source that a vertex may be near of.
        vertex: (pairs,) that vertex.
        pair: (ways,) sorted, of which pair a way into a triangle's corner is.
        place: (ways,) that corner.
        distance: what is known.
        angle: likewise.
    """
    face, turn = place // 3, place % 3
    ends = mesh.faces[face, (turn + 1) % 3], mesh.faces[face, (turn + 2) % 3]
    # of the triangle as it lies: j at 0, k at (across, 0), i at (x, y) above
    across = mesh.sides[face, turn]
    to_k, to_j = mesh.sides[face, (turn + 1) % 3], mesh.sides[face, (turn + 2) % 3]
    x = (across**2 + to_j**2 - to_k**2) / (2 * across)
    y = 2 * mesh.areas[face] / across
    flat = (row * distance.shape[1])[pair]
    j, k, i = flat + ends[0], flat + ends[1], flat + vertex[pair]
    known, turned = distance.ravel(), angle.ravel()
    changed = np.isfinite(known)
    # an edge is straight: what it joins to a source stays as it is
    later = ~changed[i]
    j, k, i, across, to_j, to_k, x, y = (part[later] for part in (j, k, i, across, to_j, to_k, x, y))
    while True:
        (ways,) = np.nonzero(changed[j] | changed[k])
        if not len(ways):
            return
        laid = np.stack([across[ways], to_j[ways], to_k[ways], x[ways], y[ways]])
        ends_here = np.stack([j[ways], k[ways]])
        reach, direction = _ways(laid, known[ends_here], turned[ends_here])
        target = i[ways]
        begin = np.concatenate([[True], target[1:] != target[:-1]])
        number = np.cumsum(begin) - 1
        least = np.minimum.reduceat(reach, np.nonzero(begin)[0])
        # the first way of those that are nearest
        (winner,) = np.nonzero(reach == least[number])
        winner = winner[np.concatenate([[True], number[winner][1:] != number[winner][:-1]])]
        better = reach[winner] < known[target[winner]] * (1 - 1e-12)
        winner = winner[better]
        changed[:] = False
        known[target[winner]], turned[target[winner]] = reach[winner], direction[winner]
        changed[target[winner]] = True


def _ways(laid: Reals, known: Reals, turned: Reals) -> tuple[Reals, Reals]:
    """Distance and angle of i by its triangle with j and k.

    Args:
        laid: (5, ways) the triangle: |jk|, |ij|, |ik|, and i's coordinates where j is at 0 and k at (|jk|, 0).
        known: (2, ways) distances of j and k.
        turned: (2, ways) their angles.
    """
    across, to_j, to_k, x, y = laid
    (r_j, r_k), (t_j, t_k) = known, turned
    nearer = r_j + to_j <= r_k + to_k
    reach, direction = np.where(nearer, r_j + to_j, r_k + to_k), np.where(nearer, t_j, t_k)
    both: NDArray[np.bool_] = np.isfinite(r_j) & np.isfinite(r_k)
    a, b, c = r_j[both], r_k[both], across[both]
    # the source below the edge jk
    along = (a**2 - b**2 + c**2) / (2 * c)
    below = np.sqrt(np.maximum(a**2 - along**2, 0))
    px, py = x[both], y[both]
    cut = along + (px - along) * below / (below + py)
    through = (cut >= 0) & (cut <= c)
    straight = np.hypot(px - along, py + below)
    # angles at the source, from the perpendicular
    of_j, of_k, of_i = (np.arctan2(end - along, up + below) for end, up in ((0.0, 0.0), (c, 0.0), (px, py)))
    span = of_k - of_j
    share = np.clip(np.divide(of_i - of_j, span, out=np.full_like(span, 0.5), where=span > 1e-12), 0, 1)
    apart = (t_k[both] - t_j[both] + np.pi) % (2 * np.pi) - np.pi
    reach[both] = np.where(through, straight, reach[both])
    direction[both] = np.where(through, t_j[both] + share * apart, direction[both])
    return reach, direction
