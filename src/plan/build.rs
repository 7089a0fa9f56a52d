//! From graph to plan: leaves out what nobody reads, resolves views, and gives every value its place.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::memory::{Life, Slots};
use super::{Arena, Buffer, BufferId, Place, Plan, SEGMENT_ALIGNMENT, Step};
use crate::error::{Error, Result};
use crate::graph::{Graph, Guard, Id, Leaf, Node, Order, Type};
use crate::ops::Io;
use crate::ops::copy::Copy;
use crate::tensor::DType;

impl Plan {
    /// The plan of a graph whose parameters lie as `arena` says. What no effect depends on is left out.
    ///
    /// # Errors
    /// [`Error::Shape`] that names the op where a step would read and write one buffer, or write elements twice;
    /// [`Error::Argument`] where a leaf has no place: a parameter that the arena lacks, a part of what is no arena.
    pub fn new(name: impl Into<String>, graph: &Graph, arena: &Arena) -> Result<Self> {
        let mut builder = Builder::new(graph, arena);
        builder.place_leaves()?;
        let kept = builder.elide_copies();
        builder.place_values(&kept);
        let nodes = kept.into_iter().enumerate().filter_map(|(n, kept)| kept.then_some(n));
        let steps: Vec<Step> = nodes.map(|n| builder.step(n)).collect();
        let buffers = builder.buffers(&steps)?;
        let plan = Self { name: name.into(), steps, buffers, constants: builder.constants };
        plan.check()?;
        Ok(plan)
    }
}

struct Builder<'a> {
    graph: &'a Graph,
    arena: &'a Arena,
    /// The nodes that an effect depends on, without the views that are resolved.
    nodes: Vec<&'a Node>,
    order: Order,
    places: Vec<Option<Place>>,
    slots: Slots,
    constants: Vec<f64>,
}

/// For each value, the value whose elements it shares: itself, unless it is a view. A view of a leaf that changes before
/// the view is read for the last time has elements of its own: it is a copy.
fn roots(graph: &Graph, nodes: &[&Node]) -> Vec<Id> {
    let mut roots: Vec<Id> = graph.ids().collect();
    let order = Order::new(graph, nodes.iter().copied().enumerate(), roots.clone());
    let mut last_read = vec![0; roots.len()];
    for (n, node) in nodes.iter().enumerate().rev() {
        let last = if is_view(node) { last_read[node.outputs[0].index()].max(n) } else { n };
        node.inputs.iter().for_each(|x| last_read[x.index()] = last_read[x.index()].max(last));
    }
    for (n, node) in nodes.iter().enumerate().filter(|(_, node)| is_view(node)) {
        let (root, y) = (roots[node.inputs[0].index()], node.outputs[0]);
        if Guard::View.lets(!order.changes(root, &(n + 1..last_read[y.index()]))) {
            roots[y.index()] = root;
        }
    }
    roots
}

fn is_view(node: &Node) -> bool {
    !node.effect && node.op.is_view()
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Graph, arena: &'a Arena) -> Self {
        let mut nodes = graph.needed();
        let roots = roots(graph, &nodes);
        nodes.retain(|node| !is_view(node) || roots[node.outputs[0].index()] == node.outputs[0]);
        let order = Order::new(graph, nodes.iter().copied().enumerate(), roots);
        let places = vec![None; graph.value_count()];
        Self { graph, arena, nodes, order, places, slots: Slots::default(), constants: Vec::new() }
    }

    fn place_leaves(&mut self) -> Result<()> {
        let used: Vec<Id> = self.nodes.iter().flat_map(|n| n.inputs.iter().chain(&n.outputs)).copied().collect();
        for id in used {
            let id = self.order.root(id);
            let (Some(leaf), None) = (self.graph.leaf_of(id), &self.places[id.index()]) else { continue };
            self.places[id.index()] = Some(self.place_of(leaf, self.graph.ty(id))?);
        }
        Ok(())
    }

    /// Where a leaf of this type lies.
    fn place_of(&mut self, leaf: &Leaf, ty: &Type) -> Result<Place> {
        let len = ty.shape.len();
        let whole = 0..len;
        let (buffer, range) = match leaf {
            Leaf::Param(i) => (BufferId::Params, self.segment(leaf, *i, ty)?),
            Leaf::Grad(i) => (BufferId::Grads, self.segment(leaf, *i, ty)?),
            Leaf::Params => (BufferId::Params, whole),
            Leaf::Grads => (BufferId::Grads, whole),
            Leaf::Moment(i) => (BufferId::Moment(*i), whole),
            Leaf::Data(i) => (BufferId::Data(*i), whole),
            Leaf::Order => (BufferId::Order, whole),
            Leaf::Clock => (BufferId::Clock, whole),
            Leaf::Schedule => (BufferId::Schedule, whole),
            Leaf::Log => (BufferId::Log, whole),
            Leaf::Predictions(i) => (BufferId::Predictions(*i), whole),
            Leaf::Input(i) => (BufferId::Input(*i), whole),
            Leaf::Output(i) => (BufferId::Output(*i), whole),
            Leaf::Fill(number) => (BufferId::Constants, self.constant(std::iter::repeat_n(*number, len))),
            Leaf::Constant(numbers) => (BufferId::Constants, self.constant(numbers.iter().copied())),
            Leaf::From(of, first) => {
                let arena = matches!(**of, Leaf::Params | Leaf::Grads | Leaf::Moment(_) | Leaf::Schedule);
                if !arena || !first.is_multiple_of(SEGMENT_ALIGNMENT) {
                    let message = format!("begins at {first}, expected a multiple of {SEGMENT_ALIGNMENT} in an arena");
                    return Err(no_place(leaf, &format!("{message}: Params, Grads, a Moment or the Schedule")));
                }
                (self.place_of(of, ty)?.buffer, *first..first + len)
            }
        };
        if matches!(buffer, BufferId::Params | BufferId::Grads) && range.end > self.arena.len() {
            return Err(no_place(leaf, &format!("ends at {}, the arena at {}", range.end, self.arena.len())));
        }
        Ok(Place { buffer, range })
    }

    /// Where the trainable tensor of an index lies.
    fn segment(&self, leaf: &Leaf, i: usize, ty: &Type) -> Result<std::ops::Range<usize>> {
        let segments = self.arena.segments();
        match segments.get(i) {
            Some(segment) if segment.len() == ty.shape.len() => Ok(segment.clone()),
            Some(segment) => Err(no_place(leaf, &format!("is {ty}, the arena has {} elements for it", segment.len()))),
            None => Err(no_place(leaf, &format!("is not among the {} tensors of the arena", segments.len()))),
        }
    }

    fn constant(&mut self, numbers: impl Iterator<Item = f64>) -> std::ops::Range<usize> {
        let start = self.constants.len();
        self.constants.extend(numbers);
        let end = self.constants.len();
        // One without elements has a place to bind, too.
        self.constants.resize(end.max(start + 1).next_multiple_of(SEGMENT_ALIGNMENT), 0.0);
        start..end
    }

    /// For each node, whether it remains once each copied value that can be is made in the copy's place at once: there the
    /// copy has gone up to the node that makes the value.
    fn elide_copies(&mut self) -> Vec<bool> {
        let mut kept = vec![true; self.nodes.len()];
        for (n, node) in self.nodes.iter().enumerate() {
            let is_copy = node.effect && (node.op.as_ref() as &dyn Any).is::<Copy>();
            let Some((source, target)) = is_copy.then(|| (self.order.root(node.inputs[0]), node.outputs[0])) else {
                continue;
            };
            // Where the session keeps the value already, no node makes it.
            let Some(maker) = self.order.made(source) else { continue };
            let alone = Guard::Alone.lets(self.order.read(source).len() == 1);
            let read = |x: &Id| self.order.in_one_buffer(*x, target);
            let apart = Guard::Buffer.lets(!self.nodes[maker].inputs.iter().any(read));
            if alone && apart && self.order.may_move(node, &(maker + 1..n)) {
                self.places[source.index()] = self.places[target.index()].clone();
                kept[n] = false;
            }
        }
        kept
    }

    /// Gives each value that remains without a place a slot, from the node that makes it to the last that reads it.
    fn place_values(&mut self, kept: &[bool]) {
        let made = self.nodes.iter().enumerate().filter(|(n, _)| kept[*n]);
        let made = made.flat_map(|(n, node)| node.outputs.iter().map(move |&y| (n, y)));
        let made: Vec<(usize, Id)> = made.filter(|(_, y)| self.places[y.index()].is_none()).collect();
        let life = |&(first, y): &(usize, Id)| {
            let Type { shape, dtype } = self.graph.ty(y);
            Life { dtype: *dtype, len: shape.len(), first, last: self.order.last_read(y).unwrap_or(first) }
        };
        let lives: Vec<Life> = made.iter().map(life).collect();
        let (slots, chosen) = Slots::of(&lives);
        for (((_, y), life), slot) in made.into_iter().zip(&lives).zip(chosen) {
            self.places[y.index()] = Some(Place { buffer: BufferId::Temp(slot), range: 0..life.len });
        }
        self.slots = slots;
    }

    fn step(&self, n: usize) -> Step {
        let node = self.nodes[n];
        let place = |id: &Id| self.places[self.order.root(*id).index()].clone().expect("made by an earlier step");
        Step {
            op: if is_view(node) { Arc::new(Copy) } else { node.op.clone() },
            io: Io { inputs: self.graph.types(&node.inputs), outputs: self.graph.types(&node.outputs) },
            inputs: node.inputs.iter().map(place).collect(),
            outputs: node.outputs.iter().map(place).collect(),
            phase: node.phase,
            layer: node.layer.clone(),
        }
    }

    fn buffers(&self, steps: &[Step]) -> Result<Vec<Buffer>> {
        let mut buffers: BTreeMap<BufferId, Buffer> = BTreeMap::new();
        for step in steps {
            let types = step.io.inputs.iter().chain(&step.io.outputs);
            for (place, ty) in step.inputs.iter().chain(&step.outputs).zip(types) {
                let (id, dtype) = (place.buffer, ty.dtype);
                let len = match id {
                    BufferId::Params | BufferId::Grads => self.arena.len(),
                    BufferId::Constants => self.constants.len(),
                    BufferId::Temp(slot) => self.slots.len(slot),
                    _ => place.range.end,
                };
                let rows = ty.shape.first().copied().unwrap_or(1).max(1);
                let row_len = if dtype == DType::U8 { ty.shape.len() / rows } else { len };
                let buffer = buffers.entry(id).or_insert(Buffer { id, dtype, len, row_len });
                if buffer.dtype != dtype {
                    return Err(step.error(format!("takes {id} for {dtype}, which is {} elsewhere", buffer.dtype)));
                }
                buffer.len = buffer.len.max(len);
            }
        }
        Ok(buffers.into_values().collect())
    }
}

fn no_place(leaf: &Leaf, why: &str) -> Error {
    Error::argument("graph", format!("the leaf {leaf:?} {why}"))
}
