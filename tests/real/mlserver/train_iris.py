"""train_iris.py FOLDER - trains the iris classifier and writes it twice.

FOLDER/model.joblib is for MLServer's sklearn runtime. FOLDER/iris.json holds the same model
as plain numbers (class = argmax of weights * x + bias) for servers without scikit-learn,
after checking that both give the same classes.

SPDX-License-Identifier: Apache-2.0
"""

import json
import pathlib
import sys

import joblib
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

folder = pathlib.Path(sys.argv[1])
x, y = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=500).fit(x, y)
accuracy = model.score(x, y)
if accuracy < 0.95:
    sys.exit(f"train_iris: accuracy {accuracy:.3f} on its own data is too low to be iris")
classes = np.argmax(x @ model.coef_.T + model.intercept_, axis=1)
if not np.array_equal(classes, model.predict(x)):
    sys.exit("train_iris: the plain numbers and the model disagree")
joblib.dump(model, folder / "model.joblib")
(folder / "iris.json").write_text(
    json.dumps({"weights": model.coef_.tolist(), "bias": model.intercept_.tolist()})
)
