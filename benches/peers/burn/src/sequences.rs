//! Nets of sequences: recurrent layers, and a transformer of two blocks.

use burn::module::Module;
use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig, generate_autoregressive_mask};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::nn::{Gru, GruConfig, Lstm, LstmConfig, Rnn, RnnConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use crate::common::{CLASSES, LENGTH, WORDS};

/// Numbers of a recurrent layer's state.
const UNITS: usize = 128;
/// Numbers that stand for a token.
const WIDTH: usize = 64;

#[derive(Module, Debug)]
pub enum Cell {
    Lstm(Lstm),
    Gru(Gru),
    Rnn(Rnn),
}

/// A recurrent layer, whose last state is classified.
#[derive(Module, Debug)]
pub struct Recurrent {
    cell: Cell,
    output: Linear,
    steps: usize,
    numbers: usize,
}

impl Recurrent {
    /// Over so many steps of so many numbers.
    fn new(cell: Cell, [steps, numbers]: [usize; 2], device: &Device) -> Self {
        Self { cell, output: LinearConfig::new(UNITS, CLASSES).init(device), steps, numbers }
    }

    pub fn lstm(extents: [usize; 2], device: &Device) -> Self {
        let lstm = LstmConfig::new(extents[1], UNITS, true).init(device);
        Self::new(Cell::Lstm(lstm), extents, device)
    }

    pub fn gru(extents: [usize; 2], device: &Device) -> Self {
        Self::new(Cell::Gru(GruConfig::new(extents[1], UNITS, true).init(device)), extents, device)
    }

    pub fn simple(extents: [usize; 2], device: &Device) -> Self {
        Self::new(Cell::Rnn(RnnConfig::new(extents[1], UNITS, true).init(device)), extents, device)
    }

    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [batch, _] = x.dims();
        let x = x.reshape([batch, self.steps, self.numbers]);
        let last = match &self.cell {
            Cell::Lstm(lstm) => lstm.forward(x, None).1.hidden,
            Cell::Gru(gru) => gru.forward(x, None).narrow(1, self.steps - 1, 1).flatten(1, 2),
            Cell::Rnn(rnn) => rnn.forward(x, None).1.hidden,
        };
        self.output.forward(last)
    }
}

#[derive(Module, Debug)]
pub struct Block {
    attention: MultiHeadAttention,
    wide: Linear,
    narrow: Linear,
    norms: [LayerNorm; 2],
}

impl Block {
    fn new(device: &Device) -> Self {
        let norm = || LayerNormConfig::new(WIDTH).with_epsilon(1e-3).init(device);
        Self {
            attention: MultiHeadAttentionConfig::new(WIDTH, 4).with_dropout(0.0).init(device),
            wide: LinearConfig::new(WIDTH, 4 * WIDTH).init(device),
            narrow: LinearConfig::new(4 * WIDTH, WIDTH).init(device),
            norms: [norm(), norm()],
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, _, _] = x.dims();
        let mask = generate_autoregressive_mask(batch, LENGTH, &x.device());
        let attended = self.attention.forward(MhaInput::self_attn(x.clone()).mask_attn(mask)).context;
        let x = self.norms[0].forward(x + attended);
        let wide = relu(self.wide.forward(x.clone()));
        self.norms[1].forward(x + self.narrow.forward(wide))
    }
}

/// Attention of four heads, each token to those before it, and two dense layers, twice.
#[derive(Module, Debug)]
pub struct Transformer {
    embedding: Embedding,
    blocks: [Block; 2],
    output: Linear,
}

impl Transformer {
    pub fn new(device: &Device) -> Self {
        Self {
            embedding: EmbeddingConfig::new(WORDS, WIDTH).init(device),
            blocks: [Block::new(device), Block::new(device)],
            output: LinearConfig::new(WIDTH, WORDS).init(device),
        }
    }

    /// The scores of all tokens' successors, one after the other.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.blocks.iter().fold(self.embedding.forward(x.int()), |x, block| block.forward(x));
        self.output.forward(x).flatten(0, 1)
    }
}
