"""MLServer runtimes that answer as SCv2's sample models of the same names do.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


def tensors(request: InferenceRequest, *names: str) -> list[np.ndarray]:
    """The named inputs, decoded; the caller's fault (400) if they are not exactly these."""
    by_name = {i.name: i for i in request.inputs}
    if set(by_name) != set(names):
        raise InferenceError(f"wanted inputs {sorted(names)}, got {sorted(by_name)}")
    return [NumpyCodec.decode_input(by_name[name]) for name in names]


def output(name: str, x: np.ndarray) -> ResponseOutput:
    encoded = NumpyCodec.encode_output(name, x)
    encoded.shape = list(x.shape)  # the codec would make a column of a vector
    return encoded


class Model(MLModel):
    async def load(self) -> bool:
        return True

    def answer(self, request: InferenceRequest, outputs: list) -> InferenceResponse:
        return InferenceResponse(
            id=request.id, model_name=self.name, model_version=self.version, outputs=outputs
        )


class TfSimple(Model):
    async def predict(self, request: InferenceRequest) -> InferenceResponse:
        a, b = tensors(request, "INPUT0", "INPUT1")
        outputs = [
            output("OUTPUT0", (a + b).astype(np.int32)),
            output("OUTPUT1", (a - b).astype(np.int32)),
        ]
        return self.answer(request, outputs)


class Add10(Model):
    async def predict(self, request: InferenceRequest) -> InferenceResponse:
        (x,) = tensors(request, "INPUT")
        return self.answer(request, [output("OUTPUT", x.astype(np.float32) + np.float32(10))])


class Echo(Model):
    async def predict(self, request: InferenceRequest) -> InferenceResponse:
        outputs = [
            ResponseOutput(
                name=i.name,
                shape=i.shape,
                datatype=i.datatype,
                data=i.data,
                parameters=i.parameters,
            )
            for i in request.inputs
        ]
        return self.answer(request, outputs)


class Mute(Echo):
    """Takes requests, and answers none."""

    async def predict(self, request: InferenceRequest) -> InferenceResponse:
        await asyncio.sleep(3600)
        return await super().predict(request)


class Drip(Echo):
    """Streams: three times what Echo answers, DRIP_S apart."""

    DRIP_S = 0.04

    async def predict_stream(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncIterator[InferenceResponse]:
        async for request in payloads:
            for _ in range(3):
                await asyncio.sleep(self.DRIP_S)
                yield await self.predict(request)
