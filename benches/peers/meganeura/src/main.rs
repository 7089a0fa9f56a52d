//! Meganeura, on Vulkan. Of its optimizers Adam with beta_1 = 0 is nearest to RMSprop: the same update, with the bias
//! of the mean square corrected.

#[path = "../../common.rs"]
mod common;

use common::{CLASSES, PIXELS, Product, Random, Result, Runs, SCORED};
use meganeura::{Graph, Session, SessionConfig};

struct Meganeura {
    hidden: usize,
    training: Session,
    /// Built when it is first needed.
    scoring: Option<Session>,
}

const PARAMETERS: [&str; 4] = ["w1", "b1", "w2", "b2"];

/// The net for batches of one size: with the loss, or with the scores.
fn net(batch: usize, hidden: usize, training: bool) -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", &[batch, PIXELS]);
    let w1 = g.parameter("w1", &[PIXELS, hidden]);
    let b1 = g.parameter("b1", &[hidden]);
    let w2 = g.parameter("w2", &[hidden, CLASSES]);
    let b2 = g.parameter("b2", &[CLASSES]);
    let product = g.matmul(x, w1);
    let sum = g.bias_add(product, b1);
    let activated = g.relu(sum);
    let product = g.matmul(activated, w2);
    let scores = g.bias_add(product, b2);
    let output = if training {
        let y = g.input("y", &[batch, CLASSES]);
        g.cross_entropy_loss(scores, y)
    } else {
        scores
    };
    g.set_outputs(vec![output]);
    g
}

impl common::Peer for Meganeura {
    const NAME: &'static str = "meganeura";
    const FIXED_BATCH: bool = true;

    fn new(hidden: usize, batch: usize) -> Result<Self> {
        let mut training = meganeura::build(&net(batch, hidden, true), SessionConfig::from_env()).0;
        let mut random = Random(7);
        let mut glorot =
            |inputs: usize, outputs: usize| random.uniform(inputs * outputs, (6.0 / (inputs + outputs) as f32).sqrt());
        let values = [glorot(PIXELS, hidden), vec![0.0; hidden], glorot(hidden, CLASSES), vec![0.0; CLASSES]];
        for (name, values) in PARAMETERS.iter().zip(values) {
            training.set_parameter(name, &values);
        }
        training.set_adam(1e-3, 0.0, 0.9, 1e-7);
        Ok(Self { hidden, training, scoring: None })
    }

    fn step(&mut self, x: Vec<f32>, y: &[u8]) -> Result<()> {
        let mut one_hot = vec![0.0; y.len() * CLASSES];
        for (row, &label) in one_hot.chunks_mut(CLASSES).zip(y) {
            row[usize::from(label)] = 1.0;
        }
        self.training.set_input("x", &x);
        self.training.set_input("y", &one_hot);
        self.training.step();
        Ok(())
    }

    fn loss(&mut self) -> Result<f32> {
        self.training.wait();
        Ok(self.training.read_loss())
    }

    fn scores(&mut self, x: Vec<f32>) -> Result<Vec<f32>> {
        if self.scoring.is_none() {
            let graph = net(SCORED, self.hidden, false);
            let mut session = meganeura::build(&graph, SessionConfig::inference_from_env()).0;
            for (name, values) in PARAMETERS.iter().zip(self.training.read_params(&PARAMETERS)) {
                session.set_parameter(name, &values);
            }
            self.scoring = Some(session);
        }
        let session = self.scoring.as_mut().ok_or("just built")?;
        session.set_input("x", &x);
        session.step();
        session.wait();
        let mut scores = vec![0.0; SCORED * CLASSES];
        session.read_output_by_index(0, &mut scores);
        Ok(scores)
    }

    fn product(product: &Product) -> Result<Runs> {
        let ([a_shape, b_shape], [a_values, b_values]) = (product.shapes(), product.operands());
        let mut g = Graph::new();
        let (a, b) = (g.input("a", &a_shape), g.parameter("b", &b_shape));
        let y = match product.transposed {
            [true, _] => g.matmul_at(a, b),
            [_, true] => g.matmul_bt(a, b),
            _ => g.matmul(a, b),
        };
        g.set_outputs(vec![y]);
        let mut session = meganeura::build(&g, SessionConfig::inference_from_env()).0;
        session.set_input("a", &a_values);
        session.set_parameter("b", &b_values);
        Ok(Box::new(move |count| {
            (0..count).for_each(|_| session.step());
            session.wait();
            Ok(())
        }))
    }

    fn adapter(&self) -> Option<String> {
        Some(self.training.device_information().device_name.clone())
    }
}

fn main() -> Result<()> {
    common::run::<Meganeura>()
}
