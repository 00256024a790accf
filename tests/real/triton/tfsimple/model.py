"""tfsimple: OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1.

SPDX-License-Identifier: Apache-2.0
"""

import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            a = pb.get_input_tensor_by_name(request, "INPUT0").as_numpy()
            b = pb.get_input_tensor_by_name(request, "INPUT1").as_numpy()
            outputs = [pb.Tensor("OUTPUT0", a + b), pb.Tensor("OUTPUT1", a - b)]
            answers.append(pb.InferenceResponse(outputs))
        return answers
