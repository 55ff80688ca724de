"""What is measured against: LightFM as its documentation shows it, behind FastAPI: predict for every item, and sort.

People are rows of the model, items have their identity and their topics as features. The answer is the ten best ids
with their scores: no consent, no database, no filters, no explanation.

    python -m benchmarks.plain_lightfm <port> <resources> <people>
"""

import sys

import numpy as np
import orjson
from fastapi import FastAPI, Response
from lightfm import LightFM
from scipy import sparse

from api.requests import RecommendationRequest
from benchmarks import bare
from benchmarks.world import TOPICS, catalogue, user_id


def create(resources: int, people: int) -> FastAPI:
    """A model of the same size as ours, and one endpoint."""
    random = np.random.default_rng(0)
    pairs = random.integers(0, people, 30 * people), random.integers(0, resources, 30 * people)
    interactions = sparse.coo_matrix(
        (np.ones(30 * people, dtype=np.float32), pairs), shape=(people, resources)
    )
    described = catalogue(resources)
    topics = sparse.csr_matrix([[float(topic in each.topics) for topic in TOPICS] for each in described])
    item_features = sparse.csr_matrix(sparse.hstack([sparse.eye(resources), topics]), dtype=np.float32)
    model = LightFM(no_components=64, loss="warp", random_state=0)
    model.fit(interactions, item_features=item_features, epochs=1)
    rows = {user_id(number): number for number in range(people)}
    items = np.arange(resources, dtype=np.int32)
    app = FastAPI()

    @app.post("/v1/recommendations")
    async def recommend(request: RecommendationRequest) -> Response:
        scores = model.predict(rows[request.user_id], items, item_features=item_features, num_threads=1)
        best = np.argsort(-scores)[: request.limit]
        answer = [{"id": described[row].id, "score": float(scores[row])} for row in best]
        return Response(orjson.dumps(answer), media_type="application/json")

    return app


if __name__ == "__main__":
    bare.serve(create(int(sys.argv[2]), int(sys.argv[3])), int(sys.argv[1]))
