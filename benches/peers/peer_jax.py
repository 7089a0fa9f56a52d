"""JAX without a framework on top: a jit call a step, a batch from the host each."""

from functools import partial

import common
import jax
import jax.numpy as jnp


def scores(weights, x):
    w1, b1, w2, b2 = weights
    return jax.nn.relu(x @ w1 + b1) @ w2 + b2


def loss(weights, x, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(scores(weights, x)), y[:, None], 1).mean()


@partial(jax.jit, donate_argnums=(0, 1))
def step(weights, moments, x, y):
    value, gradients = jax.value_and_grad(loss)(weights, x, y)
    moments = [0.9 * v + 0.1 * g * g for v, g in zip(moments, gradients)]
    weights = [w - 1e-3 * g / jnp.sqrt(v + 1e-7) for w, v, g in zip(weights, moments, gradients)]
    return weights, moments, value


class Net:
    def __init__(self, hidden):
        self.weights = [jnp.asarray(w) for w in common.initial(hidden)]
        self.moments = [jnp.zeros_like(w) for w in self.weights]

    def step(self, x, y):
        self.weights, self.moments, value = step(self.weights, self.moments, x, y)
        return value


def main():
    a = common.arguments()
    if a.mode == "products":
        function = {"": lambda a, b: a @ b, "a": lambda a, b: a.T @ b, "b": lambda a, b: a @ b.T}
        function = {transposed: jax.jit(op) for transposed, op in function.items()}
        common.products("jax", jax.__version__, function, jnp.asarray, jax.block_until_ready)
        return
    net = Net(a.hidden)
    common.train("jax", jax.__version__, a, net.step, lambda x: scores(net.weights, x))


main()
