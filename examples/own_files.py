"""Write the files of two worked examples (docs/pages/own-files.md): graphs with classes as a folder of edge lists, and a table of ratings."""

from __future__ import annotations

import csv
import random
from pathlib import Path

draw = random.Random(0)


def write(path: Path, header: list[str], rows: list[list[object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


# street plans: towns that grew are trees with some short cuts, planned ones are grids with some streets missing
labels: list[list[object]] = []
for number in range(120):
    if planned := number % 2 == 1:
        wide, high = draw.randint(3, 6), draw.randint(3, 6)
        streets = [(x + wide * y, x + 1 + wide * y) for x in range(wide - 1) for y in range(high)]
        streets += [(x + wide * y, x + wide * (y + 1)) for x in range(wide) for y in range(high - 1)]
        streets = [street for street in streets if draw.random() > 0.1]
    else:
        size = draw.randint(9, 36)
        streets = [(draw.randrange(max(0, end - 6), end), end) for end in range(1, size)]
        streets += [(end, end + 2) for end in range(size - 2) if draw.random() < 0.3 and (end, end + 2) not in streets]
    write(Path("towns", f"town{number:03d}.csv"), ["source", "target"], [list(street) for street in streets])
    labels.append([f"town{number:03d}", "planned" if planned else "grown"])
write(Path("towns", "labels.csv"), ["graph", "label"], labels)

# readers like two kinds of books, and now and then another
kinds = ("crime", "travel", "history", "poetry", "science")
books = [(kind, f"{kind} {number:02d}") for kind in kinds for number in range(1, 31)]
ratings: list[list[object]] = []
for reader in range(400):
    liked = set(draw.sample(kinds, 2))
    for kind, book in draw.sample(books, 60):
        if draw.random() < (0.6 if kind in liked else 0.06):
            ratings.append([f"reader{reader:03d}", book, draw.randint(4, 5) if kind in liked else draw.randint(2, 4)])
write(Path("ratings.csv"), ["user", "item", "rating"], ratings)
print(f"{len(labels)} graphs in towns/, {len(ratings)} ratings in ratings.csv")
