//! What may move: the one question that every rewrite asks, in `rewrite/` and in the plan.
//!
//! A leaf is a place. An effect gives it a new version, and a node reads the version of the last effect before it. So a
//! node may change places with its neighbour only where neither reads what the other makes or changes.

use std::collections::HashMap;
use std::ops::Range;

use super::leaf::{Store, Stretch};
use super::{Graph, Id, Node};

/// What holds rewrites back. The tests take out one after the other and see that results go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A node stays behind those that make what it reads.
    Made,
    /// A node stays before those that read what it makes.
    Read,
    /// A node that reads a leaf stays on its side of an effect that changes it.
    Changed,
    /// An effect stays on its side of a node that reads what it changes.
    EffectRead,
    /// An effect stays on its side of another that changes the same.
    EffectChanged,
    /// A leaf that is a part of another changes with it.
    Parts,
    /// A value that others read is neither fused away nor made elsewhere.
    Alone,
    /// A view of a leaf that changes before the view is read is a copy.
    View,
    /// No step reads and writes one buffer.
    Buffer,
}

impl Guard {
    /// Whether a rewrite may go on that is safe or not in this respect.
    #[cfg(not(test))]
    pub fn lets(self, safe: bool) -> bool {
        let _ = self;
        safe
    }
}

/// What each node of a list makes, reads and changes.
///
/// It stands for the list as it was: those who move nodes by it move all of them up, or all of them down.
#[derive(Debug)]
pub(crate) struct Order {
    /// For each value, the value whose elements it shares.
    roots: Vec<Id>,
    /// For each value, the node that makes it.
    made: Vec<Option<usize>>,
    /// For each value, the nodes that read it, each as often as it does.
    read: Vec<Vec<usize>>,
    /// For each value that is a leaf which can change, where it lies.
    leaves: Vec<Option<(Store, Stretch)>>,
    leaves_read: Places,
    leaves_changed: Places,
}

impl Order {
    /// The order of a graph's nodes.
    pub fn of(graph: &Graph) -> Self {
        Self::new(graph, graph.nodes.iter().enumerate(), graph.ids().collect())
    }

    /// The order of some nodes of a graph and their numbers, which ascend, where each value shares the elements of its
    /// root.
    pub fn new<'a>(graph: &Graph, nodes: impl Iterator<Item = (usize, &'a Node)>, roots: Vec<Id>) -> Self {
        let count = graph.value_count();
        let leaf = |id: Id| graph.leaf_of(id).and_then(|leaf| leaf.stretch(graph.shape(id).len()));
        let mut order = Self {
            roots,
            made: vec![None; count],
            read: vec![Vec::new(); count],
            leaves: graph.ids().map(leaf).collect(),
            leaves_read: Places::default(),
            leaves_changed: Places::default(),
        };
        nodes.for_each(|(n, node)| order.add(n, node));
        order
    }

    fn add(&mut self, n: usize, node: &Node) {
        for &x in &node.inputs {
            let x = self.root(x);
            self.read[x.index()].push(n);
            self.leaves_read.add(n, &self.leaves[x.index()]);
        }
        for &y in &node.outputs {
            if node.effect {
                self.leaves_changed.add(n, &self.leaves[y.index()]);
            } else {
                self.made[y.index()] = Some(n);
            }
        }
    }

    /// The value whose elements this one shares: itself, unless it is a view.
    pub fn root(&self, id: Id) -> Id {
        self.roots[id.index()]
    }

    /// The node that makes a value; `None` for a leaf.
    pub fn made(&self, id: Id) -> Option<usize> {
        self.made[self.root(id).index()]
    }

    /// The nodes that read a value, in order, each as often as it does.
    pub fn read(&self, id: Id) -> &[usize] {
        &self.read[self.root(id).index()]
    }

    /// The last node that reads a value: its place is free from then on.
    pub fn last_read(&self, id: Id) -> Option<usize> {
        self.read(id).last().copied()
    }

    /// Whether two values are leaves that lie in one buffer.
    pub fn in_one_buffer(&self, a: Id, b: Id) -> bool {
        let store = |id: Id| self.leaf(id).as_ref().map(|(store, _)| store);
        store(a).is_some() && store(a) == store(b)
    }

    /// Whether one of some nodes changes elements of a leaf.
    pub fn changes(&self, leaf: Id, nodes: &Range<usize>) -> bool {
        self.leaves_changed.within(nodes, self.leaf(leaf))
    }

    /// Tells whether a leaf has elements in common with one of these.
    pub fn overlaps(&self, others: &[Id]) -> impl Fn(Id) -> bool {
        let mut places = Places::default();
        others.iter().for_each(|&other| places.add(0, self.leaf(other)));
        move |leaf| places.within(&(0..1), self.leaf(leaf))
    }

    fn leaf(&self, id: Id) -> &Option<(Store, Stretch)> {
        &self.leaves[self.root(id).index()]
    }

    /// Whether `node` may move over its neighbours: it computes the same behind them as before, and so do they.
    pub fn may_move(&self, node: &Node, over: &Range<usize>) -> bool {
        let makes = |x: &Id| self.made(*x).is_some_and(|maker| over.contains(&maker));
        let reads = |y: &Id| is_within(self.read(*y), over);
        let changes = |leaf: &Id| self.changes(*leaf, over);
        let reads_leaf = |leaf: &Id| self.leaves_read.within(over, self.leaf(*leaf));
        let effect = node.effect;
        Guard::Made.lets(!node.inputs.iter().any(makes))
            && Guard::Changed.lets(!node.inputs.iter().any(changes))
            && (effect || Guard::Read.lets(!node.outputs.iter().any(reads)))
            && (!effect || Guard::EffectRead.lets(!node.outputs.iter().any(reads_leaf)))
            && (!effect || Guard::EffectChanged.lets(!node.outputs.iter().any(changes)))
    }
}

/// The nodes that read or change the elements of stores.
#[derive(Debug, Default)]
struct Places(HashMap<Store, Touched>);

impl Places {
    fn add(&mut self, node: usize, leaf: &Option<(Store, Stretch)>) {
        if let Some((store, stretch)) = leaf {
            self.0.entry(*store).or_default().add(node, stretch);
        }
    }

    /// Whether one of some nodes touches a leaf.
    fn within(&self, nodes: &Range<usize>, leaf: &Option<(Store, Stretch)>) -> bool {
        let Some((store, stretch)) = leaf else { return false };
        self.0.get(store).is_some_and(|touched| touched.within(nodes, stretch))
    }
}

/// The nodes that read or change a store, in order.
#[derive(Debug, Default)]
struct Touched {
    elements: Vec<(usize, Range<usize>)>,
    segments: Vec<usize>,
    by_segment: HashMap<usize, Vec<usize>>,
}

impl Touched {
    fn add(&mut self, node: usize, stretch: &Stretch) {
        match stretch {
            Stretch::Elements(range) => self.elements.push((node, range.clone())),
            Stretch::Segment(i) => {
                self.segments.push(node);
                self.by_segment.entry(*i).or_default().push(node);
            }
        }
    }

    /// Whether one of some nodes touches a stretch. Where segments lie is not known here, so that each may have elements
    /// in common with any other stretch.
    fn within(&self, nodes: &Range<usize>, stretch: &Stretch) -> bool {
        let first = self.elements.partition_point(|(node, _)| *node < nodes.start);
        let mut elements = self.elements[first..].iter().take_while(|(node, _)| *node < nodes.end);
        match stretch {
            Stretch::Segment(i) => {
                self.by_segment.get(i).is_some_and(|same| is_within(same, nodes))
                    || !Guard::Parts.lets(elements.next().is_none())
            }
            Stretch::Elements(range) => {
                elements.any(|(_, other)| other.start < range.end && range.start < other.end)
                    || !Guard::Parts.lets(!is_within(&self.segments, nodes))
            }
        }
    }
}

/// Whether one of these numbers, which ascend, is in a range.
fn is_within(ascending: &[usize], range: &Range<usize>) -> bool {
    let first = ascending.partition_point(|&n| n < range.start);
    ascending.get(first).is_some_and(|&n| n < range.end)
}

#[cfg(test)]
pub(crate) mod switch {
    use std::cell::Cell;

    use super::Guard;

    thread_local! {
        static OUT: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    impl Guard {
        pub(crate) const ALL: [Self; 9] = [
            Self::Made,
            Self::Read,
            Self::Changed,
            Self::EffectRead,
            Self::EffectChanged,
            Self::Parts,
            Self::Alone,
            Self::View,
            Self::Buffer,
        ];

        /// Whether a rewrite may go on: where it is safe, or this guard is out.
        pub fn lets(self, safe: bool) -> bool {
            safe || OUT.get() == Some(self)
        }
    }

    /// Runs `f` without a guard.
    pub(crate) fn without<R>(guard: Option<Guard>, f: impl FnOnce() -> R) -> R {
        OUT.set(guard);
        let result = f();
        OUT.set(None);
        result
    }
}
