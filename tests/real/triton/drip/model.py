"""drip: decoupled; three times what echo answers, 40 ms apart. A request for the text "error"
gets one answer, and then an error.

SPDX-License-Identifier: Apache-2.0
"""

import time

import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            x = pb.get_input_tensor_by_name(request, "predict").as_numpy()
            sender = request.get_response_sender()
            for i in range(3):
                time.sleep(0.04)
                if i == 1 and x.flatten()[0] == b"error":
                    sender.send(pb.InferenceResponse(error=pb.TritonError("as was asked")))
                    break
                sender.send(pb.InferenceResponse([pb.Tensor("predict", x)]))
            sender.send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None
