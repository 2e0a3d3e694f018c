"""Write the files of a worked example (docs/pages/own-facts.md): facts about films, some of which are left out, and questions about those."""

from __future__ import annotations

import random
from pathlib import Path

draw = random.Random(0)
GENRES = ("comedy", "drama", "western", "thriller", "musical", "fantasy")
COUNTRIES = ("Norland", "Sudia", "Estmark", "Westria")
FIRST = ("Ada", "Bo", "Cleo", "Dov", "Eda", "Finn", "Gus", "Hana", "Ivo", "Jill", "Kai", "Lou")
LAST = ("Abel", "Brandt", "Castro", "Dahl", "Ekman")
ADJECTIVES = ("Quiet", "Red", "Last", "Golden", "Lost", "Endless", "Second", "Broken", "Blue", "Distant")
NOUNS = ("Harbour", "Winter", "River", "Garden", "Train", "Letter", "Island", "Window")

people = [f"{first} {last}" for last in LAST for first in FIRST]
directors, actors = people[:20], people[20:]
genre = {name: draw.choice(GENRES) for name in directors}
home = {name: draw.choice(COUNTRIES) for name in people}
company = {name: draw.sample([a for a in actors if home[a] == home[name]], 5) for name in directors}

facts = [(name, "born in", home[name]) for name in people]
for title in (f"The {adjective} {noun}" for adjective in ADJECTIVES for noun in NOUNS):
    director = draw.choice(directors)
    facts.append((title, "directed by", director))
    facts.append((title, "has genre", genre[director] if draw.random() < 0.9 else draw.choice(GENRES)))
    facts.append((title, "made in", home[director]))
    facts += [(title, "has actor", actor) for actor in draw.sample(company[director], 3)]

# what is not known: an eighth of the facts about films
left_out = set(draw.sample([fact for fact in facts if fact[1] != "born in"], 60))
Path("films.tsv").write_text("".join("\t".join(fact) + "\n" for fact in facts if fact not in left_out))
Path("left-out.tsv").write_text("".join("\t".join(fact) + "\n" for fact in sorted(left_out)))
Path("questions.tsv").write_text("".join(f"{head}\t{relation}\t?\n" for head, relation, _ in sorted(left_out)))
print(
    f"{len(facts) - len(left_out)} facts in films.tsv, {len(left_out)} questions about what was left out in questions.tsv"
)
