//! All integration tests but those of kernels in one binary: linking wgpu once is quicker than ten times.

mod accumulation;
mod activations;
mod attention;
mod averages;
mod bad_input;
mod by_hand;
mod callbacks;
mod chains;
mod check;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
mod cli_arrays;
#[cfg(feature = "cli")]
mod cli_auto;
#[cfg(feature = "cli")]
mod cli_bench;
#[cfg(feature = "cli")]
mod cli_check;
#[cfg(feature = "cli")]
mod cli_from;
#[cfg(feature = "cli")]
mod cli_inspect;
#[cfg(feature = "cli")]
mod cli_interrupt;
#[cfg(feature = "cli")]
mod cli_layers;
#[cfg(feature = "cli")]
mod cli_outputs;
#[cfg(feature = "cli")]
mod cli_pictures;
#[cfg(feature = "cli")]
mod cli_predict;
#[cfg(feature = "cli")]
mod cli_rate;
#[cfg(feature = "cli")]
mod cli_regression;
#[cfg(feature = "cli")]
mod cli_saved;
#[cfg(feature = "cli")]
mod cli_serve;
#[cfg(feature = "cli")]
mod cli_shell;
#[cfg(feature = "cli")]
mod cli_table;
#[cfg(feature = "cli")]
mod cli_table_defaults;
#[cfg(feature = "cli")]
mod cli_table_report;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod cli_tui;
#[cfg(all(feature = "cli", feature = "gpu"))]
mod cli_tune;
mod common;
mod confusion;
mod constraints;
mod convnets;
mod convolutions;
mod custom_op;
mod data;
mod documents;
mod embeddings;
#[cfg(feature = "cli")]
mod examples;
mod finite;
mod functional;
mod fusion;
mod generation;
mod golden;
mod graphs;
mod hostile;
mod images;
mod initializers;
mod keras_configs;
#[cfg(feature = "keras")]
mod keras_files;
#[cfg(all(feature = "keras", feature = "onnx"))]
mod keras_interop;
#[cfg(feature = "keras")]
mod keras_own;
mod layers;
mod losses;
mod masks;
mod metrics;
mod names;
mod nested;
mod networks;
mod ngram;
mod normalizations;
mod onnx;
#[cfg(feature = "onnx")]
mod onnx_files;
mod optimizers;
mod options;
mod own_layers;
mod plan_memory;
mod plot;
mod plot_model;
mod pooling;
mod predictor;
mod progress;
mod recurrent;
mod reductions;
mod reference;
mod regularizers;
mod sampler;
mod saved_settings;
mod saving;
mod schedules;
mod streaming;
#[cfg(feature = "csv")]
mod tables;
mod target_scaler;
mod tensor;
mod tensorboard;
mod text;
mod tidy;
mod timeseries;
mod trainable;
mod training;
mod tuning;
mod weights;
mod weights_from;
mod within_epoch;
