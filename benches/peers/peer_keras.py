"""Keras' own fit, on the backend that KERAS_BACKEND names: jax or tensorflow. It trains only: no products."""

import importlib.metadata
import time

import common
import keras
from keras import layers


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


NETS = {"cnn": cnn, "lenet": lenet, "resnet": resnet}


def main():
    a = common.arguments()
    backend = keras.backend.backend()
    if a.mode == "products":
        raise SystemExit("keras: products are its backend's")
    images = lambda x: x.reshape(-1, 28, 28, 1) if a.net else x
    x, y = common.mnist(a.data, "train", a.limit)
    x = images(x)
    model = NETS[a.net]() if a.net else dense(a.hidden)
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
        x_test, y_test = common.mnist(a.data, "t10k")
        accuracy = model.evaluate(images(x_test), y_test, verbose=0)[1]
    package = {"tensorflow": "tensorflow-cpu"}.get(backend, backend)
    version = f"{keras.__version__} on {package} {importlib.metadata.version(package)}"
    epochs = [end - start for start, end in zip(clock, clock[1:])]
    loss = history.history["loss"][-1]
    common.report_training(f"keras-{backend}", version, a, len(x), epochs, first, loss, accuracy)


main()
