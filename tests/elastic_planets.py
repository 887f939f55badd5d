"""Planets, as documents of the Elasticsearch door."""

PLANETS = {
    "mercury": ("Mercury is the smallest planet and the nearest to the sun.", "rock", 0, 0.39),
    "venus": ("Venus has a thick atmosphere and is the hottest planet.", "rock", 0, 0.72),
    "earth": ("Earth is the only planet known to have life.", "rock", 1, 1.0),
    "mars": ("Mars is called the red planet; its soil has iron oxide.", "rock", 2, 1.52),
    "jupiter": ("Jupiter is the largest planet, a giant of gas with a red spot.", "gas", 97, 5.2),
    "saturn": ("Saturn is famous for its rings of ice.", "gas", 274, 9.54),
    "uranus": ("Uranus rolls around the sun on its side.", "ice", 28, 19.2),
    "neptune": ("Neptune has the strongest winds.", "ice", 16, 30.1),
}


PROPERTIES = {
    "text": {"type": "text"},
    "meaning": {"type": "semantic_text", "inference_id": "e5"},
    "kind": {"type": "keyword"},
    "moons": {"type": "integer"},
    "orbit": {"properties": {"radius": {"type": "float"}, "seen": {"type": "date"}}},
    "vector": {"type": "dense_vector", "dims": 3, "similarity": "cosine"},
}


def planet(name):
    text, kind, moons, radius = PLANETS[name]
    vector = [1.0, radius / 10, moons / 100]
    orbit = {"radius": radius, "seen": "2024-01-01"} if kind == "rock" else {"radius": radius}
    return {"text": text, "meaning": text, "kind": kind, "moons": moons, "orbit": orbit, "vector": vector}
