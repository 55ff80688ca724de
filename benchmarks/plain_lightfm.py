"""What is measured against: LightFM as its documentation shows it, behind FastAPI: predict for every item, and sort.

Two models of the size of ours. `identities`: a person is a row of the model, as learned at the last training, so that
what they did since counts for nothing. `profiles`: a person is the mean of the resources that they used, as in ours,
so the same question is answered. Both have everything in memory and answer the ten best resources with their scores:
no consent, no database, no filters, no explanation.

    python -m benchmarks.plain_lightfm <port> <identities|profiles> <resources> <people> <events of each>
"""

import sys
from collections.abc import Callable

import numpy as np
import orjson
from fastapi import FastAPI, Response
from lightfm import LightFM
from numpy.typing import NDArray
from scipy import sparse

from api.requests import RecommendationRequest
from benchmarks import bare
from benchmarks.world import TOPICS, Size, catalogue, user_id

Predict = Callable[[int], NDArray[np.float32]]


def fitted(kind: str, size: Size, item_features: sparse.csr_matrix) -> Predict:
    """Fit a model; return what gives the scores of all items for one person."""
    random = np.random.default_rng(0)
    person = np.repeat(np.arange(size.people), size.events_each)
    item = random.integers(0, size.resources, len(person))
    ones = np.ones(len(person), dtype=np.float32)
    interactions = sparse.coo_matrix((ones, (person, item)), shape=(size.people, size.resources))
    profiles = sparse.csr_matrix(interactions / size.events_each, dtype=np.float32)
    items = np.arange(size.resources, dtype=np.int32)
    model = LightFM(no_components=64, loss="warp", random_state=0)
    if kind == "identities":
        model.fit(interactions, item_features=item_features, epochs=1)
        return lambda row: model.predict(row, items, item_features=item_features, num_threads=1)
    model.fit(interactions, user_features=profiles, item_features=item_features, epochs=1)
    return lambda row: model.predict(
        0, items, item_features=item_features, user_features=profiles[row], num_threads=1
    )


def create(kind: str, size: Size) -> FastAPI:
    """One endpoint before one model."""
    described = catalogue(size.resources)
    payloads = [orjson.Fragment(each.model_dump_json()) for each in described]
    topics = sparse.csr_matrix([[float(topic in each.topics) for topic in TOPICS] for each in described])
    item_features = sparse.csr_matrix(
        sparse.hstack([sparse.identity(size.resources), topics]), dtype=np.float32
    )
    predict = fitted(kind, size, item_features)
    rows = {user_id(number): number for number in range(size.people)}
    app = FastAPI()

    @app.post("/v1/recommendations")
    async def recommend(request: RecommendationRequest) -> Response:
        scores = predict(rows[request.user_id])
        best = np.argsort(-scores)[: request.limit].tolist()
        answer = [{"resource": payloads[row], "score": float(scores[row])} for row in best]
        return Response(orjson.dumps(answer), media_type="application/json")

    return app


if __name__ == "__main__":
    bare.serve(create(sys.argv[2], Size(*map(int, sys.argv[3:6]))), int(sys.argv[1]))
