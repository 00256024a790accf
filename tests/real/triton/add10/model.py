"""add10: OUTPUT = INPUT + 10.

SPDX-License-Identifier: Apache-2.0
"""

import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = pb.get_input_tensor_by_name(request, "INPUT").as_numpy()
            answers.append(pb.InferenceResponse([pb.Tensor("OUTPUT", x + np.float32(10))]))
        return answers
