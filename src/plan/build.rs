//! From graph to plan: leaves out what nobody reads, resolves views, and gives every value its place.

use std::any::Any;
use std::collections::BTreeMap;

use super::memory::Slots;
use super::{Arena, Buffer, BufferId, Place, Plan, SEGMENT_ALIGNMENT, Step};
use crate::graph::{Graph, Id, Leaf, Node, Type};
use crate::ops::Io;
use crate::ops::copy::Copy;
use crate::tensor::DType;

impl Plan {
    /// The plan of a graph whose parameters lie as `arena` says. What no effect depends on is left out.
    pub fn new(name: impl Into<String>, graph: &Graph, arena: &Arena) -> Self {
        let mut builder = Builder::new(graph, arena);
        builder.place_leaves();
        let kept = builder.elide_copies();
        let last_uses = builder.last_uses(&kept);
        let steps: Vec<Step> = (0..kept.len()).map(|i| builder.step(i, kept[i], &last_uses)).collect();
        let buffers = builder.buffers(&steps);
        Self { name: name.into(), steps, buffers, constants: builder.constants }
    }
}

struct Builder<'a> {
    graph: &'a Graph,
    arena: &'a Arena,
    /// For each value, the value whose elements it shares: itself, unless it is a view.
    roots: Vec<Id>,
    places: Vec<Option<Place>>,
    slots: Slots,
    constants: Vec<f64>,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Graph, arena: &'a Arena) -> Self {
        let mut roots: Vec<Option<Id>> = vec![None; graph.value_count()];
        for node in graph.nodes().iter().filter(|n| n.op.is_view()) {
            roots[node.outputs[0].index()] = Some(roots[node.inputs[0].index()].unwrap_or(node.inputs[0]));
        }
        let roots = graph.ids().map(|id| roots[id.index()].unwrap_or(id)).collect();
        let places = vec![None; graph.value_count()];
        Self { graph, arena, roots, places, slots: Slots::default(), constants: Vec::new() }
    }

    fn root(&self, id: Id) -> Id {
        self.roots[id.index()]
    }

    /// The nodes that an effect depends on, views left out.
    fn needed(&self) -> Vec<&'a Node> {
        let mut nodes = self.graph.needed();
        nodes.retain(|n| !n.op.is_view());
        nodes
    }

    fn place_leaves(&mut self) {
        let used: Vec<Id> = self.needed().iter().flat_map(|n| n.inputs.iter().chain(&n.outputs)).copied().collect();
        for id in used {
            let id = self.root(id);
            let (Some(leaf), None) = (self.graph.leaf_of(id), &self.places[id.index()]) else { continue };
            self.places[id.index()] = Some(self.place_of(leaf, self.graph.shape(id).len()));
        }
    }

    /// Where a leaf of so many elements lies.
    fn place_of(&mut self, leaf: &Leaf, len: usize) -> Place {
        let whole = 0..len;
        let (buffer, range) = match leaf {
            Leaf::Param(i) => (BufferId::Params, self.arena.segments()[*i].clone()),
            Leaf::Grad(i) => (BufferId::Grads, self.arena.segments()[*i].clone()),
            Leaf::Params => (BufferId::Params, whole),
            Leaf::Grads => (BufferId::Grads, whole),
            Leaf::Moment(i) => (BufferId::Moment(*i), whole),
            Leaf::Data(i) => (BufferId::Data(*i), whole),
            Leaf::Order => (BufferId::Order, whole),
            Leaf::Clock => (BufferId::Clock, whole),
            Leaf::Schedule => (BufferId::Schedule, whole),
            Leaf::Log => (BufferId::Log, whole),
            Leaf::Predictions => (BufferId::Predictions, whole),
            Leaf::Input(i) => (BufferId::Input(*i), whole),
            Leaf::Output(i) => (BufferId::Output(*i), whole),
            Leaf::Fill(number) => (BufferId::Constants, self.constant(*number, len)),
            Leaf::From(leaf, first) => {
                let Place { buffer, range } = self.place_of(leaf, len);
                (buffer, range.start + first..range.end + first)
            }
        };
        Place { buffer, range }
    }

    fn constant(&mut self, number: f64, len: usize) -> std::ops::Range<usize> {
        let start = self.constants.len();
        self.constants.resize(start + len, number);
        self.constants.resize((start + len).next_multiple_of(SEGMENT_ALIGNMENT), 0.0);
        start..start + len
    }

    /// The nodes that remain once each copied value that can be is made in the copy's place at once.
    fn elide_copies(&mut self) -> Vec<&'a Node> {
        let all = self.needed();
        let mut nodes = all.clone();
        let mut uses = vec![0usize; self.graph.value_count()];
        nodes.iter().flat_map(|n| &n.inputs).for_each(|&x| uses[self.root(x).index()] += 1);
        nodes.retain(|node| {
            let is_copy = node.effect && (node.op.as_ref() as &dyn Any).is::<Copy>();
            let source = self.root(node.inputs.first().copied().unwrap_or(node.outputs[0]));
            if !is_copy || self.places[source.index()].is_some() || uses[source.index()] != 1 {
                return true;
            }
            // A gradient that another node reads would have that node read and write one arena in one dispatch, and so
            // would what is made of numbers there.
            let place = self.places[node.outputs[0].index()].clone();
            let lies_there = |x: &Id| {
                let found = self.places[self.root(*x).index()].as_ref();
                found.zip(place.as_ref()).is_some_and(|(found, place)| found.buffer == place.buffer)
            };
            if all.iter().any(|maker| maker.outputs.contains(&source) && maker.inputs.iter().any(lies_there)) {
                return true;
            }
            self.places[source.index()] = place;
            false
        });
        nodes
    }

    /// For each value, the index of the last node that reads it.
    fn last_uses(&self, nodes: &[&Node]) -> Vec<usize> {
        let mut last = vec![0; self.graph.value_count()];
        for (i, node) in nodes.iter().enumerate() {
            node.inputs.iter().chain(&node.outputs).for_each(|&id| last[self.root(id).index()] = i);
        }
        last
    }

    fn step(&mut self, index: usize, node: &Node, last_uses: &[usize]) -> Step {
        for &y in &node.outputs {
            if self.places[y.index()].is_none() {
                let Type { shape, dtype } = self.graph.ty(y);
                let slot = self.slots.take(*dtype, shape.len());
                self.places[y.index()] = Some(Place { buffer: BufferId::Temp(slot), range: 0..shape.len() });
            }
        }
        let place = |id: &Id| self.places[self.root(*id).index()].clone().expect("made by an earlier step");
        let step = Step {
            op: node.op.clone(),
            io: Io { inputs: self.graph.types(&node.inputs), outputs: self.graph.types(&node.outputs) },
            inputs: node.inputs.iter().map(place).collect(),
            outputs: node.outputs.iter().map(place).collect(),
            phase: node.phase,
            layer: node.layer.clone(),
        };
        // Freed after the outputs were placed: no step reads and writes one slot.
        let mut done: Vec<Id> = node.inputs.iter().chain(&node.outputs).map(|&id| self.root(id)).collect();
        done.sort_unstable();
        done.dedup();
        for id in done.into_iter().filter(|id| last_uses[id.index()] == index) {
            if let Some(Place { buffer: BufferId::Temp(slot), .. }) = self.places[id.index()] {
                self.slots.give(slot);
            }
        }
        step
    }

    fn buffers(&self, steps: &[Step]) -> Vec<Buffer> {
        let mut buffers: BTreeMap<BufferId, Buffer> = BTreeMap::new();
        for step in steps {
            let types = step.io.inputs.iter().chain(&step.io.outputs);
            for (place, ty) in step.inputs.iter().chain(&step.outputs).zip(types) {
                let len = match place.buffer {
                    BufferId::Params | BufferId::Grads => self.arena.len(),
                    BufferId::Constants => self.constants.len(),
                    BufferId::Temp(slot) => self.slots.0[slot].len,
                    _ => place.range.end,
                };
                let row_len = if ty.dtype == DType::U8 { ty.shape.len() / ty.shape[0].max(1) } else { len };
                let id = place.buffer;
                let buffer = buffers.entry(id).or_insert(Buffer { id, dtype: ty.dtype, len, row_len });
                buffer.len = buffer.len.max(len);
            }
        }
        buffers.into_values().collect()
    }
}
