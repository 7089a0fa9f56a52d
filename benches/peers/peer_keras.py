"""Keras' own fit, on the backend that KERAS_BACKEND names: jax or tensorflow. It trains only: no products."""

import importlib.metadata
import time

import common
import keras
import numpy as np
from keras import layers

# Tokens of a sample, and those there are to choose from.
LENGTH, WORDS = 64, 256


def dense(hidden):
    inner = [layers.Dense(hidden, activation="relu"), layers.Dense(10, activation="softmax")]
    return keras.Sequential([keras.Input((784,)), *inner])


def cnn():
    inner = [
        layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Dropout(0.25), layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(0.5),
    ]
    return keras.Sequential([keras.Input((28, 28, 1)), *inner, layers.Dense(10, activation="softmax")])


def lenet():
    inner = [
        layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dense(120, activation="relu"), layers.Dense(84, activation="relu"),
    ]
    return keras.Sequential([keras.Input((28, 28, 1)), *inner, layers.Dense(10, activation="softmax")])


def resnet():
    conv = lambda x, *settings: layers.Conv2D(*settings, padding="same", use_bias=False)(x)
    normalized = lambda x, filters, strides: layers.BatchNormalization()(conv(x, filters, 3, strides))
    pixels = keras.Input((28, 28, 1))
    x = layers.ReLU()(normalized(pixels, 16, 1))
    for filters, strides in (16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1):
        inner = normalized(layers.ReLU()(normalized(x, filters, strides)), filters, 1)
        short = x if strides == 1 else conv(x, filters, 1, strides)
        x = layers.ReLU()(layers.Add()([short, inner]))
    return keras.Model(pixels, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def recurrent(layer, steps=28, numbers=28):
    return keras.Sequential([keras.Input((steps, numbers)), layer, layers.Dense(10, activation="softmax")])


def transformer():
    """Each of two blocks attends to the tokens before; each sum is normalized."""
    tokens = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(WORDS, 64)(tokens)
    for _ in range(2):
        attended = layers.MultiHeadAttention(4, 16)(x, x, use_causal_mask=True)
        x = layers.LayerNormalization()(layers.Add()([x, attended]))
        inner = layers.Dense(64)(layers.Dense(256, activation="relu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, inner]))
    return keras.Model(tokens, layers.Dense(WORDS, activation="softmax")(x))


NETS = {
    "cnn": cnn, "lenet": lenet, "resnet": resnet,
    "lstm": lambda: recurrent(layers.LSTM(128)), "gru": lambda: recurrent(layers.GRU(128)),
    "simple_rnn": lambda: recurrent(layers.SimpleRNN(128)), "lstm50": lambda: recurrent(layers.LSTM(128), 50, 64),
    "transformer": transformer,
}


def samples(net, shape, part, folder, limit):
    """What a net takes, in this shape each, and its labels: MNIST's pixels, or random numbers or tokens."""
    random = np.random.default_rng(0)
    if net in ("lstm50", "transformer") and not limit:
        raise SystemExit("keras: nets that take no image need --limit")
    if net == "lstm50":
        return random.uniform(0, 1, (limit, *shape)).astype("float32"), random.integers(0, 10, limit).astype("int32")
    if net == "transformer":
        return [random.integers(0, WORDS, (limit, *shape)).astype("int32") for _ in range(2)]
    x, y = common.mnist(folder, part, limit)
    return x.reshape(-1, *shape), y


def main():
    a = common.arguments()
    backend = keras.backend.backend()
    if a.mode == "products":
        raise SystemExit("keras: products are its backend's")
    model = NETS[a.net]() if a.net else dense(a.hidden)
    x, y = samples(a.net, model.input_shape[1:], "train", a.data, a.limit)
    optimizers = keras.optimizers
    model.compile(
        optimizer=optimizers.Adam() if a.net else optimizers.RMSprop(1e-3, rho=0.9, epsilon=1e-7),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    # A fit of its own: a callback at each batch would slow down the others.
    start = time.perf_counter()
    model.fit(x[: a.batch], y[: a.batch], batch_size=a.batch, verbose=0)
    first = time.perf_counter() - start
    clock = [time.perf_counter()]
    tick = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: clock.append(time.perf_counter()))
    history = model.fit(x, y, batch_size=a.batch, epochs=a.epochs, verbose=0, callbacks=[tick])
    accuracy = None
    if not a.limit:
        accuracy = model.evaluate(*samples(a.net, model.input_shape[1:], "t10k", a.data, None), verbose=0)[1]
    package = {"tensorflow": "tensorflow-cpu"}.get(backend, backend)
    version = f"{keras.__version__} on {package} {importlib.metadata.version(package)}"
    epochs = [end - start for start, end in zip(clock, clock[1:])]
    loss = history.history["loss"][-1]
    common.report_training(f"keras-{backend}", version, a, len(x), epochs, first, loss, accuracy)


main()
