"""echo: the input tensor, as it came.

SPDX-License-Identifier: Apache-2.0
"""

import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = pb.get_input_tensor_by_name(request, "predict").as_numpy()
            answers.append(pb.InferenceResponse([pb.Tensor("predict", x)]))
        return answers
