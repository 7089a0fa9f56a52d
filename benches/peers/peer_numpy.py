"""NumPy by hand: what a CPU path without a framework takes."""

import common
import numpy as np

F = np.float32


def step(weights, moments, x, y):
    w1, b1, w2, b2 = weights
    h = np.maximum(x @ w1 + b1, 0)
    z = h @ w2 + b2
    z -= z.max(1, keepdims=True)
    e = np.exp(z)
    total = e.sum(1, keepdims=True)
    rows = np.arange(len(y))
    loss = (np.log(total[:, 0]) - z[rows, y]).mean()
    dz = e / total
    dz[rows, y] -= 1
    dz *= F(1 / len(y))
    dh = dz @ w2.T
    dh *= h > 0
    for w, v, g in zip(weights, moments, (x.T @ dh, dh.sum(0), h.T @ dz, dz.sum(0))):
        v *= F(0.9)
        v += F(0.1) * g * g
        w -= F(1e-3) * g / np.sqrt(v + F(1e-7))
    return loss


def main():
    a = common.arguments()
    if a.mode == "products":
        function = {"": lambda a, b: a @ b, "a": lambda a, b: a.T @ b, "b": lambda a, b: a @ b.T}
        common.products("numpy", np.__version__, function, lambda x: x, lambda y: None)
        return
    weights = common.initial(a.hidden)
    moments = [np.zeros_like(w) for w in weights]
    w1, b1, w2, b2 = weights
    scores = lambda x: np.maximum(x @ w1 + b1, 0) @ w2 + b2
    common.train("numpy", np.__version__, a, lambda x, y: step(weights, moments, x, y), scores)


main()
