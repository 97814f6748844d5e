"""A FastAPI service that answers a constant, the environment's BODY and CONTENT_TYPE."""

import os

from fastapi import FastAPI, Response

BODY = os.environ["BODY"]
CONTENT_TYPE = os.environ["CONTENT_TYPE"]

app = FastAPI()


@app.get("/api/light")
async def light() -> Response:
    return Response(BODY, media_type=CONTENT_TYPE)
