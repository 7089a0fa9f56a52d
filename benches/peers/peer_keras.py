"""Keras' own fit, on the backend that KERAS_BACKEND names: jax or tensorflow. It trains only: no products."""

import importlib.metadata
import time

import common
import keras


def main():
    a = common.arguments()
    backend = keras.backend.backend()
    if a.mode == "products":
        raise SystemExit("keras: products are its backend's")
    x, y = common.mnist(a.data, "train", a.limit)
    layers = [keras.layers.Dense(a.hidden, activation="relu"), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((784,)), *layers])
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3, rho=0.9, epsilon=1e-7),
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
    accuracy = None if a.limit else model.evaluate(*common.mnist(a.data, "t10k"), verbose=0)[1]
    package = {"tensorflow": "tensorflow-cpu"}.get(backend, backend)
    version = f"{keras.__version__} on {package} {importlib.metadata.version(package)}"
    epochs = [end - start for start, end in zip(clock, clock[1:])]
    loss = history.history["loss"][-1]
    common.report_training(f"keras-{backend}", version, a, len(x), epochs, first, loss, accuracy)


main()
