//! The order in which Keras has a network's layers: those that are further from the outputs first.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{Call, Network, Wire};

/// An input or a layer of a network, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Member {
    Input(usize),
    Layer(usize),
}

/// How far inputs and calls are from the outputs.
struct Depths {
    /// The depth of each input and, behind these, of each call.
    makers: Vec<usize>,
    /// Of each member the greatest depth that it is called at, and when a search from the outputs meets it first.
    members: HashMap<Member, (usize, usize)>,
}

impl Network {
    /// Puts layers and calls in Keras' order: by depth, members of one depth as a search from the outputs meets them.
    pub fn sort_by_depth(&mut self) {
        let depths = self.depths();
        let members = self.by_depth(&depths);
        let layers: Vec<usize> = members.iter().filter_map(|member| member.layer()).collect();
        let met = |call: usize| depths.members[&Member::Layer(self.calls[call].layer)].1;
        let mut calls: Vec<usize> = (0..self.calls.len()).collect();
        calls.sort_by_key(|&call| (Reverse(depths.makers[self.inputs.len() + call]), met(call)));
        let (layer_at, call_at) = (inverse(&layers), inverse(&calls));
        let moved = |wire: &Wire| match *wire {
            Wire::Output { call, index } => Wire::Output { call: call_at[call], index },
            input => input,
        };
        let call = |&call: &usize| {
            let Call { layer, reads } = &self.calls[call];
            Call { layer: layer_at[*layer], reads: reads.iter().map(moved).collect() }
        };
        self.calls = calls.iter().map(call).collect();
        self.outputs = self.outputs.iter().map(moved).collect();
        self.layers = layers.iter().map(|&layer| self.layers[layer].clone()).collect();
    }

    /// Inputs and layers in Keras' order.
    pub fn members(&self) -> Vec<Member> {
        self.by_depth(&self.depths())
    }

    fn by_depth(&self, depths: &Depths) -> Vec<Member> {
        let inputs = (0..self.inputs.len()).map(Member::Input);
        let mut members: Vec<Member> = inputs.chain((0..self.layers.len()).map(Member::Layer)).collect();
        // What no output needs, which a file may have, comes last.
        members.sort_by_key(|member| {
            depths.members.get(member).map_or((true, Reverse(0), 0), |&(d, met)| (false, Reverse(d), met))
        });
        members
    }

    /// As `map_graph` in Keras' ops/function.py.
    fn depths(&self) -> Depths {
        let mut members = HashMap::new();
        let mut makers = vec![0; self.inputs.len() + self.calls.len()];
        for maker in self.searched(&mut members).into_iter().rev() {
            let member = members.get_mut(&self.member(maker)).expect("met on the way here");
            let (depth, _) = member;
            *depth = makers[maker].max(*depth);
            makers[maker] = *depth;
            let below = *depth + 1;
            for &read in self.reads(maker) {
                let read = self.maker(read);
                makers[read] = makers[read].max(below);
            }
        }
        Depths { makers, members }
    }

    /// What the outputs need, inputs counted before calls, each behind what it reads. Notes when each member is met.
    fn searched(&self, met: &mut HashMap<Member, (usize, usize)>) -> Vec<usize> {
        let mut seen = vec![false; self.inputs.len() + self.calls.len()];
        let mut found = Vec::new();
        for &output in &self.outputs {
            // A maker, and how many of its reads were looked at.
            let mut open = vec![(self.maker(output), 0)];
            while let Some((maker, looked)) = open.pop() {
                if looked == 0 {
                    if std::mem::replace(&mut seen[maker], true) {
                        continue;
                    }
                    let count = met.len();
                    met.entry(self.member(maker)).or_insert((0, count));
                }
                match self.reads(maker).get(looked) {
                    Some(&read) => open.extend([(maker, looked + 1), (self.maker(read), 0)]),
                    None => found.push(maker),
                }
            }
        }
        found
    }

    fn maker(&self, wire: Wire) -> usize {
        match wire {
            Wire::Input(input) => input,
            Wire::Output { call, .. } => self.inputs.len() + call,
        }
    }

    fn reads(&self, maker: usize) -> &[Wire] {
        maker.checked_sub(self.inputs.len()).map_or(&[], |call| &self.calls[call].reads)
    }

    fn member(&self, maker: usize) -> Member {
        maker.checked_sub(self.inputs.len()).map_or(Member::Input(maker), |call| Member::Layer(self.calls[call].layer))
    }
}

impl Member {
    pub fn layer(self) -> Option<usize> {
        match self {
            Self::Layer(layer) => Some(layer),
            Self::Input(_) => None,
        }
    }
}

/// Where each index stands in a list of all of them.
fn inverse(order: &[usize]) -> Vec<usize> {
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &index)| places[index] = place);
    places
}
