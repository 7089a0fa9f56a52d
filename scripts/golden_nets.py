"""What scripts that train nets share: Keras in float64, on JAX unless they say otherwise, and a training run of a net as a fixture."""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_X64"] = "1"

import keras
import numpy as np
from keras.src.backend.common import dtypes

keras.config.set_floatx("float64")
if keras.config.backend() == "jax":
    import jax as backend

    # On JAX Keras takes float64 for float32 in means and losses.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
else:
    import tensorflow as backend

STEPS = 20


class Numbers:
    """Random numbers of a seed."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)

    def exact(self, *shape) -> np.ndarray:
        """Few digits, all of them exact in float32."""
        return np.round(self.random.normal(0, 1, shape) * 256) / 256


def named_weights(model, prefix: str = "") -> dict:
    """Each weight by the names of the models and the layer that it is in."""
    weights = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            weights |= named_weights(layer, f"{prefix}{layer.name}/")
        else:
            # One that an earlier layer has, too, is that one's.
            own = [v for v in layer.weights if not any(v is other for other in weights.values())]
            weights |= {f"{prefix}{layer.name}/{v.name}": v for v in own}
    return weights


def check_precision(model, x) -> None:
    """That nothing is computed in float32: none is in what JAX is given to compile."""
    variables = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]
    call = lambda x: model.stateless_call(*variables, x, training=True)[0]
    text = str(backend.make_jaxpr(call)(backend.tree.map(backend.numpy.asarray, x)))
    assert "f32" not in text and "f64" in text, text


def tensor(values) -> dict:
    return {"shape": list(np.shape(values)), "values": np.ravel(values).tolist()}


def run(make, numbers: Numbers, named=named_weights, losses_alone=False) -> dict:
    """What Keras makes of a net in STEPS steps: `make` gives the model, its samples and targets by name, and perhaps a batch size;
    `named` the weights by their paths in Kiln. Of `losses_alone` the logs have no metrics."""
    model, x, y, *batch = make()
    check_precision(model, x)
    weights = named(model)
    assert len(weights) == len(model.weights)
    start = {path: numbers.exact(*v.shape) / 2 for path, v in weights.items()}
    start |= {path: np.abs(v) + 0.5 for path, v in start.items() if path.endswith("moving_variance")}
    for path, v in weights.items():
        v.assign(start[path])
    train = y if len(y) > 1 else next(iter(y.values()))
    logs = []
    for _ in range(STEPS):
        if batch:
            fit = model.fit(x, train, batch_size=batch[0], shuffle=False, verbose=0)
            step = {k: v[0] for k, v in fit.history.items()}
        else:
            model.reset_metrics()
            step = {k: float(v) for k, v in model.train_on_batch(x, train, return_dict=True).items()}
        # On JAX the mask is lost between the gradient and the metrics; an evaluation has it.
        logs.append({k: v for k, v in step.items() if k.endswith("loss") or not (batch or losses_alone)})
    evaluated = {k: float(v) for k, v in model.evaluate(x, train, verbose=0, return_dict=True).items()}
    assert all(v.value.dtype == np.float64 for v in model.weights)
    return {
        "batch": batch[0] if batch else len(next(iter(x.values()))),
        "inputs": {k: tensor(v) for k, v in x.items()},
        "targets": {k: tensor(v) for k, v in y.items()},
        "start": {k: tensor(v) for k, v in start.items()},
        "logs": {name: [step[name] for step in logs] for name in logs[0]},
        "evaluated": evaluated,
        "weights": {path: tensor(np.asarray(v.value)) for path, v in weights.items()},
    }


def write(name: str, nets: dict) -> None:
    """Writes the runs of nets by name into the folder that the command line names, else tests/fixtures, and prints their losses."""
    for net, run in nets.items():
        print(net, run["logs"]["loss"][0], run["logs"]["loss"][-1], run.get("evaluated", ""))
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("tests/fixtures")
    versions = {module.__name__: module.__version__ for module in (keras, backend, np)}
    fixture = {"versions": versions, "nets": nets}
    path = folder / name
    path.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
    print(f"{path}: {path.stat().st_size} bytes")
